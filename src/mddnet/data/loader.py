"""Random batches. Batch n depends on the seed and n alone, so that a resumed run continues with the same batches."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mddnet.config import DISCS, DataConfig
from mddnet.data.augment import View, draw_view, photometric, view_image, view_map
from mddnet.data.batch import Batch
from mddnet.data.disc_blur import blurred_by_random_disc
from mddnet.data.prefetch import Prefetched
from mddnet.data.scene_pool import SceneEntry, ScenePool, SceneTruth
from mddnet.errors import RecipeError
from mddnet.optics import signed_defocus_px
from mddnet.scenes.true_camera import true_camera
from mddnet.types import MAP_STRIDE, Float32Array, FrameRecord, SceneRecord, UInt8Array

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

SYNTHETIC, PSEUDO = "photo", "pseudo"  # kinds of capture whose depth is synthetic, and a pseudo-label
EXACT = frozenset({"view", "stereo", SYNTHETIC})  # kinds of capture whose depth is right at edges
CRISP = frozenset({"focal_stack", "light_field", "stereo", "rig", "all_in_3d"})
"""Captures that show no blur but the stated one. Photos have a background out of focus, videos and the textures of
rendered views are soft, and nothing states by how much."""
DISC_KAPPA_PX = 10.0  # kappa of a photo blurred by one disc; arbitrary, because its depth is constant
UPRIGHT_SHARE = 0.25  # share of batches whose crops are taller than wide


class SampleBatches(Dataset[Batch]):
    """Random batches drawn from the mixture of a recipe.

    A kind is drawn by its share in the mixture, then one of its locations, then one of its scenes, then a frame.
    """

    def __init__(
        self, entries: Sequence[SceneEntry], config: DataConfig, seed: int, length: int, rank: int = 0, ranks: int = 1
    ) -> None:
        """Prepare to draw ``length`` batches for process ``rank`` of ``ranks`` from scenes of the train split.

        RecipeError if the mixture has a kind without a scene.
        """
        self.config, self.seed, self.length = config, seed, length
        self.rank, self.ranks = rank, ranks
        self.pool = ScenePool(limit_bytes=config.cache_mb * 2**20)
        scenes: dict[str, dict[str, list[SceneEntry]]] = defaultdict(lambda: defaultdict(list))
        for entry in entries:
            for kind in (entry.group, DISCS) if entry.record.capture == SYNTHETIC else (entry.group,):
                scenes[kind][entry.record.location].append(entry)
        self._scenes = {kind: list(by_location.values()) for kind, by_location in scenes.items()}
        self._shares = {name: share for name, share in config.mixture.normalised.items() if share > 0}
        missing = [name for name in self._shares if name not in self._scenes]
        if missing:
            raise RecipeError(
                f"data.mixture has {', '.join(missing)}, but there are only scenes of "
                f"{', '.join(sorted(self._scenes))}; build them, or set their share to 0"
            )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, n: int) -> Batch:
        rng = np.random.default_rng([self.seed, n * self.ranks + self.rank])
        one_opencv_thread()
        crop = crop_of_batch(rng, self.config, n / self.length)
        return stacked([self._drawn(rng, crop) for _ in range(self.config.batch_size)])

    def _drawn(self, rng: np.random.Generator, crop: tuple[int, int]) -> Batch:
        kind = list(self._shares)[int(rng.choice(len(self._shares), p=list(self._shares.values())))]
        locations = self._scenes[kind]
        scenes = locations[int(rng.integers(len(locations)))]
        entry = scenes[int(rng.integers(len(scenes)))]
        if kind == DISCS:
            return self._of_disc(rng, entry, crop)
        truth = self.pool.truth(entry)
        frame = entry.record.frames[int(rng.integers(len(entry.record.frames)))]

        def image_of(sharp: bool) -> UInt8Array:
            return self.pool.image(entry, entry.record.sharp if sharp else frame.file)

        return sample(rng, frame, image_of, truth, entry.record, self.config, crop)

    def _of_disc(self, rng: np.random.Generator, entry: SceneEntry, crop: tuple[int, int]) -> Batch:
        photo = self.pool.image(entry, entry.record.sharp)
        view = _drawn_view(rng, photo, self.config, crop)
        blurred, signed_px = blurred_by_random_disc(rng, view_image(photo, view, crop))
        flat = np.full(map_size(crop), 0.5, dtype=np.float32)
        u_focus = 0.5 + signed_px / DISC_KAPPA_PX
        image = photometric(rng, blurred, self.config.photometric)
        return _one_sample(image, flat, np.ones_like(flat), u_focus, DISC_KAPPA_PX, UNKNOWN_CAMERA, entry.record)


UNKNOWN_CAMERA = (math.nan, math.nan)


def crop_of_batch(rng: np.random.Generator, config: DataConfig, progress: float) -> tuple[int, int]:
    """Height and width of the crops of a batch after a share of the steps."""
    height, width = config.late_crop if progress >= 1.0 - config.late_share else config.crop
    return (width, height) if rng.random() < UPRIGHT_SHARE else (height, width)


def map_size(crop: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the maps of a crop."""
    return crop[0] // MAP_STRIDE, crop[1] // MAP_STRIDE


def sample(
    rng: np.random.Generator,
    frame: FrameRecord,
    image_of: Callable[[bool], UInt8[UInt8Array, "H W 3"]],
    truth: SceneTruth,
    record: SceneRecord,
    config: DataConfig,
    crop: tuple[int, int],
) -> Batch:
    """A crop of a focused frame, or of the sharp image, which has no blur.

    ``image_of`` returns the pixels of the frame, or for True those of the sharp image.
    """
    view = _drawn_view(rng, truth.inv_depth, config, crop)
    inv_depth = view_map(truth.inv_depth, view, map_size(crop))
    weight = view_map(np.where(np.isfinite(truth.inv_depth), truth.weight, np.float32(np.nan)), view, map_size(crop))
    # wrong depths are mostly far outside the 2-98 % range
    known = np.isfinite(inv_depth) & (np.abs(np.nan_to_num(inv_depth) - 0.5) < 1.5)
    weight = np.where(known, np.nan_to_num(weight), np.float32(0))
    sharp = bool(rng.random() < config.sharp_share)
    scale = sum(crop) / (view.height + view.width)
    u_focus = (frame.u_focus - truth.low) / truth.range
    kappa = 0.0 if sharp else frame.kappa_px * truth.range * scale
    image = photometric(rng, view_image(image_of(sharp), view, crop), config.photometric)
    camera = _camera(record, truth, view, inv_depth, weight)
    return _one_sample(image, inv_depth, weight, u_focus, kappa, camera, record)


def _camera(
    record: SceneRecord,
    truth: SceneTruth,
    view: View,
    inv_depth: Float32[Float32Array, "h w"],
    weight: Float32[Float32Array, "h w"],
) -> tuple[float, float]:
    """The camera of a view: see :func:`true_camera`."""
    known = inv_depth[weight > 0]
    u = truth.low + truth.range * float(np.median(known)) if known.size else math.nan
    return true_camera(record, max(view.height, view.width), u)


def stacked(samples: Sequence[Batch]) -> Batch:
    """Crops of one size as a batch."""
    # by NumPy, in the calling thread; PyTorch would start another pool of threads
    fields = {name: np.stack([getattr(one, name).numpy() for one in samples]) for name in Batch.__dataclass_fields__}
    return Batch(**{name: torch.from_numpy(values) for name, values in fields.items()})


def _drawn_view(rng: np.random.Generator, of: np.ndarray, config: DataConfig, crop: tuple[int, int]) -> View:
    return draw_view(rng, (of.shape[0], of.shape[1]), crop, config.window, config.rotated_share, config.mirror)


def _one_sample(
    image: UInt8[UInt8Array, "H W 3"],
    inv_depth: Float32[Float32Array, "H//4 W//4"],
    weight: Float32[Float32Array, "H//4 W//4"],
    u_focus: float,
    kappa: float,
    camera: tuple[float, float],
    record: SceneRecord,
) -> Batch:
    return Batch(
        image=torch.from_numpy(np.divide(image.transpose(2, 0, 1), np.float32(255), order="C")),
        inv_depth=torch.from_numpy(inv_depth)[None],
        signed_defocus_px=torch.from_numpy(signed_defocus_px(inv_depth, u_focus, kappa).astype(np.float32))[None],
        weight=torch.from_numpy(weight.astype(np.float32))[None],
        u_focus=torch.tensor(u_focus, dtype=torch.float32),
        kappa_px=torch.tensor(kappa, dtype=torch.float32),
        camera=torch.tensor(camera, dtype=torch.float32),
        ordinal=torch.tensor(record.unit == "ordinal"),
        exact=torch.tensor(record.capture in EXACT and record.unit != "ordinal"),
        synthetic=torch.tensor(record.capture == SYNTHETIC),
        pseudo=torch.tensor(record.capture == PSEUDO),
        crisp=torch.tensor(record.capture in CRISP),
    )


def one_opencv_thread() -> None:
    """Limit OpenCV to one thread; several processes with one thread each are faster.

    Call it also before processes are forked: in the fork of a process with OpenCV threads, it would wait for threads
    that do not exist.
    """
    if cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)


def batch_loader(dataset: SampleBatches, first: int, workers: int) -> Iterable[Batch]:
    """Batches from ``first`` on, in order: prepared by one thread, by several ``workers`` or, with 0, on demand."""
    one_opencv_thread()
    numbers = range(first, len(dataset))
    if workers == 1:
        return Prefetched(dataset.__getitem__, numbers)
    return DataLoader(
        dataset, batch_size=None, sampler=numbers, num_workers=workers, prefetch_factor=4 if workers else None
    )

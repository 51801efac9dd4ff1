"""Random batches. Batch n depends on the seed and n alone, so that a resumed run continues with the same batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

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
from mddnet.types import Float32Array, FrameRecord, UInt8Array

SYNTHETIC = "photo"
"""Kind of capture whose depth is synthetic."""
DISC_KAPPA_PX = 10.0
"""Kappa of a photo blurred by one disc; arbitrary, because its depth is constant."""
SHARP_SHARE = 0.05
"""Probability that a focused frame is replaced by the sharp image."""


class SampleBatches(Dataset[Batch]):
    """Random batches drawn from the mixture of a recipe.

    A kind is drawn by its share in the mixture, then one of its scenes, then a focused frame. Part of each batch are
    pairs: two frames of one scene in the same view, with the same depth and different blur.
    """

    def __init__(
        self, entries: Sequence[SceneEntry], config: DataConfig, seed: int, length: int, rank: int = 0, ranks: int = 1
    ) -> None:
        """Prepare to draw ``length`` batches for process ``rank`` of ``ranks`` from scenes of the train split.

        Raises:
            RecipeError: if the mixture has a kind without a scene.
        """
        self.config, self.seed, self.length = config, seed, length
        self.rank, self.ranks = rank, ranks
        self.pool = ScenePool(limit_bytes=config.cache_mb * 2**20)
        self._scenes: dict[str, list[SceneEntry]] = defaultdict(list)
        for entry in entries:
            self._scenes[entry.group].append(entry)
            if entry.record.capture == SYNTHETIC:
                self._scenes[DISCS].append(entry)
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
        size, pairs = self.config.batch_size, int(self.config.pair_share * self.config.batch_size / 2)
        samples: list[Batch] = []
        while len(samples) < size:
            kind = list(self._shares)[int(rng.choice(len(self._shares), p=list(self._shares.values())))]
            scenes = self._scenes[kind]
            entry = scenes[int(rng.integers(len(scenes)))]
            count = 2 if len(samples) < 2 * pairs and len(entry.record.frames) > 1 else 1
            draw = self._of_discs if kind == DISCS else self._of_frames
            samples += draw(rng, entry, min(count, size - len(samples)))
        return stacked(samples)

    def _of_frames(self, rng: np.random.Generator, entry: SceneEntry, count: int) -> list[Batch]:
        truth = self.pool.truth(entry)
        seen = seen_truth(rng, truth, self.config)
        frames = [entry.record.frames[int(f)] for f in rng.choice(len(entry.record.frames), size=count, replace=False)]
        ordinal, synthetic = entry.record.unit == "ordinal", entry.record.capture == SYNTHETIC
        return [
            sample_in_view(rng, frame, partial(self._image, entry, frame), truth, seen, self.config, ordinal, synthetic)
            for frame in frames
        ]

    def _image(self, entry: SceneEntry, frame: FrameRecord, sharp: bool) -> UInt8Array:
        return self.pool.image(entry, entry.record.sharp if sharp else frame.file)

    def _of_discs(self, rng: np.random.Generator, entry: SceneEntry, count: int) -> list[Batch]:
        photo = self.pool.image(entry, entry.record.sharp)
        sharp = view_image(photo, _drawn_view(rng, photo, self.config), self.config.crop)
        flat = np.full(self.config.crop, 0.5, dtype=np.float32)
        ordinal, synthetic = entry.record.unit == "ordinal", entry.record.capture == SYNTHETIC
        samples = []
        for _ in range(count):
            blurred, signed_px = blurred_by_random_disc(rng, sharp)
            u_focus = 0.5 + signed_px / DISC_KAPPA_PX
            image = photometric(rng, blurred, self.config.photometric)
            samples.append(_one_sample(image, flat, np.ones_like(flat), u_focus, DISC_KAPPA_PX, ordinal, synthetic))
        return samples


@dataclass(frozen=True, slots=True)
class SeenTruth:
    """The true depth of a scene in a view."""

    view: View
    inv_depth: Float32Array  # (H, W) of the crop, in units of the scene's range, NaN where unknown
    weight: Float32Array  # (H, W), 0 where unknown


def seen_truth(rng: np.random.Generator, truth: SceneTruth, config: DataConfig) -> SeenTruth:
    """Draw a view of a scene, and crop its true depth."""
    view = _drawn_view(rng, truth.inv_depth, config)
    inv_depth = view_map(truth.inv_depth, view, config.crop)
    weight = view_map(truth.weight, view, config.crop)
    weight = np.where(np.isfinite(inv_depth), weight, np.float32(0))
    # wrong depths are mostly far outside the 2-98 % range
    weight = weight * (np.abs(np.nan_to_num(inv_depth) - 0.5) < 1.5)
    return SeenTruth(view, inv_depth, weight)


def sample_in_view(
    rng: np.random.Generator,
    frame: FrameRecord,
    image_of: Callable[[bool], UInt8Array],
    truth: SceneTruth,
    seen: SeenTruth,
    config: DataConfig,
    ordinal: bool,
    synthetic: bool,
) -> Batch:
    """One crop of a focused frame, or with a small probability of the sharp image, which has no blur.

    ``image_of`` returns the pixels of the frame, or for True those of the sharp image.
    """
    sharp = bool(rng.random() < SHARP_SHARE)
    scale = sum(config.crop) / (seen.view.height + seen.view.width)
    u_focus = (frame.u_focus - truth.low) / truth.range
    kappa = 0.0 if sharp else frame.kappa_px * truth.range * scale
    image = photometric(rng, view_image(image_of(sharp), seen.view, config.crop), config.photometric)
    return _one_sample(image, seen.inv_depth, seen.weight, u_focus, kappa, ordinal, synthetic)


def stacked(samples: Sequence[Batch]) -> Batch:
    """Crops of one size as a batch."""
    # by NumPy, in the calling thread; PyTorch would start another pool of threads
    fields = {name: np.stack([getattr(one, name).numpy() for one in samples]) for name in Batch.__dataclass_fields__}
    return Batch(**{name: torch.from_numpy(values) for name, values in fields.items()})


def _drawn_view(rng: np.random.Generator, of: np.ndarray, config: DataConfig) -> View:
    size = of.shape[0], of.shape[1]
    return draw_view(rng, size, config.crop, config.scale_range, config.quarter_turns, config.mirror)


def _one_sample(
    image: np.ndarray,
    inv_depth: np.ndarray,
    weight: np.ndarray,
    u_focus: float,
    kappa: float,
    ordinal: bool,
    synthetic: bool,
) -> Batch:
    return Batch(
        image=torch.from_numpy(np.divide(image.transpose(2, 0, 1), np.float32(255), order="C")),
        inv_depth=torch.from_numpy(inv_depth)[None],
        signed_defocus_px=torch.from_numpy(signed_defocus_px(inv_depth, u_focus, kappa).astype(np.float32))[None],
        weight=torch.from_numpy(weight.astype(np.float32))[None],
        u_focus=torch.tensor(u_focus, dtype=torch.float32),
        kappa_px=torch.tensor(kappa, dtype=torch.float32),
        ordinal=torch.tensor(ordinal),
        synthetic=torch.tensor(synthetic),
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

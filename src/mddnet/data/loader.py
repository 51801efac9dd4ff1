"""Batches of sets. Batch n depends on the seed and n alone, so a resumed run sees what an undisturbed one does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mddnet.config import DataConfig
from mddnet.data.augment import View, draw_view, photometric, view_image, view_map
from mddnet.data.batch import Batch
from mddnet.data.disc_blur import blurred_by_random_disc
from mddnet.data.scene_pool import SceneEntry, ScenePool
from mddnet.errors import RecipeError
from mddnet.optics import signed_defocus_px

MADE_UP = "photo"
"""Kind of capture whose depth is made up."""
DISCS = "discs"
"""Name in the mixture of photos blurred whole by one disc."""
DISC_KAPPA_PX = 10.0
"""Kappa of such a photo; any value will do, its depth is one constant."""


class SetBatches(Dataset[Batch]):
    """Random batches drawn from the mixture of a recipe.

    A group is drawn by its share in the mixture, then one of its scenes, then a focused frame. Part of each batch are
    pairs: two frames of one scene in the same view, equal in depth and different in blur. A twentieth of the frames
    is the sharp image itself, with no blur at all.
    """

    sharp_share = 0.05

    def __init__(self, entries: Sequence[SceneEntry], config: DataConfig, seed: int, length: int) -> None:
        """Prepare to draw.

        Args:
            entries: the scenes of the train side.
            config: the recipe's ``[data]``.
            seed: the run's seed.
            length: number of batches.

        Raises:
            RecipeError: if the mixture names a group without a scene.
        """
        self.config = config
        self.seed = seed
        self.length = length
        self.pool = ScenePool(limit_bytes=config.cache_mb * 2**20)
        groups: dict[str, list[SceneEntry]] = defaultdict(list)
        for entry in entries:
            groups[entry.group].append(entry)
            if entry.record.capture == MADE_UP:
                groups[DISCS].append(entry)
        shares = {name: share for name, share in config.mixture.normalised.items() if share > 0}
        missing = [name for name in shares if name not in groups]
        if missing:
            raise RecipeError(
                f"data.mixture names {', '.join(missing)}, but the scenes hold only {', '.join(sorted(groups))}; "
                "build them, or set their share to 0"
            )
        self._groups = list(shares)
        self._group_p = list(shares.values())
        self._scenes = groups

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, n: int) -> Batch:
        rng = np.random.default_rng([self.seed, n])
        cv2.setNumThreads(1)
        pairs = int(self.config.pair_share * self.config.batch_size / 2)
        samples: list[Batch] = []
        while len(samples) < self.config.batch_size:
            group, entry = self._draw_scene(rng)
            count = 2 if len(samples) < 2 * pairs and len(entry.record.frames) > 1 else 1
            count = min(count, self.config.batch_size - len(samples))
            samples.extend(self._draw_sets(rng, entry, count, discs=group == DISCS))
        return Batch(
            **{name: torch.stack([getattr(sample, name) for sample in samples]) for name in Batch.__dataclass_fields__}
        )

    def _draw_scene(self, rng: np.random.Generator) -> tuple[str, SceneEntry]:
        group = self._groups[int(rng.choice(len(self._groups), p=self._group_p))]
        scenes = self._scenes[group]
        return group, scenes[int(rng.integers(len(scenes)))]

    def _draw_sets(self, rng: np.random.Generator, entry: SceneEntry, count: int, discs: bool) -> list[Batch]:
        if discs:
            return self._draw_disc_sets(rng, entry, count)
        truth = self.pool.truth(entry)
        view = self._draw_view(rng, truth.inv_depth)
        inv_depth = view_map(truth.inv_depth, view, self.config.crop)
        weight = view_map(truth.weight, view, self.config.crop)
        weight = np.where(np.isfinite(inv_depth), weight, np.float32(0))
        # the ends of the map, beyond its 2-98 % range, are where a wrong depth hides
        weight = weight * (np.abs(np.nan_to_num(inv_depth) - 0.5) < 1.5)
        frames = rng.choice(len(entry.record.frames), size=count, replace=False)
        return [self._make_set(rng, entry, int(f), view, inv_depth, weight) for f in frames]

    def _draw_view(self, rng: np.random.Generator, scene_map: np.ndarray) -> View:
        config = self.config
        size = scene_map.shape[0], scene_map.shape[1]
        return draw_view(rng, size, config.crop, config.scale_range, config.quarter_turns, config.mirror)

    def _make_set(
        self,
        rng: np.random.Generator,
        entry: SceneEntry,
        frame_index: int,
        view: View,
        inv_depth: np.ndarray,
        weight: np.ndarray,
    ) -> Batch:
        truth = self.pool.truth(entry)
        frame = entry.record.frames[frame_index]
        file, kappa_scene = frame.file, frame.kappa_px
        if rng.random() < self.sharp_share:
            file, kappa_scene = entry.record.sharp, 0.0
        crop = self.config.crop
        scale = sum(crop) / (view.height + view.width)
        u_focus = (frame.u_focus - truth.low) / truth.range
        kappa = kappa_scene * truth.range * scale
        image = photometric(rng, view_image(self.pool.image(entry, file), view, crop), self.config.photometric)
        return _batch_of_one(image, inv_depth, weight, u_focus, kappa, entry)

    def _draw_disc_sets(self, rng: np.random.Generator, entry: SceneEntry, count: int) -> list[Batch]:
        photo = self.pool.image(entry, entry.record.sharp)
        sharp = view_image(photo, self._draw_view(rng, photo), self.config.crop)
        flat = np.full(self.config.crop, 0.5, dtype=np.float32)
        sets = []
        for _ in range(count):
            blurred, signed_px = blurred_by_random_disc(rng, sharp)
            u_focus = 0.5 + signed_px / DISC_KAPPA_PX
            image = photometric(rng, blurred, self.config.photometric)
            sets.append(_batch_of_one(image, flat, np.ones_like(flat), u_focus, DISC_KAPPA_PX, entry))
        return sets


def _batch_of_one(
    image: np.ndarray, inv_depth: np.ndarray, weight: np.ndarray, u_focus: float, kappa: float, entry: SceneEntry
) -> Batch:
    return Batch(
        image=torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float() / 255.0,
        inv_depth=torch.from_numpy(inv_depth)[None],
        signed_defocus_px=torch.from_numpy(signed_defocus_px(inv_depth, u_focus, kappa).astype(np.float32))[None],
        weight=torch.from_numpy(weight.astype(np.float32))[None],
        u_focus=torch.tensor(u_focus, dtype=torch.float32),
        kappa_px=torch.tensor(kappa, dtype=torch.float32),
        ordinal=torch.tensor(entry.record.unit == "ordinal"),
        made_up=torch.tensor(entry.record.capture == MADE_UP),
    )


def batch_loader(dataset: SetBatches, first: int, workers: int) -> DataLoader[Batch]:
    """Batches ``first`` to the end, in order, made ahead of time by worker processes."""
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=range(first, len(dataset)),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        persistent_workers=False,
    )

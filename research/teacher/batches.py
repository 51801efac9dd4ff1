"""Batches of augmented crops, balanced over sources and locations; batch N is a function of the seed and N alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from research.teacher.augment import Chances, photographic
from research.teacher.samples import Sample
from torch import Tensor

SOURCE_WEIGHTS = {
    "rooms-room": 0.22,
    "rooms-tabletop": 0.20,
    "rooms-portrait": 0.14,
    "rooms-outdoor": 0.12,
    "rooms-closeup": 0.08,
    "levels": 0.14,
    "stereo": 0.06,
    "rgbd": 0.05,
    "multiview": 0.09,
    "stacks": 0.04,
    "photos": 0.50,
}
"""Share of a source among the sources that are there, before it is made to sum to one."""
SPARSE = 0.1
"""Of a truth with a smaller known share each known pixel is kept when it is made smaller."""
TURNS = (0.92, 0.015, 0.05, 0.015)
"""Chance of no, one, two, three quarter turns: photos taken from above have no up and down."""
LEAST_WINDOW = 0.7
"""Smallest side of a crop, as a share of the largest window of its shape."""


@dataclass(frozen=True)
class Crop:
    """Where a crop was taken.

    Attributes:
        sample: the picture.
        window: top, left, height and width as shares of the picture, after its turns.
        mirrored: whether left and right are exchanged.
        turns: quarter turns of the picture before the crop.
    """

    sample: Sample
    window: tuple[float, float, float, float]
    mirrored: bool
    turns: int = 0


@dataclass(frozen=True)
class Batch:
    """Pictures (B, 3, H, W) in [0, 1], truths (B, H / 2, W / 2) with NaN where unknown, and what each is good for."""

    image: Tensor
    truth: Tensor
    exact: Tensor
    affine: Tensor
    crops: tuple[Crop, ...] = ()


class Balanced:
    """Draws a source by its weight, then one of its locations, then one of the location's samples."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        tree: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
        for sample in samples:
            tree[sample.kind][sample.place].append(sample)
        self.sources = sorted(tree)
        self.samples = [[sorted(group, key=lambda s: s.name) for group in tree[k].values()] for k in self.sources]
        weights = np.array([SOURCE_WEIGHTS[source] for source in self.sources])
        self.weights = weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> Sample:
        locations = self.samples[rng.choice(len(self.sources), p=self.weights)]
        group = locations[rng.integers(len(locations))]
        return group[rng.integers(len(group))]


def smaller_truth(
    truth: NDArray[np.float32], window: tuple[int, int, int, int], size: tuple[int, int]
) -> NDArray[np.float32]:
    """The truth in a window (top, left, height, width) at a size (height, width).

    A dense truth is sampled at the centres of the new pixels, so that edges stay sharp; of a sparse one every known
    pixel goes to the new pixel that it falls into.
    """
    top, left, high, wide = window
    part = truth[top : top + high, left : left + wide]
    known = np.isfinite(part)
    if known.mean() >= SPARSE:
        rows = np.minimum(((np.arange(size[0]) + 0.5) * high / size[0]).astype(int), high - 1)
        columns = np.minimum(((np.arange(size[1]) + 0.5) * wide / size[1]).astype(int), wide - 1)
        return part[np.ix_(rows, columns)].astype(np.float32)
    made = np.full(size, np.nan, dtype=np.float32)
    y, x = np.nonzero(known)
    made[np.minimum(y * size[0] // high, size[0] - 1), np.minimum(x * size[1] // wide, size[1] - 1)] = part[y, x]
    return made


def random_window(
    height: int, width: int, size: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A window (top, left, height, width) of the shape of a size."""
    ratio = size[1] / size[0]
    largest = min(height, width / ratio)
    high = largest * rng.uniform(LEAST_WINDOW, 1.0)
    rows, columns = max(2, int(high)), max(2, min(width, int(high * ratio)))
    return int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1)), rows, columns


def item(
    sample: Sample, size: tuple[int, int], rng: np.random.Generator, chances: Chances
) -> tuple[NDArray[np.float32], NDArray[np.float32], Crop]:
    """An augmented crop: picture (H, W, 3), truth (H / 2, W / 2), and where it was taken."""
    turns = int(rng.choice(4, p=TURNS))
    rgb, inv_depth = np.rot90(sample.rgb(), turns), np.rot90(sample.inv_depth(), turns)
    window = random_window(inv_depth.shape[0], inv_depth.shape[1], size, rng)
    top, left, high, wide = window
    crop = rgb[top : top + high, left : left + wide]
    kind = cv2.INTER_AREA if high >= size[0] else cv2.INTER_LINEAR
    picture = cv2.resize(crop, size[::-1], interpolation=kind).astype(np.float32) / np.float32(255)
    full = smaller_truth(inv_depth, window, size)
    truth = smaller_truth(inv_depth, window, (size[0] // 2, size[1] // 2))
    picture = photographic(picture, full, rng, chances)
    mirrored = bool(rng.random() < 0.5)
    if mirrored:
        picture, truth = picture[:, ::-1], truth[:, ::-1]
    height, width = inv_depth.shape
    shares = (top / height, left / width, high / height, wide / width)
    return np.ascontiguousarray(picture), np.ascontiguousarray(truth), Crop(sample, shares, mirrored, turns)


def batch(pool: Balanced, count: int, sizes: Sequence[tuple[int, int]], seed: int, number: int) -> Batch:
    """Batch ``number`` of a run."""
    rng = np.random.default_rng([seed, number])
    size = sizes[int(rng.integers(len(sizes)))]
    chosen = [pool.draw(rng) for _ in range(count)]
    items = [item(sample, size, rng, Chances()) for sample in chosen]
    return Batch(
        image=torch.from_numpy(np.stack([picture for picture, _, _ in items]).transpose(0, 3, 1, 2).copy()),
        truth=torch.from_numpy(np.stack([truth for _, truth, _ in items])),
        exact=torch.tensor([float(sample.trust == "exact") for sample in chosen]),
        affine=torch.tensor([float(sample.trust != "order") for sample in chosen]),
        crops=tuple(crop for _, _, crop in items),
    )

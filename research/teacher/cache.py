"""Features of the frozen encoder on disk, so that its head can be trained many times over for little.

    python -m research.teacher.cache --data ../shared/data --views work/views --scenes work/scenes --out work/features

Interrupt it at any time; run again, it goes on with what is missing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from research.teacher.batches import Balanced, Batch, Crop, smaller_truth
from research.teacher.held_out import HeldOut
from research.teacher.network import CHANNELS, DinoEncoder
from research.teacher.samples import Sample, made_views, real
from torch import Tensor

SIZES = ((252, 336), (336, 252), (294, 294))
"""Sizes of the picture whose features are kept: wide, tall, square."""
AUXILIARY = 2
"""Number, among the tapped blocks, of the one whose features a convolutional network also learns: block 9."""


def size_for(height: int, width: int) -> tuple[int, int]:
    """The size of the nearest shape."""
    return min(SIZES, key=lambda size: abs(np.log(size[1] / size[0]) - np.log(width / height)))


def feature_file(folder: Path, sample: Sample) -> Path:
    return folder / f"{sample.name.replace('/', '__')}.npy"


def picture_of(sample: Sample) -> np.ndarray:
    """The whole picture at the size of its features, uint8."""
    rgb = sample.rgb()
    size = size_for(*rgb.shape[:2])
    return cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA)


class CachedBatches:
    """Batches of cached features, mirrored at random; pictures and truths are read anew."""

    def __init__(self, samples: Sequence[Sample], folder: Path) -> None:
        self.folder = folder
        there = [sample for sample in samples if feature_file(folder, sample).exists()]
        by_shape: dict[tuple[int, int], list[Sample]] = {size: [] for size in SIZES}
        for sample in there:
            tokens = np.load(feature_file(folder, sample), mmap_mode="r").shape
            by_shape[tokens[2] * 14, tokens[3] * 14].append(sample)
        self.pools = {size: Balanced(group) for size, group in by_shape.items() if len(group) >= 20}
        counts = np.array([float(len(by_shape[size])) for size in self.pools])
        self.shares = counts / counts.sum()
        self.count = len(there)

    def batch(self, count: int, seed: int, number: int) -> tuple[list[Tensor], Batch]:
        """Maps of the four tapped blocks, and the batch that they belong to."""
        rng = np.random.default_rng([seed, number])
        size = list(self.pools)[rng.choice(len(self.pools), p=self.shares)]
        chosen = [self.pools[size].draw(rng) for _ in range(count)]
        maps, pictures, truths = [], [], []
        for sample in chosen:
            tokens = np.load(feature_file(self.folder, sample)).astype(np.float32)
            inv_depth = sample.inv_depth()
            truth = smaller_truth(inv_depth, (0, 0, *inv_depth.shape), (size[0] // 2, size[1] // 2))
            picture = picture_of(sample)
            if rng.random() < 0.5:
                tokens, truth, picture = tokens[..., ::-1], truth[:, ::-1], picture[:, ::-1]
            maps.append(np.ascontiguousarray(tokens))
            truths.append(np.ascontiguousarray(truth))
            pictures.append(np.ascontiguousarray(picture.transpose(2, 0, 1)))
        stacked = torch.from_numpy(np.stack(maps))
        return list(stacked.unbind(1)), Batch(
            image=torch.from_numpy(np.stack(pictures)).float() / 255,
            truth=torch.from_numpy(np.stack(truths)),
            exact=torch.tensor([float(sample.trust == "exact") for sample in chosen]),
            affine=torch.tensor([float(sample.trust != "order") for sample in chosen]),
        )


def features_of_crop(tokens: Tensor, crop: Crop, size: tuple[int, int]) -> Tensor:
    """Features (C, rows, columns) of a crop, sampled from those of its whole picture (C, H / 14, W / 14)."""
    top, left, high, wide = crop.window
    rows = 2 * (top + high * (torch.arange(size[0]) + 0.5) / size[0]) - 1
    columns = 2 * (left + wide * (torch.arange(size[1]) + 0.5) / size[1]) - 1
    if crop.mirrored:
        columns = columns.flip(0)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], dim=-1)[None]
    return F.grid_sample(tokens[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]


def crop_features(folder: Path, crops: Sequence[Crop], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Normed features of block 9 for each crop (B, 384, rows, columns), and (B,) 1 for those that are on disk."""
    found, there = [], []
    for crop in crops:
        path = feature_file(folder, crop.sample)
        usable = path.exists() and crop.turns == 0
        there.append(float(usable))
        if not usable:
            found.append(torch.zeros(CHANNELS, *size))
            continue
        tokens = torch.from_numpy(np.load(path, mmap_mode="r")[AUXILIARY].astype(np.float32))
        tokens = F.layer_norm(tokens.movedim(0, -1), (CHANNELS,)).movedim(-1, 0)
        found.append(features_of_crop(tokens, crop, size))
    return torch.stack(found), torch.tensor(there)


@torch.inference_mode()
def fill(samples: Sequence[Sample], folder: Path, count: int) -> None:
    """Write the features of every sample that has none, ``count`` pictures of one size at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = DinoEncoder().eval()
    encoder.load_pretrained()
    waiting: dict[tuple[int, int], list[tuple[Sample, np.ndarray]]] = {size: [] for size in SIZES}
    missing = [sample for sample in samples if not feature_file(folder, sample).exists()]
    began, done = time.monotonic(), 0

    def flush(group: list[tuple[Sample, np.ndarray]]) -> None:
        images = np.stack([picture for _, picture in group]).transpose(0, 3, 1, 2)
        maps = encoder(torch.from_numpy(images.copy()).float() / 255)
        for number, (sample, _) in enumerate(group):
            tokens = torch.stack([level[number] for level in maps]).half().numpy()
            part = feature_file(folder, sample).with_suffix(".part")
            with part.open("wb") as file:
                np.save(file, tokens)
            part.replace(feature_file(folder, sample))

    for sample in missing:
        picture = picture_of(sample)
        group = waiting[picture.shape[0], picture.shape[1]]
        group.append((sample, picture))
        if len(group) == count:
            flush(group)
            done += len(group)
            group.clear()
            print(f"{done} of {len(missing)}, {(time.monotonic() - began) / done:.2f} s each", flush=True)
    for group in waiting.values():
        if group:
            flush(group)


def main() -> None:
    parser = argparse.ArgumentParser(description="Cache the features of the frozen encoder.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--views", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    held_out = HeldOut()
    samples = [
        *real(args.data, args.scenes, "train", held_out),
        *made_views(args.views, held_out),
    ]
    held_out.check(sample.place for sample in samples if not sample.place.startswith(("rooms", "levels")))
    fill(samples, args.out, 8)


if __name__ == "__main__":
    main()

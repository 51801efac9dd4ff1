"""Fit the detector of motion blur on calib photos and measure it on others.

    python -m research.verdict.motion --data ../shared/data --scenes work/student/scenes --split work/student/split.csv

Every sharp photo is moved along a line of a random direction, log-uniform 6 to 32 px long at a long side of 512 px, in
linear light, with sensor noise and JPEG. Negatives are the sharp photos, the same photos with a uniform disc of 2 to
24 px, and frames of focal stacks, light fields, stereo and depth cameras with real and rendered defocus. Prints the
weights, and the shares found and falsely found. ``--measure`` leaves the weights as they are.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from research.teacher.held_out import LIST
from research.verdict.cases import LONG_SIDE, find_cases
from research.verdict.logistic import fit_logistic

from mddnet.color import linear_from_srgb8
from mddnet.data.split import read_split
from mddnet.predict.motion_blur import WEIGHTS, spectral_contrasts
from mddnet.scenes.render import develop
from mddnet.scenes.rendered_scene import draw_camera
from mddnet.types import Float32Array, Split, UInt8Array

MOVED = "moved"
FOUND_SHARE = 0.8
"""Share of the moved calib photos that the threshold finds; few false alarms count more than the rest."""
RIDGE = 3.0
MOVES = 4


def moved(linear: Float32Array, length_px: float, direction: float) -> Float32Array:
    """Averaged along a line."""
    side = 2 * math.ceil(length_px) + 3
    kernel = np.zeros((side, side), np.float32)
    for step in np.linspace(-0.5, 0.5, max(8, round(8 * length_px))):
        x, y = (side // 2 + step * length_px * turn for turn in (math.cos(direction), math.sin(direction)))
        column, row = int(x), int(y)
        right, down = x - column, y - row
        kernel[row : row + 2, column : column + 2] += np.outer((1 - down, down), (1 - right, right))
    return np.asarray(cv2.filter2D(linear, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT))


def disc(linear: Float32Array, radius_px: float) -> Float32Array:
    """Blurred by a disc."""
    reach = math.ceil(radius_px) + 1
    down, right = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius_px + 0.5 - np.hypot(down, right), 0, 1).astype(np.float32)
    return np.asarray(cv2.filter2D(linear, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT))


def small(path: Path) -> UInt8Array:
    image = Image.open(path).convert("RGB")
    scale = min(1.0, LONG_SIDE / max(image.size))
    size = (round(image.width * scale), round(image.height * scale))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def examples(data: Path, scenes: Path, locations: dict[str, Split], split: Split) -> Iterator[tuple[str, UInt8Array]]:
    """Kind of the example, and (H, W, 3) uint8."""
    rng = np.random.default_rng(1)
    with LIST.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["use"] == {"calib": "calib", "dev": "sheet"}[split]]
    cases = [case for case in find_cases(scenes, locations, split) if case.kind != "views"]
    sharp = [data / row["name"] for row in rows if row["kind"] == "photo"]
    for path in sharp + [case.folder / case.file for case in cases if case.sharp]:
        photo = small(path)
        linear = linear_from_srgb8(photo)
        yield "sharp", photo
        for _ in range(MOVES):
            length = math.exp(rng.uniform(math.log(6), math.log(32))) * max(photo.shape) / LONG_SIDE
            light = moved(linear, length, rng.uniform(0, math.pi))
            yield MOVED, develop(light, draw_camera(rng), int(rng.integers(2**31)))
        radius = math.exp(rng.uniform(math.log(1), math.log(12)))
        yield "disc", develop(disc(linear, radius), draw_camera(rng), int(rng.integers(2**31)))
    for case in cases:
        if not case.sharp:
            yield "defocused", small(case.folder / case.file)


def main() -> None:
    parser = argparse.ArgumentParser(description="The detector of motion blur.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--measure", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    locations, weights = read_split(args.split), np.array(WEIGHTS)
    splits: tuple[Split, ...] = ("dev",) if args.measure else ("calib", "dev")
    for split in splits:
        kinds, rows = zip(
            *((kind, spectral_contrasts(photo)) for kind, photo in examples(args.data, args.scenes, locations, split)),
            strict=True,
        )
        kind, features = np.array(kinds), np.array(rows)
        positive: NDArray[np.bool_] = kind == MOVED
        if split == "calib":
            share = np.where(positive, 0.5 / positive.mean(), 0.5 / (~positive).mean())
            weights = fit_logistic(features, positive, share, RIDGE)
            weights[-1] -= np.quantile(features[positive] @ weights[:-1] + weights[-1], 1 - FOUND_SHARE)
            print("WEIGHTS =", tuple(float(f"{weight:.4g}") for weight in weights))
        found = features @ weights[:-1] + weights[-1] > 0
        shares = ", ".join(f"{name} {found[kind == name].mean():.3f}" for name in sorted(set(kinds)))
        print(f"{split}, {len(kind)} images: {shares}")


if __name__ == "__main__":
    main()

"""Near/far pairs: of two photos of one scene, the less sharp one at a pixel must have the larger defocus there."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from mddnet.errors import CaptureError
from mddnet.evaluate.samples import Sample, Source
from mddnet.metrics import TEXTURE_SHARE, OrdinalPairs, Truth, smoothed_laplacian
from mddnet.scenes.store import read_image
from mddnet.types import BoolArray, UInt8Array

PAIR_SIGMA = 0.01  # smoothing of the local sharpness, sigma over the long side
PAIR_RATIO = 2.0  # one photo is clearly sharper where its local sharpness is more than this many times as high
PAIR_NOISE_FLOOR = 0.02  # smallest smoothed |Laplacian| of the sharper photo: about noise of 1.4 grey levels

_SUFFIXES = {".jpg", ".jpeg", ".png"}


def pair_source(root: Path) -> Source:
    """All pairs: the folders in ``root`` with exactly two images, by name; CaptureError if there is none."""
    folders = [folder for folder in sorted(root.glob("*/")) if len(_pair_files(folder)) == 2]
    if not folders:
        raise CaptureError(f"{root}: no pair found; expected folders of exactly two images: check --data")
    samples = [Sample(str(f), f.name, f.name, f.name, partial(_load, f)) for f in folders]
    return Source("pairs", "Near/far pairs", samples)


def _pair_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def _load(folder: Path) -> Truth:
    first, second = (read_image(path) for path in _pair_files(folder))
    if first.shape != second.shape:
        raise CaptureError(f"{folder}: sizes {first.shape[:2]} and {second.shape[:2]}; expected two aligned photos")
    return pair_truth(first, second)


def pair_truth(first: UInt8Array, second: UInt8Array) -> Truth:
    """Two aligned photos (H, W, 3), stacked to (2 H, W, 3); the sharper one is in focus at every clear pixel."""
    first_sharper, second_sharper = clearly_sharper(first, second)
    at_first, at_second = np.flatnonzero(first_sharper), np.flatnonzero(second_sharper)
    pixels = first_sharper.size
    pairs = OrdinalPairs(
        np.concatenate([at_first + pixels, at_second]), np.concatenate([at_first, at_second + pixels]), 1.0
    )
    clear = np.flatnonzero(first_sharper | second_sharper)
    return Truth(
        np.concatenate([first, second]),
        near_far_pairs=pairs,
        defocus_indices=np.concatenate([clear, clear + pixels]),
        sampled_blurred=np.concatenate([second_sharper.flat[clear], first_sharper.flat[clear]]) if len(clear) else None,
    )


def clearly_sharper(first: UInt8Array, second: UInt8Array) -> tuple[BoolArray, BoolArray]:
    """Pixels at which the first photo is clearly sharper, and those at which the second is; (H, W), disjoint.

    The ratio of the smoothed Laplacian magnitudes must exceed :data:`PAIR_RATIO`; the larger of them must exceed the
    noise floor and the 40 % quantile of the pair.
    """
    sigma_px = PAIR_SIGMA * max(first.shape[:2])
    a, b = smoothed_laplacian(first, sigma_px), smoothed_laplacian(second, sigma_px)
    larger = np.maximum(a, b)
    textured = larger > max(PAIR_NOISE_FLOOR, float(np.quantile(larger, 1 - TEXTURE_SHARE)))
    return textured & (a > PAIR_RATIO * b), textured & (b > PAIR_RATIO * a)

"""Near/far pairs: of two photos of one scene, the one less sharp at a pixel must get the larger defocus there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mddnet.errors import CaptureError
from mddnet.evaluate.frame_measures import detection_measures
from mddnet.metrics import TEXTURE_SHARE, smoothed_laplacian
from mddnet.scenes.store import read_image
from mddnet.types import BoolArray, UInt8Array

PAIR_SIGMA = 0.01
"""Smoothing of the local sharpness, sigma over the long side."""
PAIR_RATIO = 2.0
"""One photo is clearly sharper where its local sharpness is more than this many times that of the other."""
PAIR_NOISE_FLOOR = 0.02
"""The sharper photo's smoothed |Laplacian| of luma in [0, 1] must exceed this: about noise of 1.4 grey levels."""

_SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, slots=True)
class SharperMasks:
    """Where one of two aligned photos is clearly sharper, (H, W) bool each, never both."""

    first: BoolArray
    second: BoolArray


@dataclass(frozen=True, slots=True)
class PairRow:
    """Near/far accuracy of one pair.

    Attributes:
        name: name of its folder.
        accuracy: share of the asked pixels at which the blurrier photo got the larger defocus, ties half.
        pixels: how many pixels were asked.
        first_share: share of them at which the first photo is the sharper one.
        detection: measures of blur detection, see :func:`~mddnet.evaluate.frame_measures.detection_measures`.
    """

    name: str
    accuracy: float
    pixels: int
    first_share: float
    detection: dict[str, float]


def list_pairs(root: Path) -> list[Path]:
    """Folders with exactly two images directly below ``root``, by name.

    Raises:
        CaptureError: if there is none.
    """
    found = [folder for folder in sorted(root.glob("*/")) if len(pair_files(folder)) == 2]
    if not found:
        raise CaptureError(f"{root}: no pair (a folder of exactly two images) in it; check --data")
    return found


def pair_files(folder: Path) -> list[Path]:
    """The image files of a pair's folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def read_pair(folder: Path) -> tuple[UInt8Array, UInt8Array]:
    """The two photos of a pair, in order of their names.

    Raises:
        CaptureError: if one cannot be read or their sizes differ.
    """
    first, second = (read_image(path) for path in pair_files(folder))
    if first.shape != second.shape:
        raise CaptureError(f"{folder}: sizes {first.shape[:2]} and {second.shape[:2]}; expected two aligned photos")
    return first, second


def clearly_sharper(first: UInt8Array, second: UInt8Array) -> SharperMasks:
    """Pixels at which one photo is clearly sharper than the other.

    The ratio of the smoothed Laplacian magnitudes must exceed :data:`PAIR_RATIO`, the larger of them the noise floor
    and the lower 40 % of the pair.
    """
    sigma_px = PAIR_SIGMA * max(first.shape[:2])
    a, b = smoothed_laplacian(first, sigma_px), smoothed_laplacian(second, sigma_px)
    larger = np.maximum(a, b)
    textured = larger > max(PAIR_NOISE_FLOOR, float(np.quantile(larger, 1 - TEXTURE_SHARE)))
    return SharperMasks(textured & (a > PAIR_RATIO * b), textured & (b > PAIR_RATIO * a))


def pair_row(
    name: str,
    scores: tuple[NDArray[np.floating], NDArray[np.floating]],
    detected: tuple[BoolArray | None, BoolArray | None],
    masks: SharperMasks,
) -> PairRow:
    """Near/far accuracy of what was answered to the two photos of a pair, and blur detection on them.

    Detection: at every asked pixel, the clearly sharper photo is in focus and the other one is blurred, so half of the
    truths are blurred. Both photos are taken together.

    Args:
        name: name of the pair.
        scores: two maps (H, W) of defocus, larger is blurrier, on one scale.
        detected: where blur is found in them, (H, W) each; None for a score without a threshold.
        masks: see :func:`clearly_sharper`.

    Returns:
        The row; its accuracy is NaN if no pixel is clear.
    """
    first, second = scores
    larger_where_blurred = np.concatenate([(second - first)[masks.first], (first - second)[masks.second]])
    pixels = len(larger_where_blurred)
    if not pixels:
        return PairRow(name, float("nan"), 0, float("nan"), {})
    accuracy = float(np.mean((larger_where_blurred > 0) + 0.5 * (larger_where_blurred == 0)))
    asked = masks.first | masks.second
    blurred = np.concatenate([masks.second[asked], masks.first[asked]])
    known = [d[asked] for d in detected if d is not None]
    found = np.concatenate(known) if len(known) == 2 else None
    detection = detection_measures(found, np.concatenate([first[asked], second[asked]]), blurred)
    return PairRow(name, accuracy, pixels, int(masks.first.sum()) / pixels, detection)

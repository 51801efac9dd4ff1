"""The order of the frames of a stack along the focus, found from their sharpness, and its direction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from mddnet.scenes.align import Alignment
from mddnet.scenes.sharpness import modified_laplacian
from mddnet.types import Float32Array

CELLS = (16, 12)  # columns and rows of the grid on which the sharpness of frames is compared
DARK = 1e-7  # squared Laplacian below which sharpness is noise
KEPT_ORDER = 1.15  # a given order is kept if its path is at most this much longer than the shortest that was found
MIN_BREATHING = 0.005  # change of magnification over the sweep that shows its direction ...
MIN_BREATHING_FIT = 0.9  # ... if it follows the order of the frames with this correlation


def frame_order(small: Sequence[Float32Array]) -> list[int]:
    """Numbers of the frames in order of focus, in either direction; the given order if it is about as good.

    Neighbours in a sweep are alike in sharpness everywhere, so the order is a short path through the (H, W) luminance
    images: that of the second eigenvector of their Laplacian (Atkins, Boman and Hendrickson, "A spectral algorithm for
    seriation", SIAM J. Computing 28, 1998), shortened by reversing and moving parts.
    """
    count = len(small)
    given = list(range(count))
    if count < 3:
        return given
    described = np.stack([_described(image) for image in small])
    distance = np.abs(described[:, None] - described[None]).mean(axis=-1)
    scale = 2 * max(float(np.median(np.sort(distance, axis=1)[:, 1:3])), 1e-9)
    alike = np.exp(-distance / scale)
    np.fill_diagonal(alike, 0)
    second = np.linalg.eigh(np.diag(alike.sum(axis=1)) - alike)[1][:, 1]
    shortest = min(_shortened(start, distance) for start in ([int(i) for i in np.argsort(second)], given))
    if _length(given, distance) <= KEPT_ORDER * shortest[0]:
        return given
    return shortest[1]


def _described(luminance: Float32Array) -> NDArray[np.float64]:
    energy = modified_laplacian(luminance) ** 2
    return np.log(cv2.resize(energy, CELLS, interpolation=cv2.INTER_AREA).astype(np.float64) + DARK).ravel()


def _length(path: Sequence[int], distance: NDArray[np.floating]) -> float:
    return float(sum(distance[i, j] for i, j in pairwise(path)))


def _shortened(path: list[int], distance: NDArray[np.floating]) -> tuple[float, list[int]]:
    """A path that no reversal of a part and no move of one frame makes shorter, with its length."""
    best = _length(path, distance)
    improved = True
    while improved:
        improved = False
        for i in range(len(path)):
            for j in range(len(path)):
                moved = path[:i] + path[i + 1 :]
                moved.insert(j, path[i])
                reversed_part = path[:i] + path[i : j + 1][::-1] + path[j + 1 :]
                for trial in (moved, reversed_part) if j > i else (moved,):
                    length = _length(trial, distance)
                    if length < best - 1e-9:
                        path, best, improved = trial, length, True
    return best, path


def near_to_far_by_breathing(alignment: Alignment) -> bool | None:
    """Whether the frames go from near to far, by their magnification; None if that hardly changes.

    Focusing nearer moves the lens away from the sensor, which magnifies the image.
    """
    sizes = alignment.log_magnifications
    if abs(sizes[0] - sizes[-1]) < MIN_BREATHING:
        return None
    if abs(np.corrcoef(sizes, np.arange(len(sizes)))[0, 1]) < MIN_BREATHING_FIT:
        return None
    return bool(sizes[0] > sizes[-1])

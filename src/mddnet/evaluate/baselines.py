"""What every number stands beside: answers that need no network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics import OrdinalPairs, smoothed_laplacian
from mddnet.types import Float32Array

SHARPNESS_SCALES = (0.005, 0.01, 0.02, 0.04)
"""Smoothings of the sharpness baseline, as sigma over the image's long side; the best of them stands for it."""


def row_inv_depth(height: int, width: int) -> Float32Array:
    """The row baseline: lower in the picture is nearer, (H, W), from 0 in the top row to 1 in the bottom row."""
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(rows[:, None], (height, width)))


def negative_sharpness(photo: NDArray[np.generic], scale: float) -> Float32Array:
    """Defocus as the lack of sharpness: minus the smoothed Laplacian of the photo itself, (H, W), for its order only.

    Args:
        photo: (H, W, 3) or (H, W).
        scale: sigma of the smoothing over the long side.
    """
    return -smoothed_laplacian(photo, scale * max(np.shape(photo)[:2]))


def sharpness_defocus_ordinal(photo: NDArray[np.generic], pairs: OrdinalPairs) -> dict[float, float]:
    """Defocus ordinal accuracy of :func:`negative_sharpness` at each of :data:`SHARPNESS_SCALES`, on the same pairs."""
    return {scale: pairs.accuracy(negative_sharpness(photo, scale)) for scale in SHARPNESS_SCALES}

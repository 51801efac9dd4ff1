"""The guided filter: a smooth map that takes its edges from a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mddnet.types import Float32Array, UInt8Array

RADIUS_SHARE = 1 / 24
"""Radius of a window over the long side: what a cell of a coarse map of 20 to 30 cells covers."""
EPSILON = 2e-4
"""Variance of the picture, of values in [0, 1], below which a window holds no edge."""


def guided(values: Float32Array, picture_srgb8: UInt8Array) -> Float32Array:
    """Smooth a map within, but not across, the things in a picture.

    In each window the map is fitted as a linear function of the picture's grey value, and each pixel takes the mean of
    the fits of the windows that it is in (He, Sun and Tang, "Guided Image Filtering", ECCV 2010, equations 5, 6 and 8).

    Args:
        values: (H, W), finite.
        picture_srgb8: (H, W, 3) uint8.

    Returns:
        (H, W).
    """
    guide = cv2.cvtColor(picture_srgb8, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    side = 2 * max(1, round(RADIUS_SHARE * max(values.shape))) + 1

    def mean(x: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray(cv2.blur(x, (side, side), borderType=cv2.BORDER_REFLECT))

    mean_guide, mean_values = mean(guide), mean(values)
    variance = mean(guide * guide) - mean_guide**2
    covariance = mean(guide * values) - mean_guide * mean_values
    slope = covariance / (variance + EPSILON)
    offset = mean_values - slope * mean_guide
    return np.asarray(mean(slope) * guide + mean(offset), dtype=np.float32)

"""Guided filters: edge-preserving smoothing of a map along an image.

In each window, the map is fitted as a linear function of the image; each pixel gets the mean of the fits of all windows
that contain it (He, Sun and Tang, "Guided Image Filtering", ECCV 2010, and IEEE PAMI 2013).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mddnet.types import Float32Array, UInt8Array

RADIUS_SHARE = 1 / 24  # radius of a window over the long edge: about a cell of a coarse map of 20 to 30 cells
EPSILON = 2e-4  # variance of an image in [0, 1] below which a window counts as flat


def grey_guided(
    guide: Float32Array, values: Float32Array, radius_px: int, epsilon: float, border: int = cv2.BORDER_REFLECT
) -> Float32Array:
    """(H, W) finite values smoothed along a grey guide in 0..1 (ECCV 2010, equations 5, 6 and 8).

    Windows of half width ``radius_px`` in which the guide has a variance below ``epsilon`` count as flat.
    """

    def mean(x: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray(cv2.blur(x, (2 * radius_px + 1, 2 * radius_px + 1), borderType=border))

    mean_guide, mean_values = mean(guide), mean(values)
    variance = mean(guide * guide) - mean_guide * mean_guide
    slope = (mean(guide * values) - mean_guide * mean_values) / (variance + epsilon)
    return np.asarray(mean(slope) * guide + mean(mean_values - slope * mean_guide), dtype=np.float32)


def guided(values: Float32Array, picture_srgb8: UInt8Array) -> Float32Array:
    """Smooth (H, W) finite values along a photo, (H, W, 3) uint8."""
    guide = cv2.cvtColor(picture_srgb8, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    return grey_guided(guide, values, max(1, round(RADIUS_SHARE * max(values.shape))), EPSILON)


class GuidedFilter:
    """Smoothing by local linear models of a colour guide, (H, W, 3) in 0..1 (IEEE PAMI 2013, eq. 19-20)."""

    def __init__(self, guide: Float32Array, radius_px: int, epsilon: float) -> None:
        self._guide = [np.ascontiguousarray(guide[:, :, c]) for c in range(3)]
        self._size = (2 * radius_px + 1, 2 * radius_px + 1)
        self._mean = [self._box(g) for g in self._guide]
        cov = np.empty((*guide.shape[:2], 3, 3), dtype=np.float32)
        for a in range(3):
            for b in range(a, 3):
                cov[:, :, a, b] = self._box(self._guide[a] * self._guide[b]) - self._mean[a] * self._mean[b]
                cov[:, :, b, a] = cov[:, :, a, b]
        cov += np.float32(epsilon) * np.eye(3, dtype=np.float32)
        self._inverse = np.linalg.inv(cov)

    def _box(self, values: Float32Array) -> Float32Array:
        return np.asarray(cv2.blur(values, self._size, borderType=cv2.BORDER_REFLECT), dtype=np.float32)

    def coefficients(self, values: Float32Array) -> tuple[list[Float32Array], Float32Array]:
        """Slopes per colour and offset of the averaged local models of ``values``, (H, W) each."""
        mean = self._box(values)
        cov = [self._box(g * values) - m * mean for g, m in zip(self._guide, self._mean, strict=True)]
        slopes = [np.asarray(sum(self._inverse[:, :, c, k] * cov[k] for k in range(3))) for c in range(3)]
        offset = np.asarray(mean - sum(s * m for s, m in zip(slopes, self._mean, strict=True)))
        return [self._box(s) for s in slopes], self._box(offset)

    def __call__(self, values: Float32Array) -> Float32Array:
        slopes, offset = self.coefficients(values)
        return np.asarray(offset + sum(s * g for s, g in zip(slopes, self._guide, strict=True)), dtype=np.float32)

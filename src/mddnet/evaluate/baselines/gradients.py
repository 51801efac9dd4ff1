"""Gradients by derivatives of a Gaussian, and Canny edges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mddnet.types import BoolArray

_CANNY_RANGE = 16_000
NO_GRADIENT = 1e-6


@dataclass(frozen=True)
class Gradient:
    """A gradient at one scale."""

    across: NDArray[np.float64]  # (H, W), along the rows
    down: NDArray[np.float64]  # (H, W), along the columns

    @classmethod
    def of(cls, image: NDArray[np.floating], sigma_px: float) -> Gradient:
        """Gradient of an (H, W) image by derivatives of a Gaussian. Needs SciPy."""
        from scipy.ndimage import gaussian_filter

        values = image.astype(np.float64)
        return cls(*(gaussian_filter(values, sigma_px, order=order, mode="nearest") for order in ((0, 1), (1, 0))))

    @cached_property
    def size(self) -> NDArray[np.float64]:
        return np.hypot(self.across, self.down)

    def edges(self, low: float, high: float) -> BoolArray:
        """Canny edges, (H, W); the thresholds have the unit of the gradient. Needs OpenCV."""
        import cv2

        largest = float(self.size.max())
        if not largest > NO_GRADIENT:
            return np.zeros(self.across.shape, dtype=bool)
        unit = _CANNY_RANGE / largest
        across, down = (np.rint(values * unit).astype(np.int16) for values in (self.across, self.down))
        return np.asarray(cv2.Canny(across, down, low * unit, high * unit, L2gradient=True) > 0)

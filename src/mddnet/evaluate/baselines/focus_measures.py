"""Focus measures of shape-from-focus as defocus estimators for one photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from mddnet.evaluate.methods import Quantity, estimate_from
from mddnet.metrics import Estimate, gaussian_smoothed, luminance, smoothed_laplacian
from mddnet.types import Float32Array, UInt8Array

FOCUS_MEASURE_SIGMA = 0.01  # smoothing of the measures, sigma over the long side of the photo

Measure = Callable[[UInt8Array, float], Float32Array]


def tenengrad(photo: UInt8Array, sigma_px: float) -> Float32Array:
    """Smoothed squared gradient by Sobel's operator (Tenenbaum 1970; Krotkov, "Focusing", IJCV 1987), (H, W)."""
    luma = np.pad(luminance(photo), 1, mode="edge")
    down = luma[:-2] + 2 * luma[1:-1] + luma[2:]
    across = luma[:, :-2] + 2 * luma[:, 1:-1] + luma[:, 2:]
    return gaussian_smoothed((down[:, 2:] - down[:, :-2]) ** 2 + (across[2:] - across[:-2]) ** 2, sigma_px)


def local_variance(photo: UInt8Array, sigma_px: float) -> Float32Array:
    """Variance of the luma under a Gaussian window (grey-level local variance of Pech-Pacheco et al., 2000), (H, W)."""
    luma = luminance(photo)
    # centred first, to avoid cancellation in the difference of two large means
    luma = luma - luma.mean()
    return np.maximum(gaussian_smoothed(luma * luma, sigma_px) - gaussian_smoothed(luma, sigma_px) ** 2, 0.0)


@dataclass(frozen=True, slots=True)
class FocusMeasure:
    """A negative focus measure as blur score: Pertuz et al., "Analysis of focus measure operators" (2013)."""

    quantities: ClassVar[tuple[Quantity, ...]] = ("blur_score",)
    name: str
    measure: Measure  # (photo, sigma_px) to (H, W), larger is sharper

    def infer(self, photo: UInt8Array, /) -> Estimate:
        return estimate_from("blur_score", -self.measure(photo, FOCUS_MEASURE_SIGMA * max(photo.shape[:2])))


FOCUS_MEASURES = {
    "laplacian": smoothed_laplacian,
    "tenengrad": tenengrad,
    "local-variance": local_variance,
}
"""By the name for ``--baseline``."""
BASELINES = {name: partial(FocusMeasure, name, measure) for name, measure in FOCUS_MEASURES.items()}

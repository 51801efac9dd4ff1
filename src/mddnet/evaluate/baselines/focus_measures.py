"""Focus measures of shape-from-focus as defocus estimators for one photo."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from mddnet.evaluate.methods import FunctionMethod
from mddnet.metrics import gaussian_smoothed, luminance, smoothed_laplacian
from mddnet.types import Float32Array, UInt8Array

FOCUS_MEASURE_SIGMA = 0.01  # smoothing of the measures, sigma over the long side of the photo


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


FOCUS_MEASURES: dict[str, Callable[[UInt8Array, float], Float32Array]] = {
    "laplacian": smoothed_laplacian,
    "tenengrad": tenengrad,
    "local-variance": local_variance,
}
"""By the name for ``--baseline``."""


def blur_score(measure: str, photo: UInt8Array) -> Float32Array:
    """A negative focus measure: Pertuz et al., "Analysis of focus measure operators" (2013)."""
    return -FOCUS_MEASURES[measure](photo, FOCUS_MEASURE_SIGMA * max(photo.shape[:2]))


BASELINES = {name: partial(FunctionMethod, name, "blur_score", partial(blur_score, name)) for name in FOCUS_MEASURES}

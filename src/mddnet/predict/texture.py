"""Texture evidence: flat image regions show neither sharpness nor depth."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mddnet.types import Float32Array, UInt8Array

_Number = TypeVar("_Number", np.float64, np.uint32)

WINDOW_PX = 17
HALF_EVIDENCE = 0.02
"""Standard deviation of the grey values, in [0, 1], at which the evidence is one half: about five 8-bit steps."""


def texture_evidence(pixels: UInt8Array) -> Float32Array:
    """Evidence in [0, 1) from the local standard deviation s of grey: s / (s + 0.02), in windows of 17 px.

    The (H, W, 3) uint8 pixels are at network resolution.
    """
    # Unsigned sums may wrap around; their differences are still exact below 2^32.
    grey = pixels.sum(axis=2, dtype=np.uint32)
    count = WINDOW_PX * WINDOW_PX
    first = _window_sums(grey, WINDOW_PX).astype(np.float64)
    variance = _window_sums(grey * grey, WINDOW_PX) * float(count) - first * first  # exact: 0 where the image is flat
    deviation = np.sqrt(variance.astype(np.float32)) * np.float32(1.0 / (3 * 255 * count))
    return np.asarray(deviation / (deviation + np.float32(HALF_EVIDENCE)))


def box_mean(values: NDArray[np.float64], window_px: int) -> NDArray[np.float64]:
    """Mean over a square window of odd width around every pixel; the border is reflected."""
    n = 2 * (window_px // 2) + 1
    return _window_sums(values, window_px) / (n * n)


def _window_sums(values: NDArray[_Number], window_px: int) -> NDArray[_Number]:
    radius = window_px // 2
    n = 2 * radius + 1
    padded = np.pad(values, ((radius + 1, radius), (radius + 1, radius)), mode="symmetric")
    padded[0], padded[:, 0] = 0, 0
    sums = padded.cumsum(axis=0, dtype=values.dtype).cumsum(axis=1, dtype=values.dtype)
    return sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]

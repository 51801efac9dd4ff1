"""Texture evidence: where an image is flat, neither sharpness nor depth can be seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mddnet.types import Float32Array, UInt8Array

WINDOW_PX = 17
HALF_EVIDENCE = 0.02
"""Standard deviation of the grey values, in [0, 1], at which the evidence is one half: about five 8-bit steps."""


def texture_evidence(pixels: UInt8Array) -> Float32Array:
    """Evidence in [0, 1) from the local standard deviation of grey: s / (s + 0.02), in windows of 17 px.

    Args:
        pixels: (H, W, 3) uint8, at network resolution.
    """
    grey = pixels.mean(axis=2, dtype=np.float64) / 255.0
    mean = box_mean(grey, WINDOW_PX)
    deviation = np.sqrt(np.maximum(box_mean(grey * grey, WINDOW_PX) - mean * mean, 0.0))
    return (deviation / (deviation + HALF_EVIDENCE)).astype(np.float32)


def box_mean(values: NDArray[np.float64], window_px: int) -> NDArray[np.float64]:
    """Mean over a square window of odd width around every pixel; beyond the border the image is reflected."""
    radius = window_px // 2
    padded = np.pad(values, radius, mode="symmetric")
    sums = np.cumsum(np.cumsum(padded, axis=0), axis=1)
    sums = np.pad(sums, ((1, 0), (1, 0)))
    n = 2 * radius + 1
    return (sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]) / (n * n)

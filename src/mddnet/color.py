"""sRGB and linear light. Blur happens in linear light: decode before rendering or fusing, encode after."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def linear_from_srgb(srgb: NDArray[np.floating]) -> NDArray[np.float32]:
    """Linear light in [0, 1] from sRGB-encoded values in [0, 1] (IEC 61966-2-1)."""
    x = np.asarray(srgb, dtype=np.float32)
    return np.where(x <= 0.04045, x / 12.92, ((np.maximum(x, 0.0) + 0.055) / 1.055) ** 2.4).astype(np.float32)


def srgb_from_linear(linear: NDArray[np.floating]) -> NDArray[np.float32]:
    """sRGB-encoded values in [0, 1] from linear light; values outside [0, 1] are clipped (IEC 61966-2-1)."""
    x = np.clip(np.asarray(linear, dtype=np.float32), 0.0, 1.0)
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * x ** (1 / 2.4) - 0.055).astype(np.float32)


_LINEAR_OF_BYTE = linear_from_srgb(np.arange(256, dtype=np.float32) / 255.0)


def linear_from_srgb8(srgb8: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Linear light in [0, 1] from 8-bit sRGB, by table."""
    return _LINEAR_OF_BYTE[srgb8]


def srgb8_from_linear(linear: NDArray[np.floating]) -> NDArray[np.uint8]:
    """8-bit sRGB from linear light, rounded to nearest."""
    return (srgb_from_linear(linear) * 255.0 + 0.5).astype(np.uint8)

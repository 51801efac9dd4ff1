"""Colour maps: one for inverse depth and one for signed defocus."""

from __future__ import annotations

import numpy as np

from mddnet.types import Float32Array, UInt8Array


def _colour_table(stops: list[tuple[int, int, int]]) -> UInt8Array:
    """(256, 3) colours, interpolated between evenly spaced stops."""
    at = np.linspace(0.0, 1.0, len(stops))
    levels = np.linspace(0.0, 1.0, 256)
    channels = [np.interp(levels, at, channel) for channel in zip(*stops, strict=True)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


DEPTH_COLOURS = _colour_table(
    [(18, 14, 54), (64, 28, 116), (136, 40, 120), (206, 66, 88), (246, 136, 56), (252, 236, 160)]
)
"""From far (dark) to near (bright); lightness increases throughout, so it also works in grey."""
SIGN_COLOURS = _colour_table([(20, 60, 170), (90, 150, 230), (246, 246, 246), (236, 140, 60), (160, 50, 10)])
"""In front of the plane of focus (blue), sharp (white), behind it (orange)."""

BLUR_GREYS = _colour_table([(246, 246, 246), (96, 96, 100)])
"""From sharp (white) to blurred (grey), where the side of the plane of focus is unknown."""

GREYS = _colour_table([(0, 0, 0), (255, 255, 255)])
"""From none (black) to full (white)."""


def colours(values: Float32Array, low: float, high: float, table: UInt8Array) -> UInt8Array:
    """A map as (H, W, 3) colours of a (256, 3) table; values outside [low, high] are clipped."""
    span = high - low if high > low else 1.0
    level = np.clip((values - low) * (255.0 / span) + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(table[level], dtype=np.uint8)

"""Conversion of samples of any type to 8-bit sRGB, and limits on image size."""

from __future__ import annotations

import math
import os

import numpy as np
from numpy.typing import NDArray

from mddnet.color import srgb8_from_linear
from mddnet.errors import ImageError, MddnetError
from mddnet.types import UInt8Array

MIN_SIDE_PX = 32
MAX_PIXELS = 200_000_000  # limit unless the caller or LIMIT_VARIABLE sets another
LIMIT_VARIABLE = "MDDNET_MAX_MEGAPIXELS"
SIXTEEN_BIT_WHITE = 65535
FEWER_BITS = (8, 10, 12, 14)  # of sensors and of 8-bit images, whose samples larger integers often hold
OVERSHOOT = 0.05  # resampling overshoots a little; float samples farther outside [0, 1] have another scale


def pixel_limit() -> int:
    """Largest number of pixels of an image: 200 megapixels, or the value of MDDNET_MAX_MEGAPIXELS."""
    text = os.environ.get(LIMIT_VARIABLE)
    if not text:
        return MAX_PIXELS
    try:
        megapixels = float(text)
    except ValueError:
        megapixels = math.nan
    if not 0 < megapixels < math.inf:
        raise ImageError(f"{LIMIT_VARIABLE} is {text!r}; expected a positive number of megapixels, such as 400")
    return math.ceil(megapixels * 1e6)


def check_size(
    height: int,
    width: int,
    name: str,
    max_pixels: int | None,
    error: type[MddnetError] = ImageError,
    least: int = 1,
) -> None:
    """Raise ``error`` for an image with an edge below ``least`` or above ``max_pixels`` (or :func:`pixel_limit`)."""
    if min(height, width) < least:
        raise error(f"{name}: {width} x {height} px is too small: expected at least {least} px on each edge")
    most = pixel_limit() if max_pixels is None else max_pixels
    if height * width > most:
        hint = f", or allow more ({LIMIT_VARIABLE}, --max-megapixels)" if max_pixels is None else ""
        raise error(
            f"{name}: {width} x {height} px is too large: expected at most {most / 1e6:g} megapixels; resize it{hint}"
        )


def srgb8_from_samples(samples: NDArray[np.generic], name: str, notes: list[str]) -> UInt8Array:
    """Convert sRGB-encoded bool, integers of up to 16 bits, or floats in [0, 1] to uint8; ImageError for others."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    if samples.dtype == np.bool_:
        return samples.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(samples.dtype, np.floating):
        low, high = float(samples.min()), float(samples.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ImageError(f"{name}: float samples hold NaN or infinity; expected sRGB-encoded values in [0, 1]")
        if low < -OVERSHOOT or high > 1.0 + OVERSHOOT:
            raise ImageError(
                f"{name}: float samples from {low:g} to {high:g}; expected sRGB-encoded values in [0, 1]; for linear "
                "light, use --linear or linear=True"
            )
        floats = np.clip(samples.astype(np.float32), 0.0, 1.0)
        return (floats * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)
    white = integer_white(samples, name, notes)
    return (samples.astype(np.float32) * np.float32(255.0 / white) + np.float32(0.5)).astype(np.uint8)


def srgb8_from_linear_samples(samples: NDArray[np.generic], name: str, notes: list[str]) -> UInt8Array:
    """Convert linear light, integers of up to 16 bits or floats where 1 is white, to 8-bit sRGB; ImageError for others.

    If float light exceeds white, the exposure is lowered so that 99 % of the samples stay below it.
    """
    if np.issubdtype(samples.dtype, np.floating):
        light = samples.astype(np.float32)
        if np.isnan(light).any():
            raise ImageError(f"{name}: float samples hold NaN; expected linear light, 0 is black and 1 is white")
        low = float(light.min())
        if low < -OVERSHOOT * max(1.0, float(np.percentile(light, 99))):
            raise ImageError(f"{name}: float samples from {low:g}; expected linear light, 0 is black and 1 is white")
        bright = float(np.percentile(light, 99))
        if bright > 1.0 + OVERSHOOT and np.isfinite(bright):
            notes.append(f"The light exceeds white: the exposure was lowered by a factor of {bright:.3g}.")
            light = light / np.float32(bright)
        return srgb8_from_linear(light)
    white = 255 if samples.dtype == np.uint8 else integer_white(samples, name, notes)
    return srgb8_from_linear(samples.astype(np.float32) * np.float32(1.0 / white))


def white_of(samples: NDArray[np.generic], linear: bool, name: str) -> float | None:
    """Share of the full range that the conversions of this module make white; None if independent of the samples."""
    if np.issubdtype(samples.dtype, np.floating):
        bright = float(np.percentile(samples.astype(np.float32), 99)) if linear else 0.0
        return bright if 1.0 + OVERSHOOT < bright < math.inf else None
    return None if samples.dtype in (np.uint8, np.bool_) else integer_white(samples, name, []) / SIXTEEN_BIT_WHITE


def scaled_to_white(samples: NDArray[np.generic], white: float | None, notes: list[str]) -> NDArray[np.generic]:
    """Samples of more than 8 bits as floats, where 1 is this share of the full range; as they are without a white."""
    if white is None or samples.dtype in (np.uint8, np.bool_):
        return samples
    if white != 1.0:
        notes.append(f"One exposure for all frames: {white:.3g} of the full range was read as white.")
    full = 1.0 if np.issubdtype(samples.dtype, np.floating) else SIXTEEN_BIT_WHITE
    return samples.astype(np.float32) / np.float32(white * full)


def integer_white(samples: NDArray[np.generic], name: str, notes: list[str]) -> int:
    """The integer that represents white: of the fewest bits, 8 to 14, that hold all samples; otherwise 65535."""
    if not np.issubdtype(samples.dtype, np.integer):
        raise ImageError(f"{name}: samples of type {samples.dtype}; expected uint8, uint16 or float in [0, 1]")
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > SIXTEEN_BIT_WHITE:
        raise ImageError(f"{name}: integer samples from {low} to {high}; expected 0 to 255 or 0 to 65535")
    bits = next((bits for bits in FEWER_BITS if high < 2**bits), None)
    if bits is None:
        return SIXTEEN_BIT_WHITE
    notes.append(f"{samples.dtype} samples up to {high} were read as {bits} bits.")
    return 2**bits - 1

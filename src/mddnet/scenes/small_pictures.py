"""Small JPEG pictures of photos and maps for reports."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mddnet.color_maps import colours
from mddnet.types import Float32Array, UInt8Array

PICTURE_WIDTH_PX = 220
PICTURE_MAX_HEIGHT_PX = 300
JPEG_QUALITY = 82
UNKNOWN_COLOUR = (128, 128, 128)


@dataclass(frozen=True, slots=True)
class SmallPicture:
    """An encoded picture; the title states the content and the range of colours."""

    title: str
    jpeg: bytes
    width: int
    height: int


def fitted_size(width: int, height: int) -> tuple[int, int]:
    """Display size of an image."""
    factor = min(PICTURE_WIDTH_PX / width, PICTURE_MAX_HEIGHT_PX / height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def shrunk(image: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Reduce (H, W, 3) uint8 to (width, height) by averaging."""
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX, reducing_gap=2.0))


def shrunk_map(values: Float32Array, size: tuple[int, int]) -> Float32Array:
    """Reduce (H, W) float32 to (width, height); NaN stays NaN."""
    # nearest: averaging would spread NaN and mix depths at edges
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.NEAREST), dtype=np.float32)


def coloured(values: Float32Array, low: float, high: float, table: UInt8Array) -> UInt8Array:
    """(H, W, 3) colours from a table; unknown is grey."""
    image = colours(np.nan_to_num(values), low, high, table)
    image[np.isnan(values)] = UNKNOWN_COLOUR
    return image


def picture(title: str, pixels: UInt8Array) -> SmallPicture:
    """Encode (H, W, 3) uint8 pixels."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=JPEG_QUALITY)
    return SmallPicture(title, stream.getvalue(), pixels.shape[1], pixels.shape[0])

"""Edits with the maps of the page: a shallower depth of field, and the blur mask."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.demo.page_maps import PageMaps, Point
from mddnet.errors import MddnetError
from mddnet.predict.refocus import SHARP_PHOTO_SHARE, BlurMaps, by_depth_alone, inv_depth_at, refocused_light
from mddnet.types import UInt8Array

MAX_FACTOR = 6.0
CENTRE = (0.5, 0.5)
MASK_SOFTNESS = 0.3  # the mask increases from 0 to 1 within this share of the threshold, below and above it


def refocused(maps: PageMaps, factor: float, point: Point | None = None) -> UInt8Array:
    """The photo, at the size of the maps, with a shallower depth of field: see :func:`mddnet.predict.refocus.refocus`.

    The f-number is divided by a factor from 1 to 6. ``point`` (x, y), as fractions of width and height, is to be in
    focus. Without a plane of focus, blur follows the depth alone, by default from the centre.
    """
    if not 1.0 <= factor <= MAX_FACTOR:
        raise MddnetError(f"aperture times {factor:g}: expected 1 to {MAX_FACTOR:g}")
    blur = BlurMaps(maps.inv_depth, maps.signed_defocus_px, maps.focus, maps.scale)
    if not maps.focus.found:
        point = point or CENTRE
        blur = by_depth_alone(blur, point, SHARP_PHOTO_SHARE * max(maps.width_px, maps.height_px))
    u_focus = None if point is None else inv_depth_at(maps.inv_depth, point)
    return srgb8_from_linear(refocused_light(linear_from_srgb8(maps.pixels), blur, factor, u_focus))


def blur_mask(maps: PageMaps, threshold_px: float) -> UInt8Array:
    """(h, w) mask for editing: 255 where the CoC is above the threshold, in pixels of the photo; soft edges."""
    if not (threshold_px > 0 and math.isfinite(threshold_px)):
        raise MddnetError(f"blur from {threshold_px:g} px: expected a positive number")
    size = np.abs(maps.signed_defocus_px)
    level = (size - threshold_px) / np.float32(2 * MASK_SOFTNESS * threshold_px) + np.float32(0.5)
    return (np.clip(level, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def mask_over_photo(maps: PageMaps, mask: UInt8Array) -> UInt8Array:
    """The photo with the masked part in grey and dimmed."""
    grey = np.asarray(Image.fromarray(maps.pixels).convert("L"), dtype=np.float32)[:, :, None] * np.float32(0.45)
    share = mask[:, :, None].astype(np.float32) / np.float32(255.0)
    return (maps.pixels * (1 - share) + grey * share + 0.5).astype(np.uint8)

"""Rendering of a shallower depth of field, around the plane of focus of the photo or another one.

The variances of blurs add, and the variance of a disc is proportional to the square of its diameter. Changing a CoC of
c to C therefore needs additional blur of sqrt(C^2 - c^2). Where C <= c nothing is changed, since blur is not removed.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from mddnet.demo.page_maps import PageMaps
from mddnet.errors import MddnetError
from mddnet.optics import signed_defocus_px
from mddnet.types import Float32Array, UInt8Array

MAX_FACTOR = 6.0
EXTRA_CAP_PX = 100.0  # largest additional CoC, in pixels of the rendered picture; the renderer accepts up to 128
MASK_SOFTNESS = 0.3  # the mask increases from 0 to 1 within this share of the threshold, below and above it


def extra_defocus_px(existing_px: Float32Array, wanted_px: Float32Array) -> Float32Array:
    """Signed CoC (h, w) of the additional blur, sqrt(C^2 - c^2) with the sign of C; 0 where |C| <= |c|.

    Example:
        >>> extra_defocus_px(np.float32([[3.0]]), np.float32([[-5.0]]))
        array([[-4.]], dtype=float32)
    """
    squared = np.square(wanted_px, dtype=np.float64) - np.square(existing_px, dtype=np.float64)
    return np.copysign(np.sqrt(np.maximum(squared, 0.0)), wanted_px).astype(np.float32)


def significant_defocus_px(maps: PageMaps) -> Float32Array:
    """Signed CoC, reduced by the residual of the lens law.

    The estimate for points in focus is never exactly 0 px; magnified, it would blur what should stay sharp.
    """
    residual_px = np.float32(maps.focus.residual_px if maps.focus.found else 0.0)
    size = np.maximum(np.abs(maps.signed_defocus_px) - residual_px, np.float32(0))
    return np.copysign(size, maps.signed_defocus_px).astype(np.float32)


def wanted_defocus_px(maps: PageMaps, factor: float, u_focus: float | None = None) -> Float32Array:
    """Signed CoC in pixels of the photo with an aperture that is ``factor`` times as wide; see :func:`magnified`."""
    if not 1.0 <= factor <= MAX_FACTOR:
        raise MddnetError(f"aperture times {factor:g}: expected 1 to {MAX_FACTOR:g}")
    if u_focus is None:
        return np.asarray(significant_defocus_px(maps) * np.float32(factor))
    if not maps.focus.found:
        raise MddnetError(f"another plane of focus needs the lens law, which was not found: {maps.focus.reason}")
    return signed_defocus_px(maps.inv_depth, u_focus, maps.focus.kappa_px * factor).astype(np.float32)


def magnified(maps: PageMaps, factor: float, u_focus: float | None = None) -> UInt8Array:
    """The photo, at the size of the maps, with a shallower depth of field: occlusion-aware layers, in linear light.

    The f-number is divided by a factor from 1 to 6. ``u_focus`` is another plane of focus, in the unit of the maps;
    MddnetError where no lens law was found.
    """
    from mddnet.scenes.render import render_defocus  # OpenCV and SciPy, which the rest of the page does not need

    wanted = wanted_defocus_px(maps, factor, u_focus)
    extra = extra_defocus_px(significant_defocus_px(maps), wanted) * np.float32(maps.scale)
    if float(np.abs(extra).max()) < 0.2:
        return maps.pixels
    return render_defocus(maps.pixels, np.clip(extra, -EXTRA_CAP_PX, EXTRA_CAP_PX))


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

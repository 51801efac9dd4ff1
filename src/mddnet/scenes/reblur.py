"""Another defocus for a photo that has some: blur is added in layers, and a part of it is removed by a Wiener filter.

The variances of blurs add, and the variance of a disc is proportional to the square of its diameter. Changing a CoC of
c to a larger C therefore needs additional blur of sqrt(C^2 - c^2). Where C < c, blur has to be removed: at most half of
it, since a photo lacks the detail of a sharper one, and none above 12 px.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mddnet.scenes.render import Aperture, LensFlaws, defocused_light, psf_kernel
from mddnet.types import Float32Array

FINE_PX = 12.0  # layers with a larger CoC are blurred at a lower resolution
UNCHANGED_BELOW_PX = 0.2  # largest additional CoC that is not rendered
FIELD_CELLS = 4  # cells per side within which the cat's eye is interpolated
SMOOTH_SHARE = 0.003  # smoothing of the additional CoC over the long side: steps of maps are less certain than that
JUMP_SHARE = 0.25  # step of the additional CoC, as a share of its range, that is the edge of an object
LEAST_JUMP_PX = 3.0
REMOVABLE_PX = (1.0, 1.5, 2.0, 3.0, 4.5, 6.5, 9.0, 12.0)  # CoC for which filters are made
MOST_REMOVED = 0.5  # share of the CoC
NOISE_TO_SIGNAL = 0.1  # ratio of the powers, assumed equal at all frequencies
FILTER_SIDE_PX = 64


def extra_defocus_px(existing_px: Float32Array, wanted_px: Float32Array) -> Float32Array:
    """Signed CoC (h, w) of the additional blur, sqrt(C^2 - c^2) with the sign of C; 0 where |C| <= |c|.

    Example:
        >>> extra_defocus_px(np.float32([[3.0]]), np.float32([[-5.0]]))
        array([[-4.]], dtype=float32)
    """
    squared = np.square(wanted_px, dtype=np.float64) - np.square(existing_px, dtype=np.float64)
    return np.copysign(np.sqrt(np.maximum(squared, 0.0)), wanted_px).astype(np.float32)


def reblurred(
    light: Float32Array, existing_px: Float32Array, wanted_px: Float32Array, aperture: Aperture, sharpen: bool
) -> Float32Array:
    """A photo with another defocus, (H, W, 3) linear light; values above 1 stay, so that highlights become discs.

    Args:
        light: (H, W, 3), linear light >= 0.
        existing_px: (H, W), signed CoC diameter of the photo, pixels of this image.
        wanted_px: (H, W), signed CoC diameter of the result, pixels of this image.
        aperture: shape of the added blur. Its cat's eye is that of the corners; it is 0 in the centre and radial.
        sharpen: whether to remove blur where less is wanted.
    """
    if sharpen:
        light = _sharpened(light, np.abs(existing_px), np.abs(wanted_px))
    extra = extra_defocus_px(existing_px, wanted_px)
    if float(np.abs(extra).max()) < UNCHANGED_BELOW_PX:
        return light
    extra = np.asarray(cv2.GaussianBlur(extra, (0, 0), SMOOTH_SHARE * max(extra.shape)), dtype=np.float32)
    jump_px = max(LEAST_JUMP_PX, JUMP_SHARE * float(np.ptp(extra)))
    if aperture.cat_eye:
        return _rendered_by_field(light, extra, aperture, jump_px)
    return defocused_light(light, extra, LensFlaws(aperture), jump_px, FINE_PX)


def _rendered_by_field(light: Float32Array, extra: Float32Array, aperture: Aperture, jump_px: float) -> Float32Array:
    """Additional blur with a cat's eye that grows towards the corners: overlapping tiles, blended bilinearly."""
    height, width = extra.shape
    rows, columns = (np.linspace(0, n - 1, FIELD_CELLS + 1) for n in (height, width))
    margin = int(np.ceil(np.abs(extra).max())) + 2
    blended = np.zeros_like(light)
    for y in rows:
        for x in columns:
            row_share = _hat(np.arange(height), y, rows[1])
            column_share = _hat(np.arange(width), x, columns[1])
            top, bottom = _span(row_share)
            left, right = _span(column_share)
            outer = (slice(max(0, top - margin), bottom + margin), slice(max(0, left - margin), right + margin))
            dy, dx = y - (height - 1) / 2, x - (width - 1) / 2
            cat_eye = aperture.cat_eye * float(np.hypot(dy, dx) / np.hypot((height - 1) / 2, (width - 1) / 2))
            here = Aperture(aperture.blades, aperture.rotation_rad, cat_eye, float(np.arctan2(dy, dx)), centred=True)
            tile = defocused_light(light[outer], extra[outer], LensFlaws(here), jump_px, FINE_PX)
            share = row_share[top:bottom, None, None] * column_share[None, left:right, None]
            inner = tile[top - outer[0].start :, left - outer[1].start :][: bottom - top, : right - left]
            blended[top:bottom, left:right] += share * inner
    return blended


def _hat(at: NDArray[np.intp], centre: float, reach: float) -> Float32Array:
    return np.maximum(0.0, 1.0 - np.abs(at - centre) / reach).astype(np.float32)


def _span(share: Float32Array) -> tuple[int, int]:
    used = np.flatnonzero(share > 0)
    return int(used[0]), int(used[-1]) + 1


def _sharpened(light: Float32Array, existing_px: Float32Array, wanted_px: Float32Array) -> Float32Array:
    """Light with less blur where the wanted CoC is smaller: a share of the filter that halves the CoC."""
    ratio = np.clip(wanted_px / np.maximum(existing_px, np.float32(1e-3)), MOST_REMOVED, 1.0)
    share = (1.0 - ratio**2) / (1.0 - MOST_REMOVED**2)
    limits = np.array([0.0, *REMOVABLE_PX, 2 * REMOVABLE_PX[-1]])
    result = light
    for number, coc_px in enumerate(REMOVABLE_PX, 1):
        # a hat around this CoC, whose sum over all of them is 1 up to the largest
        below = (existing_px - limits[number - 1]) / (limits[number] - limits[number - 1])
        above = (limits[number + 1] - existing_px) / (limits[number + 1] - limits[number])
        weight = (np.clip(np.minimum(below, above), 0.0, 1.0) * share).astype(np.float32)
        if weight.max() < 1e-3:
            continue
        halved = cv2.filter2D(light, -1, _halving_filter(coc_px), borderType=cv2.BORDER_REFLECT)
        result = result + weight[:, :, None] * (halved - light)
    return light if result is light else np.maximum(result, 0.0)


def _halving_filter(coc_px: float) -> Float32Array:
    """Wiener filter that changes a disc of c into one of c / 2: W = D(c/2) D(c)* / (|D(c)|^2 + noise), sum 1."""
    now, then = (_transfer(psf_kernel(diameter)) for diameter in (coc_px, MOST_REMOVED * coc_px))
    response = np.conj(now) * then / (np.abs(now) ** 2 + NOISE_TO_SIGNAL)
    full = np.fft.fftshift(np.fft.ifft2(response).real)
    half = min(FILTER_SIDE_PX // 2 - 1, int(np.ceil(1.5 * coc_px)) + 2)
    middle = slice(FILTER_SIDE_PX // 2 - half, FILTER_SIDE_PX // 2 + half + 1)
    kernel = full[middle, middle]
    return (kernel / kernel.sum()).astype(np.float32)


def _transfer(kernel: Float32Array) -> NDArray[np.complex128]:
    padded = np.zeros((FILTER_SIDE_PX, FILTER_SIDE_PX))
    size = kernel.shape[0]
    start = FILTER_SIDE_PX // 2 - size // 2
    padded[start : start + size, start : start + size] = kernel
    return np.fft.fft2(np.fft.ifftshift(padded))

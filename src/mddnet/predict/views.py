"""The photo from other viewpoints: a stereo pair, an anaglyph, and a clip with a moving camera.

A camera that moves sideways by b displaces a point by b v u / p, which is proportional to inverse depth u. Relative
inverse depth, whose scale is unknown, is as good as metric: the displacement of the whole range is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.predict.prediction import Prediction
from mddnet.predict.resampling import strips
from mddnet.types import Float32Array, UInt8Array

STEREO_SHARE = 0.03  # displacement between both eyes, from the farthest to the nearest part, over the width
PARALLAX_SHARE = 0.03  # the same between the ends of the clip
CLIP_S, CLIP_RATE = 3.0, 30
CLIP_SIDE_PX = 1280
DUBOIS_LEFT = np.array([[0.437, 0.449, 0.164], [-0.062, -0.062, -0.024], [-0.048, -0.050, -0.017]], np.float32)
DUBOIS_RIGHT = np.array([[-0.011, -0.032, -0.007], [0.377, 0.761, 0.009], [-0.026, -0.093, 1.234]], np.float32)
"""Linear light of a red-cyan anaglyph from that of each eye (Dubois, ICASSP 2001)."""


def stereo_pair(prediction: Prediction) -> tuple[UInt8Array, UInt8Array]:
    """The views of the left and the right eye, (H, W, 3) each; what was in focus appears on the screen."""
    height, width = prediction.size
    pixels, levels = prediction.photo.pixels, _levels_of(prediction)
    left, right = np.empty_like(pixels), np.empty_like(pixels)
    for start, stop in strips(height):
        level = levels(prediction.rows("inv_depth", start, stop))
        for view, side in ((left, 0.5), (right, -0.5)):
            view[start:stop] = shifted_view(pixels[start:stop], level, side * STEREO_SHARE * width)
    return left, right


def side_by_side(prediction: Prediction) -> UInt8Array:
    """(H, 2 W, 3): the view of the left eye on the left, that of the right eye on the right."""
    return np.concatenate(stereo_pair(prediction), axis=1)


def anaglyph(prediction: Prediction) -> UInt8Array:
    """(H, W, 3): both views in one picture for glasses with a red left and a cyan right side."""
    left, right = stereo_pair(prediction)
    result = np.empty_like(left)
    for start, stop in strips(len(left)):
        red, cyan = (linear_from_srgb8(view[start:stop]) for view in (left, right))
        result[start:stop] = srgb8_from_linear(red @ DUBOIS_LEFT.T + cyan @ DUBOIS_RIGHT.T)
    return result


def parallax_clip(prediction: Prediction) -> Iterator[UInt8Array]:
    """The frames of a clip of 3 seconds in which the camera swings to both sides, (h, w, 3) with even sides."""
    height, width = prediction.size
    scale = min(1.0, CLIP_SIDE_PX / max(height, width))
    size = max(2, round(width * scale)), max(2, round(height * scale))
    pixels = np.asarray(Image.fromarray(prediction.photo.pixels).resize(size, Image.Resampling.LANCZOS))
    level = _levels_of(prediction)(prediction.fitted("inv_depth", size))
    reach_px = PARALLAX_SHARE / 2 * size[0]
    margin = math.ceil(reach_px * float(np.abs(level[:, [0, -1]]).max()))  # beyond the sides of the photo
    columns = slice(margin, margin + (size[0] - 2 * margin) // 2 * 2)
    count = round(CLIP_S * CLIP_RATE)
    for number in range(count):
        shift_px = reach_px * math.sin(2 * math.pi * number / count)
        yield shifted_view(pixels, level, shift_px)[: size[1] // 2 * 2, columns]


def _levels_of(prediction: Prediction) -> Callable[[Float32Array], Float32Array]:
    """A function that maps inverse depth to a range of 1, and 0 for what was in focus (the middle, if unknown)."""
    low, high = (float(value) for value in np.percentile(prediction.maps.inv_depth, [1, 99]))
    u = prediction.focus.u_focus if prediction.focus.found else (low + high) / 2
    zero, span = min(max(u, low), high), max(high - low, 1e-12)
    return lambda inv_depth: ((np.clip(inv_depth, low, high) - zero) / span).astype(np.float32)


def shifted_view(pixels: UInt8Array, level: Float32Array, shift_px: float) -> UInt8Array:
    """(h, w, 3): every pixel displaced to the right by ``shift_px * level``; nearer ones (larger level) occlude.

    What becomes visible behind an edge is the farther surface, mirrored at the edge.
    """
    height, width = level.shape
    order = np.argsort(level, axis=1, kind="stable")  # far first: of several values for one pixel the last stays
    rows = np.arange(height)[:, None]
    target = order + np.float32(shift_px) * level[rows, order]
    left = np.floor(target).astype(np.intp)
    at = np.stack([left, left + 1], axis=2).reshape(height, -1)
    target = np.repeat(target, 2, axis=1)
    source = np.repeat(order, 2, axis=1) + (at - target)
    inside = (at >= 0) & (at < width) & (np.abs(at - target) < 1)
    flat = (rows * width + at)[inside]
    sources = np.full(height * width, np.nan, dtype=np.float32)
    sources[flat] = source[inside]
    levels = np.full(height * width, np.inf, dtype=np.float32)
    levels[flat] = np.repeat(np.take_along_axis(level, order, axis=1), 2, axis=1)[inside]
    filled = _filled(sources.reshape(height, width), levels.reshape(height, width))
    return _sampled(pixels, np.clip(filled, 0, width - 1))


def _filled(sources: Float32Array, levels: Float32Array) -> Float32Array:
    """Source columns without gaps: each continues its farther side, mirrored."""
    known = np.isfinite(sources)
    if known.all():
        return sources
    width = sources.shape[1]
    columns = np.broadcast_to(np.arange(width), sources.shape)
    before = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, columns, width)[:, ::-1], axis=1)[:, ::-1]
    rows = np.arange(len(sources))[:, None]
    level_before = np.where(before >= 0, levels[rows, np.maximum(before, 0)], np.inf)
    level_after = np.where(after < width, levels[rows, np.minimum(after, width - 1)], np.inf)
    edge = np.clip(np.where(level_before <= level_after, before, after), 0, width - 1)
    mirrored = np.clip(2 * edge - columns, 0, width - 1)
    there = sources[rows, mirrored]
    same_surface = np.isfinite(there) & (levels[rows, mirrored] <= levels[rows, edge] + 0.1)
    filled = np.where(same_surface, there, sources[rows, edge])
    return np.where(known, sources, np.nan_to_num(filled)).astype(np.float32)


def _sampled(pixels: UInt8Array, columns: Float32Array) -> UInt8Array:
    """Pixels at fractional columns of their row, interpolated."""
    left = np.floor(columns).astype(np.intp)
    share: NDArray[np.float32] = (columns - left)[:, :, None].astype(np.float32)
    rows = np.arange(len(pixels))[:, None]
    one, two = pixels[rows, left], pixels[rows, np.minimum(left + 1, pixels.shape[1] - 1)]
    return (one * (1 - share) + two * share + np.float32(0.5)).astype(np.uint8)

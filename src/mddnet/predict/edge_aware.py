"""Means over neighbours across no edge, and upsampling that puts the edges of a map on those of the photo.

Both are joint bilateral: a neighbour counts less the more its colour differs (Petschnigg et al., "Digital Photography
with Flash and No-Flash Image Pairs", SIGGRAPH 2004; Kopf et al., "Joint Bilateral Upsampling", SIGGRAPH 2007).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from mddnet.types import Float32Array, UInt8Array

UPSAMPLING_COLOUR = 0.06
"""Difference of colour, root mean square of the channels in [0, 1], at which a cell's weight falls to exp(-1/2)."""
LEAST_WEIGHT = 1e-4
"""Added to every weight of the upsampling, so that a colour that no cell has is interpolated as if all had it."""


def cell_means(photo: UInt8Array, stride: int) -> Float32Array:
    """(H, W, 3) averaged over squares of ``stride`` pixels, (h, w, 3) in [0, 1]; the last ones may be smaller."""
    return np.asarray(Image.fromarray(photo).reduce(stride), dtype=np.float32) / np.float32(255)


class EdgeAwareMean:
    """Weighted means over neighbourhoods of half width ``radius``; weights fall with the distance between vectors.

    The vectors are those of a ``guide``, (H, W, C) float32; pixels are alike if their squared distance is well below 1.
    """

    def __init__(self, guide: Float32Array, radius: int) -> None:
        self._radius = radius
        self._shape = guide.shape[:2]
        self._offsets: list[tuple[int, int]] = []
        self._weights: list[Float32Array] = []
        channels = np.ascontiguousarray(guide.transpose(2, 0, 1))
        for down in range(radius + 1):
            for right in range(-radius, radius + 1):
                # The weight of a pair is that of both directions.
                if (down == 0 and right <= 0) or down * down + right * right > radius * radius + 1:
                    continue
                here, there = _pair(self._shape, down, right)
                if not all(s.stop > s.start for s in here):
                    continue
                apart = channels[:, here[0], here[1]] - channels[:, there[0], there[1]]
                weight = np.einsum("cij,cij->ij", apart, apart)
                weight *= np.float32(-0.5)
                weight -= np.float32((down * down + right * right) * 2.0 / (radius * radius))
                self._offsets.append((down, right))
                self._weights.append(np.exp(weight, out=weight))
        self._total = self._sum(np.ones(self._shape, np.float32))

    def _sum(self, values: Float32Array) -> Float32Array:
        total = values.copy()
        for (down, right), weight in zip(self._offsets, self._weights, strict=True):
            here, there = _pair(self._shape, down, right)
            total[here] += weight * values[there]
            total[there] += weight * values[here]
        return total

    def __call__(self, values: Float32Array) -> Float32Array:
        """The mean around every pixel of (H, W) ``values``."""
        return self._sum(values) / self._total


def _pair(shape: tuple[int, int], down: int, right: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The slices of all pixels that have a neighbour at an offset, and of these neighbours; ``down`` >= 0."""
    height, width = shape
    rows, below = slice(0, height - down), slice(down, height)
    if right >= 0:
        return (rows, slice(0, width - right)), (below, slice(right, width))
    return (rows, slice(-right, width)), (below, slice(0, width + right))


def upsampled_along(
    photo: UInt8Array, cells: Float32Array, stride: int, maps: Sequence[Float32Array]
) -> list[Float32Array]:
    """Joint bilateral upsampling of (h, w) maps on cells of ``stride`` pixels to the (H, W) of their photo.

    ``cells`` are the mean colours of the photo, (h, w, 3), from :func:`cell_means`. Each pixel gets a mean of the nine
    cells around it: weights are those of a quadratic B-spline, times the likeness of the cell's mean colour to the
    pixel's. A value is always between those of its cells.

    On 14 Middlebury scenes of training locations, from cells of 4 px of their blurred inverse depth, the mean error
    near depth edges is 4.5 % of the range (bilinear 5.3 %, a fast guided filter 5.6 %), elsewhere .3 % (.3 %, .8 %).
    """
    (height, width), (h, w) = photo.shape[:2], cells.shape[:2]
    more = ((0, h * stride - height), (0, w * stride - width), (0, 0))
    # Phases first, (stride, 3, stride, h, w): pixels of one phase lie next to each other like the cells.
    pixels = np.pad(photo, more, mode="edge").reshape(h, stride, w, stride, 3).transpose(1, 4, 3, 0, 2)
    around = [np.pad(values, 1, mode="edge") for values in maps]
    colours = np.pad(np.float32(255) * cells.transpose(2, 0, 1), ((0, 0), (1, 1), (1, 1)), mode="edge")
    scale = np.float32(-0.5 / (3 * (255 * UPSAMPLING_COLOUR) ** 2))
    spline = _spline(stride)
    result = np.zeros((len(maps), h, stride, w, stride), np.float32)
    for row in range(stride):  # one at a time, so that they fit into the processor's cache
        pixel = np.ascontiguousarray(pixels[row], dtype=np.float32)  # (3, stride, h, w)
        total = np.zeros(pixel.shape[1:], np.float32)
        sums = np.zeros((len(maps), *total.shape), np.float32)
        weight, part = np.empty_like(total), np.empty_like(total)
        for i in range(3):
            for j in range(3):
                cell = (slice(i, i + h), slice(j, j + w))
                np.square(np.subtract(pixel[0], colours[0][cell], out=weight), out=weight)
                for channel in (1, 2):
                    weight += np.square(np.subtract(pixel[channel], colours[channel][cell], out=part), out=part)
                weight *= scale
                np.exp(weight, out=weight)
                weight += np.float32(LEAST_WEIGHT)
                weight *= (spline[i][row] * spline[j])[:, None, None]
                total += weight
                for k, values in enumerate(around):
                    sums[k] += np.multiply(weight, values[cell], out=part)
        sums /= total
        result[:, :, row] = sums.transpose(0, 2, 3, 1)
    whole = result.reshape(len(maps), h * stride, w * stride)[:, :height, :width]
    return [np.ascontiguousarray(values) for values in whole]


def _spline(stride: int) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Weights of the cell before, the own cell and the cell after, by the pixel's phase in its cell."""
    x = (np.arange(stride, dtype=np.float32) + np.float32(0.5)) / np.float32(stride) - np.float32(0.5)
    half = np.float32(0.5)
    return half * np.square(half - x), np.float32(0.75) - x * x, half * np.square(half + x)

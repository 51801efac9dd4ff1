"""The all-in-focus image of a stack: each pixel from the frames in which it is sharp, mixed in linear light."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

from mddnet.cores import worker_threads
from mddnet.scenes.sharpness import noise_variance, sharpness
from mddnet.types import Float32Array

LinearPart = Callable[[int, slice, slice], Float32Array]  # rows and columns of a frame as linear light, (h, w, 3)

SEARCH_FRAMES = 2
WINDOW_PX = 2.0  # sigma of the window of the sharpness
TILE_PX = 512  # edge of the parts that are fused one by one
HALO_PX = 16  # pixels around a tile that its sharpness depends on: windows of 8, 4 and 4 px
NOISE_FRAMES = 4  # frames, at least, whose mean light shows the noise; fewer only if there are no more
FLAT = 1e-9  # sharpness below which no frame is sharper than another


def fuse(
    linear_frames: Iterable[Float32Array], index: Float32Array, numbers: Iterable[int] | None = None
) -> Float32Array:
    """All-in-focus image of N frames of linear light: mixture of the two around ``index``, (H, W), 0..N-1, finite.

    With the ``numbers`` of the frames, those that no pixel needs may be missing.
    """
    sharp: Float32Array | None = None
    for i, frame in zip(itertools.count() if numbers is None else numbers, linear_frames, strict=False):
        if sharp is None:
            sharp = np.zeros_like(frame)
        weight = np.clip(1 - np.abs(index - i), 0, None).astype(np.float32)
        use = weight > 0
        share = weight[use]
        sharp[use] += (share if frame.ndim == 2 else share[:, None]) * frame[use]
    if sharp is None:
        raise ValueError("no frame to fuse; expected at least one")
    return sharp


def _around(index: Float32Array, count: int, reach: int) -> range:
    """Numbers of the frames nearer than ``reach + 1`` to some of ``index``."""
    low, high = int(np.floor(index.min())) - reach, int(np.ceil(index.max())) + reach
    return range(max(0, low), min(count, high + 1))


def sharpest_nearby(
    linear_frames: Sequence[Float32Array], index: Float32Array, window_px: float = WINDOW_PX
) -> Float32Array:
    """Index of the sharpest frame within ``SEARCH_FRAMES`` of ``index``, (H, W), finite: for fusion, not for depth.

    A depth that is smooth across a fine structure is off by a frame or two there, which would blur the structure in the
    fused image. The limited search excludes blurred rims of distant bright objects.
    """
    return _sharpest_nearby(linear_frames.__getitem__, len(linear_frames), index, window_px)


def _sharpest_nearby(
    linear: Callable[[int], Float32Array], count: int, index: Float32Array, window_px: float
) -> Float32Array:
    noise = noise_variance([linear(i) for i in range(0, count, max(1, count // NOISE_FRAMES))], window_px)
    scores: list[tuple[int, Float32Array]] = []
    for i in _around(index, count, SEARCH_FRAMES):
        near = np.clip(SEARCH_FRAMES + 1 - np.abs(index - i), 0, 1).astype(np.float32)
        if near.any():
            scores.append((i, near * sharpness(linear(i), noise, window_px)))
    top = np.maximum.reduce([score for _, score in scores])
    total, best = np.zeros_like(top), np.zeros_like(top)
    for i, score in scores:
        # A high power approximates a maximum without seams.
        share = np.square(np.square(np.square(score / np.maximum(top, FLAT))))
        total += share
        best += share * np.float32(i)
    chosen = np.where(top > FLAT, best / np.maximum(total, FLAT), index).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(chosen, (0, 0), 1.0), dtype=np.float32)


def fuse_parts(
    linear_part: LinearPart,
    count: int,
    index: Float32Array,
    sharpest: bool = True,
    tile_px: int = TILE_PX,
    threads: int = 1,
) -> Float32Array:
    """All-in-focus image, (H, W, 3) linear light, by :func:`fuse` and, if ``sharpest``, :func:`sharpest_nearby`.

    It is made in tiles, so that few of the ``count`` frames are in memory, and only those near the depth of a tile are
    read; ``index`` is (H, W), 0..N-1, finite.
    """
    height, width = index.shape
    fused = np.empty((height, width, 3), dtype=np.float32)
    halo = HALO_PX if sharpest else 0

    def make(corner: tuple[int, int]) -> None:
        outer, inner, target = [], [], []
        for start, size in zip(corner, (height, width), strict=True):
            stop = min(size, start + tile_px)
            outer.append(slice(max(0, start - halo), min(size, stop + halo)))
            inner.append(slice(start - outer[-1].start, stop - outer[-1].start))
            target.append(slice(start, stop))
        linear = functools.cache(lambda i: linear_part(i, *outer))
        at = index[tuple(outer)]
        best = _sharpest_nearby(linear, count, at, WINDOW_PX) if sharpest else at
        needed = _around(best, count, 0)
        fused[tuple(target)] = fuse(map(linear, needed), best, needed)[tuple(inner)]

    corners = [(y, x) for y in range(0, height, tile_px) for x in range(0, width, tile_px)]
    with worker_threads(threads) as pool:
        list(pool.map(make, corners))
    return fused

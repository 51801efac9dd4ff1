"""The all-in-focus image of a stack: each pixel from the frames in which it is sharp, mixed in linear light."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

from mddnet.scenes.sharpness import sharpness_profile
from mddnet.types import Float32Array

SEARCH_FRAMES = 2
STRIP_BYTES = 200e6  # size of linear light of all frames in memory at a time ...
WHOLE_BYTES = 500e6  # ... unless the whole stack takes no more than this
HALO_ROWS = 16  # rows around a strip that its sharpness depends on: windows of 8, 4 and 4 rows
FLAT = 1e-9  # sharpness below which no frame is sharper than another


def fuse(linear_frames: Iterable[Float32Array], index: Float32Array) -> Float32Array:
    """All-in-focus image of N frames of linear light: mixture of the two around ``index``, (H, W), 0..N-1, finite."""
    sharp: Float32Array | None = None
    for i, frame in enumerate(linear_frames):
        weight = np.clip(1 - np.abs(index - i), 0, None).astype(np.float32)
        if sharp is None:
            sharp = np.zeros_like(frame)
        use = weight > 0
        share = weight[use]
        sharp[use] += (share if frame.ndim == 2 else share[:, None]) * frame[use]
    if sharp is None:
        raise ValueError("no frame to fuse; expected at least one")
    return sharp


def sharpest_nearby(linear_frames: Sequence[Float32Array], index: Float32Array, window_px: float = 2.0) -> Float32Array:
    """Index of the sharpest frame within ``SEARCH_FRAMES`` of ``index``, (H, W), finite: for fusion, not for depth.

    A depth that is smooth across a fine structure is off by a frame or two there, which would blur the structure in the
    fused image. The limited search excludes blurred rims of distant bright objects.
    """
    near = [np.clip(SEARCH_FRAMES + 1 - np.abs(index - i), 0, 1).astype(np.float32) for i in range(len(linear_frames))]
    profile = sharpness_profile(linear_frames, window_px, [bool(weight.any()) for weight in near])
    for sharpness, weight in zip(profile, near, strict=True):
        sharpness *= weight
    top = profile.max(axis=0)
    # A high power approximates a maximum without seams.
    score = (profile / np.maximum(top, FLAT)) ** 8
    frame_number = np.arange(len(profile), dtype=np.float32)[:, None, None]
    best = (score * frame_number).sum(axis=0) / np.maximum(score.sum(axis=0), FLAT)
    smooth = cv2.GaussianBlur(np.where(top > FLAT, best, index).astype(np.float32), (0, 0), 1.0)
    return np.asarray(smooth, dtype=np.float32)


def fuse_sharpest(
    linear_rows: Callable[[int, slice], Float32Array], count: int, index: Float32Array, strip_rows: int | None = None
) -> Float32Array:
    """All-in-focus image, (H, W, 3) linear light, by :func:`sharpest_nearby` and :func:`fuse`.

    A large stack is fused in strips. ``linear_rows`` returns rows of frame i of ``count`` as linear light; ``index`` is
    (H, W), 0..N-1, finite.
    """
    height, width = index.shape
    if strip_rows is None:
        per_row = count * width * 3 * 4
        whole = per_row * height <= WHOLE_BYTES
        strip_rows = height if whole else max(HALO_ROWS, int(STRIP_BYTES / per_row) - 2 * HALO_ROWS)
    parts = []
    for top in range(0, height, strip_rows):
        bottom = min(height, top + strip_rows)
        outer = slice(max(0, top - HALO_ROWS), min(height, bottom + HALO_ROWS))
        frames = [linear_rows(i, outer) for i in range(count)]
        inner = slice(top - outer.start, bottom - outer.start)
        best = sharpest_nearby(frames, index[outer])[inner]
        parts.append(fuse((frame[inner] for frame in frames), best))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)

"""The all-in-focus image of a stack: every pixel from the frames in which it is sharp, mixed in linear light."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from mddnet.sets.sharpness import sharpness_profile
from mddnet.types import Float32Array

SEARCH_FRAMES = 2
FLAT = 1e-9
"""Sharpness below which no frame is sharper than another."""


def fuse(linear_frames: Iterable[Float32Array], index: Float32Array) -> Float32Array:
    """All-in-focus image: the two frames around the depth index, mixed linearly.

    Args:
        linear_frames: N arrays (H, W, 3) or (H, W) of linear light, taken one at a time.
        index: (H, W), 0..N-1; must be finite.

    Returns:
        float32 linear light of the shape of a frame.
    """
    sharp: Float32Array | None = None
    for i, frame in enumerate(linear_frames):
        weight = np.clip(1 - np.abs(index - i), 0, None).astype(np.float32)
        if sharp is None:
            sharp = np.zeros_like(frame)
        sharp += (weight if frame.ndim == 2 else weight[:, :, None]) * frame
    if sharp is None:
        raise ValueError("no frame to fuse; expected at least one")
    return sharp


def sharpest_nearby(linear_frames: Sequence[Float32Array], index: Float32Array, window_px: float = 2.0) -> Float32Array:
    """The index of the sharpest frame within ``SEARCH_FRAMES`` of ``index``: for fusing, not for depth.

    A depth that is smooth across a fine structure is off by a frame or two there, which is a blurred structure in the
    fused image; looking only nearby keeps the blurred rims of distant bright things out.

    Args:
        linear_frames: N arrays (H, W, 3) of linear light.
        index: (H, W), finite.
        window_px: sigma of the window in which sharpness is measured.
    """
    profile = sharpness_profile(linear_frames, window_px)
    near = np.stack([np.clip(SEARCH_FRAMES + 1 - np.abs(index - i), 0, 1) for i in range(len(profile))])
    profile *= near.astype(np.float32)
    top = profile.max(axis=0)
    # A high power of an energy is close to a maximum, but has no seams.
    score = (profile / np.maximum(top, FLAT)) ** 8
    frame_number = np.arange(len(profile), dtype=np.float32)[:, None, None]
    best = (score * frame_number).sum(axis=0) / np.maximum(score.sum(axis=0), FLAT)
    smooth = cv2.GaussianBlur(np.where(top > FLAT, best, index).astype(np.float32), (0, 0), 1.0)
    return np.asarray(smooth, dtype=np.float32)

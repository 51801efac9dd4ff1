"""Depth from focus: the fractional index of the sharpest frame at each pixel, and its confidence.

Two methods are used in sequence. The *peak* of the sharpness profile needs only the frames. Once a sharp image and the
blur per frame are known, the *re-rendering cost* finds the index that best explains all frames; it has subframe
resolution and detects pixels that no depth explains, such as moving people.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mddnet.scenes.filling import nearest_filled
from mddnet.scenes.guided_filter import GuidedFilter
from mddnet.scenes.sharpness import noise_floor
from mddnet.types import BoolArray, Float32Array

QUANTISATION = (0.5 / 255) ** 2  # mean squared error, sRGB-encoded, below which 8-bit files show no difference


@dataclass(frozen=True, slots=True)
class FocusDepth:
    """Depth as frame index 0..N-1, NaN where unknown, with confidence in [0, 1]; (H, W) float32 each."""

    index: Float32Array
    confidence: Float32Array


def peak_position(scores: Float32Array) -> Float32Array:
    """(H, W) position of the highest of (N, H, W) scores, N >= 2, refined by a parabola through three scores.

    On the logarithms of a focus measure, the parabola is the Gaussian fit of Nayar and Nakagawa (1994).
    """
    best = scores.argmax(axis=0)
    if len(scores) == 2:
        return best.astype(np.float32)
    inner = np.clip(best, 1, len(scores) - 2)
    left, mid, right = (np.take_along_axis(scores, (inner + d)[None], axis=0)[0].astype(np.float64) for d in (-1, 0, 1))
    bend = left - 2 * mid + right
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = np.where(bend < 0, 0.5 * (left - right) / bend, 0.0)
    # The parabola must not extrapolate beyond the first and last frame.
    position = np.where(best == inner, inner + np.clip(offset, -0.5, 0.5), best)
    return position.astype(np.float32)


def depth_from_sharpness(profile: Float32Array, guide: Float32Array) -> FocusDepth:
    """Index of the peak of (N, H, W) sharpness, pooled over neighbours that are alike in ``guide``, (H, W, 3) sRGB."""
    floor = noise_floor(profile)
    top = profile.max(axis=0)
    contrast = (top - np.median(profile, axis=0)) / (top + 3 * floor)
    weight = (np.clip(contrast, 0, 1) * top / (top + 10 * floor)).astype(np.float32)
    fine, coarse = GuidedFilter(guide, 3, 1e-3), GuidedFilter(guide, 12, 1e-3)
    scores = np.empty_like(profile)
    for i in range(len(profile)):
        share = weight * profile[i] / (top + floor)
        scores[i] = fine(share) + 0.2 * coarse(share)
    index = peak_position(np.log(np.maximum(scores, 1e-4)))
    confidence = np.clip((scores.max(axis=0) - np.median(scores, axis=0)) / 0.6, 0, 1)
    return FocusDepth(index, confidence.astype(np.float32))


def depth_from_cost(cost: Float32Array, unblurred: Float32Array, guide: Float32Array) -> FocusDepth:
    """Index that best explains all frames.

    ``cost`` is (N, H, W), the mean squared error over frames if the pixel had that index; ``unblurred`` is that of the
    sharp image, and ``guide`` the sharp image, (H, W, 3), sRGB-encoded.
    """
    noise = max(float(np.quantile(cost.min(axis=0), 0.2)), QUANTISATION)
    spread = np.sqrt(cost.mean(axis=0) + 4 * noise)
    fine, coarse = GuidedFilter(guide, 4, 4e-4), GuidedFilter(guide, 14, 4e-4)
    pooled = np.empty_like(cost)
    for i in range(len(cost)):
        scaled = (cost[i] / spread).astype(np.float32)
        pooled[i] = fine(scaled) + 0.15 * coarse(scaled)
    index = peak_position(-pooled)
    lowest, middle = pooled.min(axis=0), np.median(pooled, axis=0)
    # Decided: the minimum exceeds the noise. Explained: blur accounts for the changes between frames.
    decided = np.clip((middle - lowest) / (middle + 2 * np.sqrt(noise)) / 0.6, 0, 1)
    local = cv2.GaussianBlur(np.take_along_axis(cost, np.rint(index).astype(np.int64)[None], axis=0)[0], (0, 0), 2.0)
    total = cv2.GaussianBlur(unblurred, (0, 0), 2.0)
    explained = np.clip(1.25 - local / (total + 2 * noise), 0, 1)
    return FocusDepth(index, (decided * explained).astype(np.float32))


def complete(depth: FocusDepth, frame_count: int, guide: Float32Array, floor: float = 0.02) -> FocusDepth:
    """Replace every index by the confidence-weighted median of similar neighbours; areas without any stay unknown.

    Histograms of the index are pooled by guided filters with a small and (at less weight) a large window, and their
    median is taken (Ma et al., "Constant time weighted median filtering for stereo matching and beyond", ICCV 2013).
    This removes outliers and fills areas of pooled confidence above ``floor`` without copying texture of the guide.
    """
    known = np.nan_to_num(depth.index, nan=0.0)
    weight = np.where(np.isnan(depth.index), 0, depth.confidence**2 + 1e-4).astype(np.float32)
    near, far = GuidedFilter(guide, 5, 1e-3), GuidedFilter(guide, 24, 1e-3)
    histogram = np.empty((frame_count, *known.shape), dtype=np.float32)
    for j in range(frame_count):
        here = weight * np.clip(1 - np.abs(known - j), 0, None).astype(np.float32)
        histogram[j] = np.maximum(near(here), 0) + 0.02 * np.maximum(far(here), 0)
    index = _histogram_median(histogram)
    tolerance = 1 + 0.05 * frame_count
    agreement = np.exp(-(((known - index) / tolerance) ** 2))
    unknown = cv2.GaussianBlur(weight, (0, 0), 12.0) < floor
    confidence = np.clip(depth.confidence * agreement, 0, 1)
    return _masked(index, confidence, unknown)


def _masked(index: Float32Array, confidence: Float32Array, unknown: BoolArray) -> FocusDepth:
    known = np.where(unknown, np.nan, index).astype(np.float32)
    return FocusDepth(known, np.where(unknown, 0, confidence).astype(np.float32))


def _histogram_median(histogram: Float32Array) -> Float32Array:
    """Median of every pixel's histogram, (N, H, W) of bins centred on 0..N-1, interpolated linearly."""
    cumulative = np.cumsum(histogram, axis=0, dtype=np.float64)
    half = 0.5 * cumulative[-1]
    bin_of = np.argmax(cumulative >= half, axis=0)
    upper = np.take_along_axis(cumulative, bin_of[None], axis=0)[0]
    inside = np.take_along_axis(histogram, bin_of[None], axis=0)[0]
    share = np.where(inside > 0, 1 - (upper - half) / np.maximum(inside, 1e-12), 0.5)
    return np.clip(bin_of - 0.5 + share, 0, len(histogram) - 1).astype(np.float32)


def upsample(depth: FocusDepth, small_guide: Float32Array, guide: Float32Array) -> FocusDepth:
    """Upsample a depth from the size of ``small_guide``, (h, w, 3), to that of ``guide``, the same image (H, W, 3).

    The local linear models are solved at the small size and evaluated at the large one (He and Sun, "Fast guided
    filter", 2015), then clipped to the range of the neighbouring values.
    """
    height, width = guide.shape[:2]
    size = (width, height)
    unknown = np.isnan(depth.index).astype(np.uint8)
    filled = nearest_filled(depth.index)
    slopes, offset = GuidedFilter(small_guide, 2, 1e-3).coefficients(filled)
    grown = cv2.resize(offset, size, interpolation=cv2.INTER_LINEAR)
    for c, slope in enumerate(slopes):
        grown = grown + cv2.resize(slope, size, interpolation=cv2.INTER_LINEAR) * guide[:, :, c]
    kernel = np.ones((3, 3), np.uint8)
    low = cv2.resize(cv2.erode(filled, kernel), size, interpolation=cv2.INTER_NEAREST)
    high = cv2.resize(cv2.dilate(filled, kernel), size, interpolation=cv2.INTER_NEAREST)
    index = np.clip(grown, low, high)
    hidden = cv2.resize(unknown, size, interpolation=cv2.INTER_NEAREST).astype(bool)
    confidence = np.clip(cv2.resize(depth.confidence, size, interpolation=cv2.INTER_LINEAR), 0, 1)
    return _masked(index, confidence, hidden)

"""Detection of photos out of distribution, unlike those of training, by their pixel statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mddnet.types import UInt8Array

OUT_OF_DISTRIBUTION = "The photo is unlike those that the model was trained on"  # start of the note
BLACK, WHITE = 4, 251
SAMPLED_ROWS = 256
"""Every second row of an image with more rows is used."""
DARKEST, BRIGHTEST = 20.0, 230.0
MOST_CLIPPED = 0.5
MOST_FLAT = 0.65
SMOOTHEST, ROUGHEST = 0.0003, 0.5
"""Bounds of :class:`PixelStatistics`. Of 837 frames of training locations, the mean is 38 to 210, clipped at most 0.47,
flat at most 0.62, and rough 0.0007 to 0.33; of 500 sharp photos, 22 to 207, 0.45, 0.54, and 0.0018 to 0.43."""
UNKNOWN_AGREEMENT = 0.5
"""Agreement with the lens law where it is unknown: no plane of focus, or a photo out of distribution."""


@dataclass(frozen=True, slots=True)
class PixelStatistics:
    """Statistics of the network's image."""

    mean: float  # mean grey, 0 to 255
    clipped: float  # share of black or white pixels, the mean of their channels below 4 or above 251
    flat: float  # share of equal horizontal neighbours
    rough: float  # mean squared difference of horizontal neighbours over twice the variance; 1 for white noise


def pixel_statistics(pixels: UInt8Array) -> PixelStatistics:
    """The statistics of (H, W, 3) uint8 at network resolution."""
    rows = pixels[:: 2 if len(pixels) > SAMPLED_ROWS else 1]
    grey = rows[..., 0].astype(np.float32)  # sums of bytes: exact
    grey += rows[..., 1]
    grey += rows[..., 2]
    steps = grey[:, 1:] - grey[:, :-1]
    variance = float(grey.var())
    clipped = np.count_nonzero(grey < 3 * BLACK) + np.count_nonzero(grey > 3 * WHITE)
    flat = steps.size - np.count_nonzero(steps)
    rough = float(np.vdot(steps, steps)) / steps.size / (2.0 * variance) if variance > 0 else 0.0
    return PixelStatistics(float(grey.mean()) / 3.0, clipped / grey.size, flat / steps.size, rough)


def unlike_training(pixels: UInt8Array) -> list[str]:
    """How an (H, W, 3) uint8 image at network resolution differs from training photos."""
    facts = pixel_statistics(pixels)
    checks = {
        f"{facts.flat:.0%} of the pixels equal their neighbour": facts.flat > MOST_FLAT,
        f"{facts.clipped:.0%} of it is black or white": facts.clipped > MOST_CLIPPED,
        f"its mean grey is {facts.mean:.0f} of 255": not DARKEST <= facts.mean <= BRIGHTEST,
        "it has no structure larger than a pixel": facts.rough > ROUGHEST,
        "it has no detail": facts.rough < SMOOTHEST and facts.flat <= MOST_FLAT,
    }
    return [reason for reason, applies in checks.items() if applies]


def out_of_distribution_note(pixels: UInt8Array) -> str:
    """A note on how such an image differs from training photos; "" if it does not."""
    reasons = unlike_training(pixels)
    return f"{OUT_OF_DISTRIBUTION}: {', '.join(reasons)}. Its maps are unreliable." if reasons else ""

"""Confidence, lens law and warning for photos out of distribution.

Constant and saturated photos, noise, gradients and patterns have no depth; uniformly sharp or blurred photos have no
plane of focus; rotated and night photos have both, but differ from usual training photos.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.corruption import unchanged
from benchmarks.settings import Settings, predictions_for, sharp_photos

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.evaluate.discs import blurred
from mddnet.predict.out_of_distribution import OUT_OF_DISTRIBUTION
from mddnet.predict.prediction import Prediction
from mddnet.types import UInt8Array

BLUR_PX, MUCH_BLUR_PX = 16.0, 40.0
NIGHT_LIGHT = 0.01
"""Exposure at night over that of the photo."""
NIGHT_ELECTRONS = 400.0
"""Electrons of white at night: noise of 5 % at white, 16 % at a tenth of white."""
PATTERN_PX = 8
HALF = 0.5
"""A confidence above this is high; half of the pixels of a textured photo in focus have it."""


def constant(photo: UInt8Array) -> UInt8Array:
    """One grey everywhere."""
    return np.full_like(photo, 128)


def white(photo: UInt8Array) -> UInt8Array:
    """Saturated everywhere."""
    return np.full_like(photo, 255)


def overexposed(photo: UInt8Array) -> UInt8Array:
    """Eight times the light: most of the photo is saturated."""
    return srgb8_from_linear(linear_from_srgb8(photo) * np.float32(8.0))


def white_noise(photo: UInt8Array) -> UInt8Array:
    """Noise without any structure."""
    return np.random.default_rng(0).integers(0, 256, photo.shape, dtype=np.uint8)


def coarse_noise(photo: UInt8Array) -> UInt8Array:
    """Noise in squares of 8 px."""
    height, width = photo.shape[:2]
    small = np.random.default_rng(0).integers(
        0, 256, (height // PATTERN_PX + 1, width // PATTERN_PX + 1, 3), dtype=np.uint8
    )
    return small.repeat(PATTERN_PX, 0).repeat(PATTERN_PX, 1)[:height, :width]


def gradient(photo: UInt8Array) -> UInt8Array:
    """From black at the left to white at the right."""
    height, width = photo.shape[:2]
    ramp = np.linspace(0, 255, width).round().astype(np.uint8)
    return np.broadcast_to(ramp[None, :, None], (height, width, 3)).copy()


def checkerboard(photo: UInt8Array) -> UInt8Array:
    """Squares of 8 px, black and white."""
    rows, columns = np.indices(photo.shape[:2]) // PATTERN_PX
    return np.where((rows + columns) % 2, np.uint8(255), np.uint8(0))[..., None].repeat(3, 2)


def rotated(photo: UInt8Array) -> UInt8Array:
    """Rotated by 180 degrees: what is below is far."""
    return np.ascontiguousarray(photo[::-1, ::-1])


def night(photo: UInt8Array) -> UInt8Array:
    """A hundredth of the light, with shot noise, amplified to a fifth of the original brightness."""
    electrons = np.random.default_rng(0).poisson(linear_from_srgb8(photo) * NIGHT_ELECTRONS)
    return srgb8_from_linear((electrons / NIGHT_ELECTRONS * 0.2).astype(np.float32))


def dark(photo: UInt8Array) -> UInt8Array:
    """A hundredth of the light, not amplified."""
    return srgb8_from_linear(linear_from_srgb8(photo) * np.float32(NIGHT_LIGHT))


ODD_PHOTOS: dict[str, Callable[[UInt8Array], UInt8Array]] = {
    "sharp photo, unchanged": unchanged,
    "one grey": constant,
    "white": white,
    "overexposed by 3 stops": overexposed,
    "noise, pixel by pixel": white_noise,
    "noise in squares of 8 px": coarse_noise,
    "a gradient from black to white": gradient,
    "a checkerboard of 8 px": checkerboard,
    f"all blurred by {BLUR_PX:g} px": lambda photo: blurred(photo, BLUR_PX),
    f"all blurred by {MUCH_BLUR_PX:g} px": lambda photo: blurred(photo, MUCH_BLUR_PX),
    "rotated by 180 degrees": rotated,
    "night, amplified, with noise": night,
    "a hundredth of the light": dark,
}


@dataclass(frozen=True, slots=True)
class PhotoSummary:
    """Summary of the prediction for one photo."""

    defocus_px: float  # median CoC, pixels
    confidence: float  # mean confidence
    high_share: float  # share of the pixels with a confidence above 0.5
    found: bool  # whether a plane of focus was found
    residual_px: float  # of the lens law, pixels
    warned: bool  # whether a note says that the photo is unlike those that the model was trained on


def photo_summary(prediction: Prediction) -> PhotoSummary:
    """Summarise a prediction."""
    return PhotoSummary(
        float(np.median(prediction.defocus_px)),
        float(prediction.confidence.mean()),
        float((prediction.confidence > HALF).mean()),
        prediction.focus.found,
        prediction.focus.residual_px,
        any(note.startswith(OUT_OF_DISTRIBUTION) for note in prediction.notes),
    )


def out_of_distribution_markdown(summaries: Mapping[str, Sequence[PhotoSummary]], model: str) -> str:
    """One row for each kind of photo; medians over the photos."""
    count = len(next(iter(summaries.values())))
    lines = [
        f"# Photos out of distribution, {model}",
        "",
        f"Medians over {count} photos, each generated from a sharp one; pixels are those of the photo. "
        "Confidence above 0.5: share of the pixels.",
        "",
        "| photo | CoC, median, px | mean confidence | confidence above 0.5 | focus found | residual, px | warned |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in summaries.items():
        lines.append(
            f"| {name} | {np.median([row.defocus_px for row in rows]):.1f} "
            f"| {np.median([row.confidence for row in rows]):.2f} | {np.median([row.high_share for row in rows]):.0%} "
            f"| {sum(row.found for row in rows)} of {count} | {np.median([row.residual_px for row in rows]):.1f} "
            f"| {sum(row.warned for row in rows)} of {count} |"
        )
    return "\n".join(lines) + "\n"


def run(settings: Settings) -> str:
    """Predict photos out of distribution, generated from sharp ones."""
    predictor, name = settings.load()
    summaries = predictions_for(sharp_photos(), ODD_PHOTOS, lambda pixels: photo_summary(predictor.predict(pixels)))
    return out_of_distribution_markdown(summaries, name)

"""Predictions for corruptions other than defocus: motion, sharpening, computed bokeh, haze and unusual lenses.

Each corruption is applied to a sharp photo, so that it causes all differences in the prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.settings import Settings, predictions_for, sharp_photos

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.evaluate.discs import blurred
from mddnet.predict.prediction import Prediction
from mddnet.types import BoolArray, Float32Array, LensLawFit, UInt8Array

MOTION_PX = 16
BOKEH_PX = 12.0
SHARPEN_RADIUS_PX, SHARPEN_AMOUNT = 3.0, 1.5
HAZE_LEFT = 0.35
"""Transmission of the haze at the top of the photo; it is 1 in the lower half."""
TILT_PX = 12.0
LEVELS = 6
"""Spatially varying blur is interpolated between this number of constant blurs."""


def moved(photo: UInt8Array, length_px: int = MOTION_PX) -> UInt8Array:
    """Horizontal motion blur of that length, in linear light."""
    light = linear_from_srgb8(photo)
    total = np.zeros_like(light)
    for shift in range(length_px):
        total += np.roll(light, shift - length_px // 2, axis=1)
    return srgb8_from_linear(total / np.float32(length_px))


def sharpened(photo: UInt8Array) -> UInt8Array:
    """Halos of phone cameras: an unsharp mask of radius 3 px and amount 1.5, on sRGB values."""
    soft = blurred(photo, 4.0 * SHARPEN_RADIUS_PX).astype(np.float32)
    values = photo.astype(np.float32)
    return np.clip(values + SHARPEN_AMOUNT * (values - soft), 0, 255).astype(np.uint8)


def computed_bokeh(photo: UInt8Array) -> UInt8Array:
    """A "portrait mode": outside an ellipse in the middle, a constant blur of 12 px with a hard edge."""
    return np.where(subject(photo.shape[:2])[..., None], photo, blurred(photo, BOKEH_PX))


def subject(size: tuple[int, ...]) -> BoolArray:
    """The ellipse that :func:`computed_bokeh` leaves sharp, (H, W)."""
    y, x = _centred(size)
    return np.asarray((x / 0.45) ** 2 + (y / 0.7) ** 2 < 1)


def hazy(photo: UInt8Array) -> UInt8Array:
    """Haze that increases towards the top, to a transmission of 35 %: lower contrast without blur."""
    y, _ = _centred(photo.shape[:2])
    through = (1 - (1 - HAZE_LEFT) * np.clip(-y, 0, 1)).astype(np.float32)[..., None]
    return srgb8_from_linear(linear_from_srgb8(photo) * through + np.float32(0.8) * (1 - through))


def tilted(photo: UInt8Array) -> UInt8Array:
    """A flat subject through a tilted lens: a sharp row in the middle, 12 px of blur at the top and at the bottom."""
    y, _ = _centred(photo.shape[:2])
    return _varying(photo, (np.abs(y) * TILT_PX).astype(np.float32))


def field_curved(photo: UInt8Array) -> UInt8Array:
    """A flat subject through a lens of curved field: sharp in the middle, 12 px of blur in the corners."""
    y, x = _centred(photo.shape[:2])
    return _varying(photo, ((x**2 + y**2) / 2 * TILT_PX).astype(np.float32))


def unchanged(photo: UInt8Array) -> UInt8Array:
    """The sharp photo itself."""
    return photo


CORRUPTIONS: dict[str, Callable[[UInt8Array], UInt8Array]] = {
    "sharp photo, unchanged": unchanged,
    f"motion blur of {MOTION_PX} px": moved,
    "sharpening with halos": sharpened,
    f"computed bokeh, background {BOKEH_PX:g} px": computed_bokeh,
    "haze growing to the top": hazy,
    f"tilted lens, 0 to {TILT_PX:g} px": tilted,
    f"curved field, 0 to {TILT_PX:g} px": field_curved,
}


def _centred(size: tuple[int, ...]) -> tuple[Float32Array, Float32Array]:
    """Row and column of every pixel, from -1 to 1."""
    y = np.linspace(-1, 1, size[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, size[1], dtype=np.float32)[None, :]
    return np.broadcast_to(y, size), np.broadcast_to(x, size)


def _varying(photo: UInt8Array, diameter_px: Float32Array) -> UInt8Array:
    """A photo blurred by a disc of slowly varying diameter, interpolated between constant blurs."""
    diameters = np.linspace(0, float(diameter_px.max()), LEVELS)
    step = diameters[1]
    total = np.zeros(photo.shape, dtype=np.float32)
    for diameter in diameters:
        level = photo if diameter < 1.5 else blurred(photo, float(diameter))
        share = np.clip(1 - np.abs(diameter_px - np.float32(diameter)) / np.float32(step), 0, 1)
        total += linear_from_srgb8(level) * share[..., None].astype(np.float32)
    return srgb8_from_linear(total)


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of the prediction for one corrupted photo."""

    defocus_px: float  # median CoC, pixels
    high_px: float  # the 90th percentile of it
    confidence: float  # mean confidence
    focus: LensLawFit  # the lens law that was fitted
    kappa_range_px: float  # how much blur the law sees between the nearest and the farthest tenth of the photo


def summary_of(predict: Callable[[UInt8Array], Prediction], photo: UInt8Array) -> Summary:
    """Predict a photo, and summarise the prediction."""
    prediction = predict(photo)
    low, high = np.percentile(prediction.inv_depth, [10, 90])
    fit = prediction.focus
    return Summary(
        float(np.median(prediction.defocus_px)),
        float(np.percentile(prediction.defocus_px, 90)),
        float(prediction.confidence.mean()),
        fit,
        float(fit.kappa_px * (high - low)) if fit.found else 0.0,
    )


def corruption_markdown(summaries: Mapping[str, Sequence[Summary]], model: str) -> str:
    """One row for each corruption; medians over the photos."""
    lines = [
        f"# Corruptions other than defocus, {model}",
        "",
        f"Medians over {len(next(iter(summaries.values())))} sharp, corrupted photos; pixels are those of the photo.",
        "",
        "| photo | CoC, median, px | 90th percentile, px | mean confidence | focus found | blur by the law, px |",
        "|---|---|---|---|---|---|",
    ]
    for name, rows in summaries.items():
        found = sum(row.focus.found for row in rows)
        cells = [
            f"{np.median([row.defocus_px for row in rows]):.1f}",
            f"{np.median([row.high_px for row in rows]):.1f}",
            f"{np.median([row.confidence for row in rows]):.2f}",
            f"{found} of {len(rows)}",
            f"{np.median([row.kappa_range_px for row in rows]):.1f}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def run(settings: Settings) -> str:
    """Predict corrupted sharp photos."""
    predictor, name = settings.load()
    summaries = predictions_for(sharp_photos(), CORRUPTIONS, lambda pixels: summary_of(predictor.predict, pixels))
    return corruption_markdown(summaries, name)

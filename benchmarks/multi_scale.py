"""Effect of a second pass at twice the resolution: error of the CoC by its true size, and near/far pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from benchmarks.settings import Settings, bin_names

from mddnet.data.split import read_split
from mddnet.errors import CaptureError
from mddnet.evaluate.pairs import pair_source
from mddnet.evaluate.scenes import (
    choose_frames,
    choose_scenes,
    has_true_defocus,
    read_frame,
    read_maps,
    true_signed_defocus,
)
from mddnet.predict.predictor import Model
from mddnet.predict.resampling import upsampled
from mddnet.types import BoolArray, Float32Array, UInt8Array

MIN_DOWNSAMPLING = 1.25
"""Smallest ratio of the photo's long side to that of the network's input; smaller photos gain nothing."""
SIZE_BINS_PX = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, np.inf)
"""Limits of the true CoC, in pixels of the first pass's input."""
MIN_PIXELS = 500
FRAMES, SCENES_PER_LOCATION = 3, 3
"""Most photos of a scene, and scenes of a location."""
PASSES = ("one pass", "one pass at twice the resolution", "both passes")


@dataclass(frozen=True, slots=True)
class SizeErrors:
    """Mean |c - c_true| of a photo in each bin of the true size, pixels of the first pass's input, by pass."""

    location: str
    errors: Mapping[str, Sequence[float]]


def size_errors(model: Model, photo: UInt8Array, true_px: Float32Array, mask: BoolArray, location: str) -> SizeErrors:
    """Measure one photo with each pass.

    Args:
        model: the network.
        photo: (H, W, 3) uint8.
        true_px: (H, W) true CoC diameter, pixels of the photo.
        mask: (H, W) bool, textured pixels with known CoC.
        location: location of the photo.
    """
    usual = model.network_maps(photo)
    large = model.network_maps(photo, 2 * model.model_dir.long_side)
    size = photo.shape[0], photo.shape[1]
    estimates = {
        PASSES[0]: upsampled(usual.coc_px, size) * usual.scale,
        PASSES[1]: upsampled(large.coc_px, size) * large.scale,
        PASSES[2]: model.predict(photo, refine=True).defocus_px,
    }
    errors: dict[str, list[float]] = {name: [] for name in PASSES}
    for low, high in pairwise(SIZE_BINS_PX):
        here = mask & (true_px >= low * usual.scale) & (true_px < high * usual.scale)
        for name, estimate in estimates.items():
            few = here.sum() < MIN_PIXELS
            errors[name].append(float("nan") if few else float(np.abs(estimate - true_px)[here].mean() / usual.scale))
    return SizeErrors(location, errors)


def pair_accuracy(model: Model, pairs: Path) -> dict[str, list[float]]:
    """Share of the pixels of each near/far pair in the right order, by pass: one, and both."""
    refined = {PASSES[0]: False, PASSES[2]: True}
    found: dict[str, list[float]] = {name: [] for name in refined}
    for sample in pair_source(pairs).samples:
        truth = sample.load()
        if truth is None or truth.near_far_pairs is None:
            continue
        first, second = np.split(truth.photo, 2)
        for name, refine in refined.items():
            blur = [model.predict(photo, refine=refine).defocus_px for photo in (first, second)]
            found[name].append(truth.near_far_pairs.accuracy(np.concatenate(blur)))
    return found


def multi_scale_markdown(photos: Sequence[SizeErrors], pairs: Mapping[str, Sequence[float]], model: str) -> str:
    """Means over photos, then over locations; and of the pairs."""
    locations = sorted({photo.location for photo in photos})
    names = bin_names(SIZE_BINS_PX)
    lines = [
        f"# A second pass at twice the resolution, {model}",
        "",
        f"{len(photos)} photos of {len(locations)} dev locations, each at least {MIN_DOWNSAMPLING:g} times as",
        "long as the network's input. Mean |c - c_true| of the CoC by its true size, means over photos, then",
        "locations; all in pixels of the first pass's input.",
        "",
        "| true CoC, px | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for name in PASSES:
        by_location = []
        for location in locations:
            table = np.array([photo.errors[name] for photo in photos if photo.location == location])
            by_location.append([np.nanmean(c) if np.isfinite(c).any() else np.nan for c in table.T])
        means = [f"{np.nanmean(c):.2f}" if np.isfinite(c).any() else "" for c in np.array(by_location).T]
        lines.append(f"| {name} | " + " | ".join(means) + " |")
    lines += [
        "",
        f"Of {len(pairs[PASSES[0]])} near/far pairs of other cameras, the share of pixels at which the clearly sharper",
        "photo has the smaller CoC:",
        "",
        "| | mean | worst pair |",
        "|---|---|---|",
        *(f"| {name} | {np.mean(shares):.3f} | {np.min(shares):.3f} |" for name, shares in pairs.items()),
    ]
    return "\n".join(lines) + "\n"


def run(settings: Settings) -> str:
    """Measure the CoC with and without a second pass on the dev locations."""
    predictor, name = settings.load()
    least = MIN_DOWNSAMPLING * predictor.model_dir.long_side
    measured = []
    chosen = choose_scenes(
        settings.scenes, read_split(settings.data / "split.csv"), "dev", scenes_per_location=SCENES_PER_LOCATION
    )
    for scene in chosen.scenes:
        maps = read_maps(scene)
        if max(maps.sharp.shape) < least:
            continue
        for frame in choose_frames(scene, FRAMES):
            if has_true_defocus(scene.record, frame):
                true_px = np.abs(true_signed_defocus(maps, frame))
                photo = read_frame(scene, frame, maps)
                where = maps.mask & np.isfinite(true_px)
                measured.append(size_errors(predictor, photo, true_px, where, scene.record.location))
    if not measured:
        raise CaptureError(f"{settings.scenes}: no dev photo of {least:.0f} px or more with a known CoC; build more")
    return multi_scale_markdown(measured, pair_accuracy(predictor, settings.data / "pairs"), name)

"""What a second look at twice the size is worth: the error of the CoC by its true size, with it and without.

``python -m benchmarks.multi_scale --scenes work/scenes --data ../shared/data -o finer-look.md`` writes the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import App, Parameter

from mddnet.data.split import read_split
from mddnet.errors import CaptureError
from mddnet.evaluate.result_page import bin_names, write_result_page
from mddnet.evaluate.scenes import (
    choose_frames,
    choose_scenes,
    has_true_defocus,
    read_frame,
    read_truth,
    true_signed_defocus,
)
from mddnet.predict.enlarge import enlarged
from mddnet.predict.predictor import Model, load
from mddnet.types import BoolArray, Float32Array, UInt8Array

LARGER_THAN_SEEN = 1.25
"""Only photos longer than what the network sees, by this factor, gain by a look at more of their pixels."""
SIZE_BINS_PX = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, np.inf)
"""Limits of the true CoC, in pixels of the usual look's image."""
MIN_PIXELS = 500
LOOKS = ("usual", "whole photo at twice the size", "mixed: `--fine`")


@dataclass(frozen=True, slots=True)
class SizeErrors:
    """Mean |c - c_true| of a photo within each bin of the true size, pixels of the usual look's image, by look."""

    place: str
    errors: Mapping[str, Sequence[float]]


def size_errors(model: Model, photo: UInt8Array, true_px: Float32Array, asked: BoolArray, place: str) -> SizeErrors:
    """Measure one photo with each look.

    Args:
        model: what looks.
        photo: (H, W, 3) uint8.
        true_px: (H, W) true CoC diameter, pixels of the photo.
        asked: (H, W) bool, where it is known and can be seen.
        place: where the photo was taken.
    """
    usual = model.network_maps(photo)
    large = model.network_maps(photo, 2 * model.model_dir.long_side)
    size = photo.shape[0], photo.shape[1]
    answers = {
        LOOKS[0]: enlarged(usual.defocus_px, size) * usual.scale,
        LOOKS[1]: enlarged(large.defocus_px, size) * large.scale,
        LOOKS[2]: model.predict(photo, refine=True).defocus_px,
    }
    errors: dict[str, list[float]] = {name: [] for name in LOOKS}
    for low, high in pairwise(SIZE_BINS_PX):
        here = asked & (true_px >= low * usual.scale) & (true_px < high * usual.scale)
        for name, answer in answers.items():
            few = here.sum() < MIN_PIXELS
            errors[name].append(float("nan") if few else float(np.abs(answer - true_px)[here].mean() / usual.scale))
    return SizeErrors(place, errors)


def finer_look_markdown(photos: Sequence[SizeErrors], model: str) -> str:
    """Means over photos, then over places."""
    places = sorted({photo.place for photo in photos})
    names = bin_names(SIZE_BINS_PX)
    lines = [
        f"# A second look at twice the size, {model}",
        "",
        f"{len(photos)} photos of {len(places)} dev places, each at least {LARGER_THAN_SEEN:g} times as long as what",
        "the network sees. Mean |c - c_true| of the CoC by its true size, means over photos, then places; all in",
        "pixels of the usual look's image.",
        "",
        "| true CoC, px | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for look in LOOKS:
        by_place = []
        for place in places:
            table = np.array([photo.errors[look] for photo in photos if photo.place == place])
            by_place.append([np.nanmean(c) if np.isfinite(c).any() else np.nan for c in table.T])
        means = [f"{np.nanmean(c):.2f}" if np.isfinite(c).any() else "" for c in np.array(by_place).T]
        lines.append(f"| {look} | " + " | ".join(means) + " |")
    return "\n".join(lines) + "\n"


def main(
    *,
    scenes: Path,
    data: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    model: str = "small",
    frames: int = 3,
    scenes_per_place: int = 3,
    threads: int | None = None,
) -> None:
    """Measure the CoC with and without a finer look on the dev places, and write the table.

    Parameters
    ----------
    scenes
        Folder of built scenes.
    data
        Folder of the captures, with split.csv.
    out
        Markdown file to write.
    model
        A shipped model, or a model folder.
    frames
        Most photos of a scene.
    scenes_per_place
        Most scenes of a place.
    threads
        Processor cores to use at most.
    """
    predictor = load(model, threads)
    least = LARGER_THAN_SEEN * predictor.model_dir.long_side
    measured = []
    chosen = choose_scenes(scenes, read_split(data / "split.csv"), "dev", scenes_per_place=scenes_per_place)
    for scene in chosen.scenes:
        truth = read_truth(scene)
        if max(truth.sharp.shape) < least:
            continue
        for frame in choose_frames(scene, frames):
            if has_true_defocus(scene.record, frame):
                true_px = np.abs(true_signed_defocus(truth, frame))
                photo = read_frame(scene, frame, truth)
                asked = truth.mask & np.isfinite(true_px)
                measured.append(size_errors(predictor, photo, true_px, asked, scene.record.place))
    if not measured:
        raise CaptureError(f"{scenes}: no dev photo of {least:.0f} px or more with a known CoC; build more scenes")
    write_result_page(out, finer_look_markdown(measured, f"{predictor.name} {predictor.version}"))


if __name__ == "__main__":
    App(default_command=main, help_format="plaintext")()

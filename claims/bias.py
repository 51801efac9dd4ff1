"""Is the size of blur read too small or too large? Mean error, with its sign, by the true size.

    python -m claims.bias --scenes work/scenes --data ../shared/data --work work/claims defocus-long-0 full-long-0

Each network that ``claims.run`` trained is asked about the places that it was kept from, and about the simulated rig.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from claims.measure import FRAMES_PER_SCENE, SCENES_PER_PLACE, Method
from claims.methods import Network
from claims.plan import Effort, runs, sides
from claims.rig import rig_scenes
from claims.run import every_scene
from claims.table import WHERE
from mddnet.data.evenly import evenly
from mddnet.data.scene_pool import SceneEntry
from mddnet.evaluate.scenes import (
    EvaluationScene,
    choose_frames,
    has_true_defocus,
    read_frame,
    read_truth,
    true_signed_defocus,
)
from mddnet.types import Float32Array

EDGES_PX = (0.0, 2.0, 4.0, 8.0, 16.0, np.inf)
FEWEST = 100
"""A photo with fewer pixels of a size says nothing of it."""


def bias_by_size(defocus_px: Float32Array, true_px: Float32Array) -> list[float]:
    """Mean of found less true CoC, in pixels, between each pair of ``EDGES_PX``; NaN where too little is that large.

    Args:
        defocus_px: (H, W) CoC that was found.
        true_px: (H, W) true CoC; NaN where unknown.
    """
    found = []
    for low, high in pairwise(EDGES_PX):
        at = (true_px >= low) & (true_px < high)
        found.append(float((defocus_px - true_px)[at].mean()) if at.sum() >= FEWEST else np.nan)
    return found


def _photos(method: Method, entry: SceneEntry) -> Iterator[list[float]]:
    scene = EvaluationScene(entry.folder, entry.group, entry.record, entry.stamp)
    truth = read_truth(scene)
    for frame in choose_frames(scene, FRAMES_PER_SCENE[entry.group]):
        if has_true_defocus(entry.record, frame):
            defocus_px = method.answer(read_frame(scene, frame, truth)).defocus_px
            assert defocus_px is not None
            yield bias_by_size(defocus_px, np.abs(true_signed_defocus(truth, frame)))


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    """Column by column, NaN left out."""
    columns = [[value for value in column if np.isfinite(value)] for column in zip(*rows, strict=True)]
    return [float(np.mean(column)) if column else np.nan for column in columns]


def biases(method: Method, entries: Sequence[SceneEntry]) -> list[float]:
    """:func:`bias_by_size`, as the mean over places of the means over their photos."""
    places: dict[str, list[SceneEntry]] = {}
    for entry in entries:
        places.setdefault(entry.record.place, []).append(entry)
    rows = []
    for scenes in places.values():
        chosen = [scenes[i] for i in evenly(len(scenes), SCENES_PER_PLACE)]
        photos = [row for entry in chosen for row in _photos(method, entry)]
        if photos:
            rows.append(_mean(photos))
    return _mean(rows) if rows else [np.nan] * (len(EDGES_PX) - 1)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m claims.bias", description=__doc__)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("runs", nargs="+", help="names of runs, such as full-long-0")
    args = parser.parse_args(argv)
    by_name = {run.name: run for run in runs(Effort())}
    entries = every_scene(args.scenes, args.data / "split.csv")
    rigs = rig_scenes(args.data, args.work)
    heads = [f"{low:g} to {high:g} px" for low, high in pairwise(EDGES_PX)]
    heads[-1] = f"{EDGES_PX[-2]:g} px and more"
    print("| run | on | " + " | ".join(heads) + " |")
    print("|---" * (len(heads) + 2) + "|")
    for name in args.runs:
        _, kept_out = sides(entries, by_name[name].fold)
        method = Network.of(args.work / "runs" / name / "model")
        for kinds, words in WHERE.items():
            values = biases(method, [entry for entry in [*kept_out, *rigs] if entry.group in kinds])
            cells = ["-" if np.isnan(value) else f"{value:+.2f}" for value in values]
            print(f"| {name} | {words} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

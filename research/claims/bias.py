"""Bias of the predicted CoC: mean signed error by true CoC.

    python -m research.claims.bias --scenes work/scenes --data ../shared/data --work work/claims \\
        -o docs/results/claims/bias.md defocus-long-0 full-long-0

Each network of ``research.claims.run`` in the work folder is evaluated on its held-out locations and on the simulated
rig.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from research.claims.measure import Method, evaluated_photos, scenes_by_location
from research.claims.methods import Network
from research.claims.plan import SINGLE_DEPTH, split_by_fold
from research.claims.rig import rig_scenes
from research.claims.run import all_scenes, parser_for_networks
from research.claims.table import WHERE

from mddnet.data.scene_pool import SceneEntry
from mddnet.evaluate.scenes import read_maps
from mddnet.io.atomic import atomic_write_text
from mddnet.types import Float32Array

EDGES_PX = (0.0, 2.0, 4.0, 8.0, 16.0, np.inf)
FEWEST = 100
"""Smallest number of pixels of a size in a photo."""


def bias_by_size(defocus_px: Float32Array, true_px: Float32Array) -> list[float]:
    """Mean of predicted minus true CoC, in pixels, between each pair of ``EDGES_PX``; NaN with too few pixels.

    Args:
        defocus_px: (H, W) predicted CoC.
        true_px: (H, W) true CoC; NaN where unknown.
    """
    found = []
    for low, high in pairwise(EDGES_PX):
        at = (true_px >= low) & (true_px < high)
        found.append(float((defocus_px - true_px)[at].mean()) if at.sum() >= FEWEST else np.nan)
    return found


def _photos(method: Method, scene: SceneEntry) -> Iterator[list[float]]:
    truth = read_maps(scene)
    if truth.range > 0:
        for one in evaluated_photos(scene, truth):
            defocus_px = method.estimate(one.photo).defocus_px
            if defocus_px is None:
                raise ValueError("the network has no defocus map; expected one that has it")
            yield bias_by_size(defocus_px, np.abs(one.signed_px))


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    """Means of columns without NaN."""
    columns = [[value for value in column if np.isfinite(value)] for column in zip(*rows, strict=True)]
    return [float(np.mean(column)) if column else np.nan for column in columns]


def biases(method: Method, entries: Sequence[SceneEntry]) -> list[float]:
    """:func:`bias_by_size`, as the mean over locations of the means over their photos."""
    rows = []
    for _, scenes in scenes_by_location(entries):
        photos = [row for scene in scenes for row in _photos(method, scene)]
        if photos:
            rows.append(_mean(photos))
    return _mean(rows) if rows else [np.nan] * (len(EDGES_PX) - 1)


def main(argv: Sequence[str] | None = None) -> int:
    parser = parser_for_networks("python -m research.claims.bias", __doc__)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args(argv)
    for run in args.runs:
        if run.row.name.startswith(SINGLE_DEPTH):
            parser.error(f"{run.name}: it has no defocus map; expected a row that has one")
    entries = all_scenes(args.scenes, args.data / "split.csv")
    rigs = rig_scenes(args.data, args.work)
    heads = [f"{low:g} to {high:g} px" for low, high in pairwise(EDGES_PX)]
    heads[-1] = f"{EDGES_PX[-2]:g} px and more"
    lines = [
        "# Bias of the predicted CoC",
        "",
        f"`python -m research.claims.bias ... {' '.join(run.name for run in args.runs)}`: "
        "mean of predicted minus true CoC in px, by true CoC; means over photos, then over held-out locations.",
        "",
        "| run | on | " + " | ".join(heads) + " |",
        "|---" * (len(heads) + 2) + "|",
    ]
    for run in args.runs:
        _, held_out = split_by_fold(entries, run.fold)
        method = Network.of(args.work / "runs" / run.name / "model")
        for kinds, words in WHERE.items():
            values = biases(method, [entry for entry in [*held_out, *rigs] if entry.group in kinds])
            cells = ["-" if np.isnan(value) else f"{value:+.2f}" for value in values]
            lines.append(f"| {run.name} | {words} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    atomic_write_text(args.out, "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

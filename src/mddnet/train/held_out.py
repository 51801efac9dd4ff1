"""Metrics on held-out locations before and after training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mddnet.config import Recipe
from mddnet.data.scene_pool import SceneEntry
from mddnet.io.atomic import write_csv
from mddnet.model.network import MDDNet
from mddnet.train.loop import start_network
from mddnet.train.validate import validation_by_location

TABLE = "held_out.csv"
MEASURES = {
    "depth_ordinal": "ordinal accuracy of depth",
    "depth_ordinal_rotated": "the same, rotated by 180 degrees",
    "sharp_depth_ordinal": "ordinal accuracy of depth on sharp photos",
    "sharp_coc_px": "median CoC estimated on sharp photos, px",
    "defocus_ordinal": "ordinal accuracy of defocus",
    "sign": "sign accuracy",
    "coc_mae_px": "CoC error, px",
}


@dataclass(frozen=True, slots=True)
class HeldOutRow:
    """One metric at one location, with the weights before and after training."""

    location: str  # or "mean"
    measure: str  # a key of MEASURES
    before: float
    after: float


def held_out_table(recipe: Recipe, model: Path, held_out: Sequence[SceneEntry]) -> list[HeldOutRow]:
    """Evaluate the initial network of a run and the trained one in folder ``model`` on held-out scenes.

    Returns rows by location, then the means over locations; metrics that a location lacks are omitted.
    """
    torch.manual_seed(recipe.train.seed)
    networks = start_network(recipe).eval(), MDDNet.from_pretrained(model)
    before, after = (validation_by_location(network, held_out) for network in networks)
    rows = [
        HeldOutRow(location, name, before[location][name], after[location][name])
        for location in sorted(before)
        for name in MEASURES
        if name in before[location] and name in after.get(location, {})
    ]
    for name in MEASURES:
        mine = [row for row in rows if row.measure == name]
        if mine:
            mean = sum(row.before for row in mine) / len(mine), sum(row.after for row in mine) / len(mine)
            rows.append(HeldOutRow("mean", name, *mean))
    return rows


def write_held_out(folder: Path, rows: Sequence[HeldOutRow]) -> None:
    """Write the rows as held_out.csv."""
    cells = [
        {"place": r.location, "measure": r.measure, "before": f"{r.before:.4f}", "after": f"{r.after:.4f}"}
        for r in rows
    ]
    write_csv(folder / TABLE, ("place", "measure", "before", "after"), cells)

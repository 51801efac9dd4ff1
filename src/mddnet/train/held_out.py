"""What training changed on the held-out places: each measure before and after, by place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mddnet.config import Recipe
from mddnet.data.scene_pool import SceneEntry
from mddnet.io.atomic import write_csv
from mddnet.model.checkpoint import load_network
from mddnet.model.network import MDDNet
from mddnet.train.validate import places_validation

TABLE = "held_out.csv"
MEASURES = {
    "depth_ordinal": "order of depth",
    "depth_ordinal_turned": "the same, turned by 180 degrees",
    "defocus_ordinal": "order of defocus",
    "sign": "side of the plane of focus",
    "coc_mae_px": "CoC error, px",
}


@dataclass(frozen=True, slots=True)
class HeldOutRow:
    """One measure at one place.

    Attributes:
        place: the place, or "mean".
        measure: a key of MEASURES.
        before: by the weights that the run started from.
        after: by the weights that it ended with.
    """

    place: str
    measure: str
    before: float
    after: float


def held_out_table(recipe: Recipe, model: Path, held_out: Sequence[SceneEntry]) -> list[HeldOutRow]:
    """Measure the start and the result of a run on the scenes that it did not train on.

    Args:
        recipe: the run; a network that was not trained before starts from the weights of its seed.
        model: folder of the trained weights.
        held_out: the scenes.

    Returns:
        Rows by place, then the means over places; measures that a place lacks are left out.
    """
    if recipe.train.start_from is None:
        torch.manual_seed(recipe.train.seed)
        start = MDDNet(recipe.model).eval()
    else:
        start = load_network(recipe.train.start_from)
    before, after = (places_validation(network, held_out) for network in (start, load_network(model)))
    rows = [
        HeldOutRow(place, name, before[place][name], after[place][name])
        for place in sorted(before)
        for name in MEASURES
        if name in before[place] and name in after.get(place, {})
    ]
    for name in MEASURES:
        mine = [row for row in rows if row.measure == name]
        if mine:
            means = [sum(values) / len(mine) for values in zip(*((r.before, r.after) for r in mine), strict=True)]
            rows.append(HeldOutRow("mean", name, *means))
    return rows


def write_held_out(folder: Path, rows: Sequence[HeldOutRow]) -> None:
    """Write the rows as held_out.csv."""
    cells = [
        {"place": r.place, "measure": r.measure, "before": f"{r.before:.4f}", "after": f"{r.after:.4f}"} for r in rows
    ]
    write_csv(folder / TABLE, ("place", "measure", "before", "after"), cells)

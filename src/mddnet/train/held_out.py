"""Metrics on held-out locations before and after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
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


HeldOut = Mapping[str, Mapping[str, Sequence[float]]]
"""Metrics before and after training, by location and name; the last location, ``mean``, has their means."""


def held_out_table(recipe: Recipe, model: Path, held_out: Sequence[SceneEntry]) -> HeldOut:
    """Evaluate the initial network of a run and the trained one in folder ``model`` on held-out scenes.

    Metrics that a location lacks are omitted.
    """
    torch.manual_seed(recipe.train.seed)
    networks = start_network(recipe).eval(), MDDNet.from_pretrained(model)
    before, after = (validation_by_location(network, held_out) for network in networks)
    table = {
        location: {
            name: (before[location][name], after[location][name])
            for name in MEASURES
            if name in before[location] and name in after.get(location, {})
        }
        for location in sorted(before)
    }
    pairs = {name: [row[name] for row in table.values() if name in row] for name in MEASURES}
    return {**table, "mean": {name: np.mean(values, axis=0).tolist() for name, values in pairs.items() if values}}


def write_held_out(folder: Path, table: HeldOut) -> None:
    """Write held_out.csv."""
    rows = [
        {"place": location, "measure": name, "before": f"{before:.4f}", "after": f"{after:.4f}"}
        for location, metrics in table.items()
        for name, (before, after) in metrics.items()
    ]
    write_csv(folder / TABLE, ("place", "measure", "before", "after"), rows)

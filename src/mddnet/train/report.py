"""Output of ``mddnet train --data``: scenes, settings, and results on held-out locations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from mddnet.config import Recipe
from mddnet.kinds import KINDS
from mddnet.model.checkpoint import INPUT_LONG_SIDE
from mddnet.train.data_check import DataCheck
from mddnet.train.held_out import MEASURES, HeldOut
from mddnet.train.scenes import Scenes
from mddnet.types import Split

SHOWN_REJECTED = 20
SHOWN_LOCATIONS = 8
MUCH_BEYOND = 0.1


def show_check(console: Console, check: DataCheck, scenes: Scenes, split: Mapping[str, Split], origin: str) -> None:
    """Print the scenes by kind, rejected ones with the reason, and the split with its origin."""
    console.print(_kinds_table(check))
    console.print(
        f"blur: diameter of the circle of confusion at a long side of {INPUT_LONG_SIDE} px, the input size of the "
        f"network, which can predict 1 to {check.cap_px:g} px (beyond: share of pixels above that).",
        style="dim",
    )
    beyond = float(np.mean([scene.beyond_share for scene in check.scenes]))
    if beyond > MUCH_BEYOND:
        console.print(
            f"note: {beyond:.0%} of the pixels are blurred by more than {check.cap_px:g} px, where depths cannot be "
            "distinguished; use a smaller aperture or a shorter sweep."
        )
    if check.rejected:
        _show_rejected(console, check)
    console.print(f"split: {origin}", markup=False, soft_wrap=True)
    held_out = sorted({entry.record.location for entry in scenes.held_out})
    if held_out:
        more = len(held_out) - SHOWN_LOCATIONS
        shown = ", ".join(held_out[:SHOWN_LOCATIONS]) + (f" and {more} more" if more > 0 else "")
        text = f"held out: {len(held_out)} of {len(split)} locations ({shown}); scenes: {len(scenes.held_out)}"
    else:
        locations = {scene.entry.record.location for scene in check.scenes}
        why = "there is only one location" if len(locations) == 1 else "no location is in the dev split"
        text = (
            f"held out: nothing, because {why}. All steps are done, and the performance on unseen photos stays "
            "unknown; capture another location to measure it."
        )
    console.print(text, markup=False, soft_wrap=True)


def _kinds_table(check: DataCheck) -> Table:
    numbers = ("locations", "scenes", "frames", "blur px, 5 % / median / 95 %", "beyond", "unknown depth")
    columns = (Column("kind", no_wrap=True), *(Column(name, justify="right") for name in numbers))
    table = Table(*columns, title=f"{check.root}", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for kind in KINDS:
        mine = [scene for scene in check.scenes if scene.entry.group == kind]
        if mine:
            table.add_row(
                kind,
                str(len({scene.entry.record.location for scene in mine})),
                str(len(mine)),
                str(sum(len(scene.entry.record.frames) for scene in mine)),
                " / ".join(f"{value:.1f}" for value in np.mean([scene.coc_px for scene in mine], axis=0)),
                f"{np.mean([scene.beyond_share for scene in mine]):.0%}",
                f"{np.mean([scene.unknown_share for scene in mine]):.0%}",
            )
    return table


def _show_rejected(console: Console, check: DataCheck) -> None:
    columns = (Column("scene", overflow="fold"), Column("by", no_wrap=True), Column("reason", overflow="fold", ratio=1))
    table = Table(*columns, title="rejected", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for rejection in check.rejected[:SHOWN_REJECTED]:
        table.add_row(rejection.name, "build" if rejection.by_build else "this check", rejection.reason)
    console.print(table)
    more = len(check.rejected) - SHOWN_REJECTED
    if more > 0:
        console.print(f"and {more} more: see scenes.csv in the folder of the run")


def show_settings(console: Console, recipe: Recipe, start: str | None) -> None:
    """Print the main settings of a recipe and its initial weights."""
    optim, data, patience = recipe.optim, recipe.data, recipe.train.patience
    mixture = ", ".join(f"{name} {share:.0%}" for name, share in data.mixture.normalised.items() if share)
    begun = "an encoder trained on ImageNet" if recipe.model.pretrained else "untrained weights"
    until = f", fewer after {patience} validations without improvement" if patience else ""
    console.print(
        f"from {start or begun}: {optim.steps} steps of {data.batch_size} crops of {data.crop[0]} x {data.crop[1]} px"
        f"{until}; learning rate {optim.lr:g} (encoder {optim.encoder_lr:g}); mixture: {mixture}",
        markup=False,
        soft_wrap=True,
    )


def show_held_out(console: Console, held_out: HeldOut) -> None:
    """Print the results on held-out locations before and after training."""
    if not held_out:
        return
    columns = (Column("location", overflow="fold"), *(Column(MEASURES[n], justify="right") for n in held_out["mean"]))
    table = Table(*columns, title="held-out locations, before > after training", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for location, metrics in held_out.items():
        cells = (" > ".join(f"{value:.3f}" for value in metrics.get(name, ())) for name in held_out["mean"])
        table.add_row(location, *cells, style="bold" if location == "mean" else None)
    console.print(table)

"""``mddnet train``: carry out a recipe, or train on a folder of scenes without one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from mddnet.cli.flags import wrong_split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from mddnet.config import Recipe
    from mddnet.data.split import Side
    from mddnet.train.data_check import DataCheck
    from mddnet.train.held_out import HeldOutRow
    from mddnet.train.loop import Scenes

SHOWN_REJECTED = 20


def train(
    recipe: Path | None = None,
    /,
    *,
    data: Path | None = None,
    start: Annotated[str | None, Parameter(name="--from")] = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    split: Path | None = None,
    steps: int | None = None,
    check: Annotated[bool, Parameter(negative="")] = False,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    accelerator: str = "auto",
    devices: int | None = None,
    nodes: int | None = None,
) -> int:
    """Train a network as a recipe says, or on a folder of scenes; or go on where the run stopped.

    With a recipe, the run's folder (train.out) holds checkpoint, log.csv, TensorBoard events and, at the end, the
    folder model with the weights. With --data the scenes are checked and shown first, the settings follow from them,
    and OUT/model is a whole model that mddnet predict --model takes. Ctrl-C or a crash lose at most the steps since
    the last checkpoint; the same command goes on.

    Parameters
    ----------
    recipe
        The recipe, a TOML file such as recipes/small.toml.
    data
        Folder of scenes that mddnet build wrote, to train on without a recipe.
    start
        With --data: the model to start from: a shipped one such as small, a model folder or a .zip of one,
        hf://owner/name, or the folder of a run.
    out
        With --data: folder of the run; it gets recipe.toml, split.csv, scenes.csv, held_out.csv and the folder model.
    split
        With --data: CSV file with place,split (train or dev). By default split.csv of the folder; where there is none,
        a fifth of the places is held out.
    steps
        With --data: steps of training; by default they go by the number of frames.
    check
        With --data: show what the folder holds, and stop.
    set_
        Change a setting of the recipe: section.key=value. May be repeated.
    accelerator
        What to compute on: auto, cpu, cuda, mps.
    devices
        With a recipe: processes on each machine that train together, one per GPU where there are GPUs; each takes
        data.batch_size crops per step. By default 1, or as many as torchrun or srun started.
    nodes
        With a recipe: machines that train together; by default as torchrun or srun say.
    """
    wrong = _wrong_usage(recipe, data, start, out, split, steps, check, devices, nodes)
    if wrong is not None:
        print(f"mddnet train: {wrong}", file=sys.stderr)
        return 2
    import os

    from mddnet.train.processes import ONE_PROCESS, is_first_process, processes_of

    processes = processes_of(os.environ, devices, nodes)
    if data is not None:
        if processes != ONE_PROCESS:
            print("mddnet train: --data is for one process; several take a recipe, see --devices", file=sys.stderr)
            return 2
        return _train_on(data, start, out, split, steps, check, set_ or [], accelerator)

    from mddnet.config import load_recipe
    from mddnet.model.folder import CARD_FILE
    from mddnet.train.card import write_card
    from mddnet.train.loop import open_sides
    from mddnet.train.loop import train as run

    assert recipe is not None  # one of the two is there
    settings = load_recipe(recipe, set_ or [])
    scenes = open_sides(settings)
    folder = run(settings, accelerator, scenes, processes)
    if not is_first_process():
        return 0
    if not (folder / CARD_FILE).exists():  # one may have been written by hand since
        start_from = settings.train.start_from
        write_card(folder, settings, scenes, None if start_from is None else str(start_from), None)
    print(f"trained weights: {folder}")
    return 0


def _wrong_usage(
    recipe: Path | None,
    data: Path | None,
    start: str | None,
    out: Path | None,
    split: Path | None,
    steps: int | None,
    check: bool,
    devices: int | None,
    nodes: int | None,
) -> str | None:
    for flag, number in (("--devices", devices), ("--nodes", nodes)):
        if number is not None and number < 1:
            return f"{flag} is {number}; expected at least 1"
        if number is not None and data is not None:
            return (
                f"{flag} goes with a recipe; train --data writes one, OUT/recipe.toml, that several processes can take"
            )
    if (recipe is None) == (data is None):
        found = "neither is given" if recipe is None else "both are given"
        return f"{found}; expected a recipe, or --data with a folder that mddnet build wrote"
    if data is None:
        flags = {"--from": start, "--out": out, "--split": split, "--steps": steps, "--check": check or None}
        strange = [flag for flag, value in flags.items() if value is not None]
        return f"{strange[0]} goes with --data; a recipe says it itself (see --set)" if strange else None
    if out is None and not check:
        return "no --out; expected a folder for the run, such as -o my_model"
    if steps is not None and steps < 1:
        return f"--steps is {steps}; expected at least 1"
    return wrong_split(split)


def _train_on(
    data: Path,
    start: str | None,
    out: Path | None,
    split_file: Path | None,
    steps: int | None,
    check_only: bool,
    overrides: Sequence[str],
    accelerator: str,
) -> int:
    from rich.console import Console
    from rich.progress import track

    from mddnet.config import ModelConfig
    from mddnet.export.onnx import export_onnx
    from mddnet.model.checkpoint import load_network
    from mddnet.train.card import write_card
    from mddnet.train.data_check import check_data
    from mddnet.train.held_out import held_out_table, write_held_out
    from mddnet.train.loop import train as run
    from mddnet.train.own_data import find_split, make_recipe, sides_of, start_folder, write_run_files
    from mddnet.train.record import run_folder

    console = Console()
    start_from = None if start is None else start_folder(start)
    model = ModelConfig() if start_from is None else load_network(start_from).config
    check = check_data(
        data,
        model.largest_defocus_px,
        lambda folders: list(
            track(folders, "looking at the scenes", console=console, transient=True, disable=not console.is_terminal)
        ),
    )
    split, origin = find_split(check, split_file)
    scenes = sides_of(check, split)
    _show_check(console, check, scenes, split, origin)
    if check_only or out is None:
        return 0
    recipe = make_recipe(check, scenes, model, out, start_from, steps, overrides)
    _show_settings(console, recipe, start)
    with run_folder(out):
        write_run_files(check, split, recipe)
        folder = run(recipe, accelerator, scenes)
        rows = held_out_table(recipe, folder, scenes.held_out) if scenes.held_out else []
        write_held_out(recipe.train.out, rows)
        write_card(folder, recipe, scenes, start, rows)
        export_onnx(folder, folder)
    _show_held_out(console, rows)
    console.print(
        f"model: {folder}\nuse it: mddnet predict PHOTO -o out --model {folder}", markup=False, soft_wrap=True
    )
    return 0


def _show_check(console: Console, check: DataCheck, scenes: Scenes, split: Mapping[str, Side], origin: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from mddnet.kinds import KINDS
    from mddnet.model.checkpoint import INPUT_LONG_SIDE

    table = Table(title=f"{check.root}", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("group", no_wrap=True)
    for name in ("places", "scenes", "frames", "blur px, 5 % / median / 95 %", "beyond", "unknown depth"):
        table.add_column(name, justify="right")
    for group in KINDS:
        mine = [scene for scene in check.scenes if scene.entry.group == group]
        if not mine:
            continue
        low, middle, high = (sum(scene.coc_px[i] for scene in mine) / len(mine) for i in range(3))
        table.add_row(
            group,
            str(len({scene.entry.record.place for scene in mine})),
            str(len(mine)),
            str(sum(len(scene.entry.record.frames) for scene in mine)),
            f"{low:.1f} / {middle:.1f} / {high:.1f}",
            f"{sum(scene.beyond_share for scene in mine) / len(mine):.0%}",
            f"{sum(scene.unknown_share for scene in mine) / len(mine):.0%}",
        )
    console.print(table)
    console.print(
        f"blur: diameter of the circle of confusion where a photo is {INPUT_LONG_SIDE} px long, as the network sees "
        f"it; it can show 1 to {check.cap_px:g} px (beyond: the share of pixels above that).",
        style="dim",
    )
    beyond = sum(scene.beyond_share for scene in check.scenes) / len(check.scenes)
    if beyond > 0.1:
        console.print(
            f"note: {beyond:.0%} of the pixels are blurred by more than {check.cap_px:g} px, where depths cannot be "
            "told apart; a smaller aperture or a shorter sweep says more."
        )
    if check.rejected:
        table = Table(title="left out", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in ("scene", "by"):
            table.add_column(name, overflow="fold", no_wrap=name == "by")
        table.add_column("reason", overflow="fold", ratio=1)
        for left_out in check.rejected[:SHOWN_REJECTED]:
            table.add_row(left_out.name, "build" if left_out.by_build else "this check", left_out.reason)
        console.print(table)
        if len(check.rejected) > SHOWN_REJECTED:
            console.print(
                f"and {len(check.rejected) - SHOWN_REJECTED} more: scenes.csv in the run's folder has them all"
            )
    held_out = sorted({entry.record.place for entry in scenes.held_out})
    console.print(f"split: {origin}", markup=False, soft_wrap=True)
    if held_out:
        shown = ", ".join(held_out[:8]) + (f" and {len(held_out) - 8} more" if len(held_out) > 8 else "")
        text = f"held out: {len(held_out)} of {len(split)} places ({shown}); scenes: {len(scenes.held_out)}"
        console.print(text, markup=False, soft_wrap=True)
    else:
        places = {scene.entry.record.place for scene in check.scenes}
        why = "there is only one place" if len(places) == 1 else "no place is on the dev side"
        console.print(
            f"held out: nothing, because {why}. The model is trained to the end of the run, and nothing is known of "
            "how it does on photos that it has not seen; capture another place to know."
        )


def _show_settings(console: Console, recipe: Recipe, start: str | None) -> None:
    optim, data = recipe.optim, recipe.data
    mixture = ", ".join(f"{name} {share:.0%}" for name, share in data.mixture.normalised.items() if share)
    begun = "an encoder trained on ImageNet" if recipe.model.pretrained else "untrained weights"
    until = (
        f", fewer where {recipe.train.patience} measurements in a row are no better" if recipe.train.patience else ""
    )
    console.print(
        f"from {start or begun}: {optim.steps} steps of {data.batch_size} crops of {data.crop[0]} x {data.crop[1]} px"
        f"{until}; learning rate {optim.lr:g} (encoder {optim.encoder_lr:g}); mixture: {mixture}",
        markup=False,
        soft_wrap=True,
    )


def _show_held_out(console: Console, rows: Sequence[HeldOutRow]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from mddnet.train.held_out import MEASURES

    if not rows:
        return
    table = Table(title="held-out places, before > after training", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("place", overflow="fold")
    measures = [name for name in MEASURES if any(row.measure == name for row in rows)]
    for name in measures:
        table.add_column(MEASURES[name], justify="right")
    for place in dict.fromkeys(row.place for row in rows):
        mine = {row.measure: row for row in rows if row.place == place}
        table.add_row(
            place,
            *(f"{mine[name].before:.3f} > {mine[name].after:.3f}" if name in mine else "" for name in measures),
            style="bold" if place == "mean" else None,
        )
    console.print(table)

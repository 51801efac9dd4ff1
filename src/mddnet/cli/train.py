"""``mddnet train``: train by a recipe, or on a folder of scenes without one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from mddnet.cli.flags import Count, Flag, OutFolder, SplitFile, WrongUsage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mddnet.train.processes import Processes


def train(
    recipe: Path | None = None,
    /,
    *,
    data: Path | None = None,
    start: Annotated[str | None, Parameter(name="--from")] = None,
    out: OutFolder | None = None,
    split: SplitFile | None = None,
    steps: Count | None = None,
    check: Flag = False,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    accelerator: str = "auto",
    devices: Count | None = None,
    nodes: Count | None = None,
) -> int:
    """Train a network by a recipe or on a folder of scenes; resume an interrupted run.

    With a recipe, the folder of the run (train.out) gets a checkpoint, log.csv, TensorBoard events and, at the end, the
    folder model with the weights. With --data the scenes are checked and listed first, the settings are derived from
    them, and OUT/model is a complete model for mddnet predict --model. Ctrl-C or a crash loses at most the steps since
    the last checkpoint; the same command resumes the run.

    Args:
        recipe: The recipe, a TOML file such as recipes/small.toml.
        data: Folder of scenes that mddnet build wrote, to train on without a recipe.
        start: With --data: the model to start from: a shipped one such as small, a model folder or a .zip of one,
            hf://owner/name, or the folder of a run.
        out: With --data: folder of the run; it gets recipe.toml, split.csv, scenes.csv, held_out.csv and the folder
            model.
        split: With --data: CSV file with place,split (train, dev or calib). By default split.csv in the folder; without
            it, a fifth of the locations is held out.
        steps: With --data: training steps; by default they depend on the number of frames.
        check: With --data: list the content of the folder and stop.
        set_: Override a setting of the recipe: section.key=value. May be repeated.
        accelerator: Device: auto, cpu, cuda, mps.
        devices: With a recipe: processes per machine, one per GPU if there are GPUs; each takes data.batch_size crops
            per step. By default 1, or as many as torchrun or srun started.
        nodes: With a recipe: number of machines; by default that of torchrun or srun.
    """
    if (recipe is None) == (data is None):
        found = "neither is given" if recipe is None else "both are given"
        raise WrongUsage(f"{found}; expected a recipe, or --data with a folder that mddnet build wrote")
    if data is None:
        flags = {"--from": start, "--out": out, "--split": split, "--steps": steps, "--check": check}
        _require_none(flags, "needs --data; with a recipe, use --set")
    elif out is None and not check:
        raise WrongUsage("no --out; expected a folder for the run, such as -o my_model")
    else:
        needs = "needs a recipe; train --data writes one, OUT/recipe.toml, that several processes can use"
        _require_none({"--devices": devices, "--nodes": nodes}, needs)

    # Imported after the flags are checked, so that usage errors are reported at once.
    from mddnet.train.processes import ONE_PROCESS, processes_of

    processes = processes_of(os.environ, devices, nodes)
    if recipe is not None:
        return _train_recipe(recipe, set_ or [], accelerator, processes)
    if processes != ONE_PROCESS:
        raise WrongUsage("--data runs in one process; use a recipe for several, see --devices")
    assert data is not None
    return _train_on_data(data, start, None if check else out, split, steps, set_ or [], accelerator)


def _require_none(flags: Mapping[str, object], needs: str) -> None:
    """WrongUsage for the first flag with a value."""
    for flag, value in flags.items():
        if value:
            raise WrongUsage(f"{flag} {needs}")


def _train_recipe(recipe: Path, overrides: Sequence[str], accelerator: str, processes: Processes) -> int:
    from mddnet.config import load_recipe
    from mddnet.model.folder import CARD_FILE
    from mddnet.train.card import write_card
    from mddnet.train.loop import train as run
    from mddnet.train.processes import is_first_process
    from mddnet.train.scenes import open_run_scenes

    settings = load_recipe(recipe, overrides)
    scenes = open_run_scenes(settings)
    folder = run(settings, accelerator, scenes, processes)
    if not is_first_process():
        return 0
    if not (folder / CARD_FILE).exists():  # keep a card written by hand
        start_from = settings.train.start_from
        write_card(folder, settings, scenes, None if start_from is None else str(start_from), None)
    print(f"trained weights: {folder}")
    return 0


def _train_on_data(
    data: Path,
    start: str | None,
    out: Path | None,
    split_file: Path | None,
    steps: int | None,
    overrides: Sequence[str],
    accelerator: str,
) -> int:
    """Check and list the scenes; with ``out``, train, evaluate and export."""
    from rich.console import Console

    from mddnet.cli.progress import with_progress
    from mddnet.config import ModelConfig
    from mddnet.export.onnx import export_onnx
    from mddnet.model.network import MDDNet
    from mddnet.train.card import write_card
    from mddnet.train.data_check import check_data
    from mddnet.train.held_out import held_out_table, write_held_out
    from mddnet.train.loop import train as run
    from mddnet.train.own_data import find_split, make_recipe, scenes_by_split, start_folder, write_run_files
    from mddnet.train.record import run_folder
    from mddnet.train.report import show_check, show_held_out, show_settings

    console = Console()
    start_from = None if start is None else start_folder(start)
    model = ModelConfig() if start_from is None else MDDNet.from_pretrained(start_from).config

    check = check_data(data, model.defocus_cap_px, lambda folders: with_progress("checking", folders, len(folders)))
    split, origin = find_split(check, split_file)
    scenes = scenes_by_split(check, split)
    show_check(console, check, scenes, split, origin)
    if out is None:
        return 0
    recipe = make_recipe(check, scenes, model, out, start_from, steps, overrides)
    show_settings(console, recipe, start)
    with run_folder(out):
        write_run_files(check, split, recipe)
        folder = run(recipe, accelerator, scenes)
        results = held_out_table(recipe, folder, scenes.held_out) if scenes.held_out else {}
        write_held_out(out, results)
        write_card(folder, recipe, scenes, start, results)
        export_onnx(folder, folder)
    show_held_out(console, results)
    usage = f"mddnet predict PHOTO -o out --model {folder}"
    console.print(f"model: {folder}\nuse it: {usage}", markup=False, soft_wrap=True)
    return 0

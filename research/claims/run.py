"""Train and evaluate the runs of :mod:`research.claims.plan`; resumes after an interruption.

    python -m research.claims.run --scenes work/scenes --data ../shared/data --work work/claims -o docs/results/claims

The work folder has a folder per run, with network, log and TensorBoard files. Runs whose recipe is already in
``measures.csv`` of the output folder are skipped. ``--jobs`` runs are trained in parallel with one thread each, which
is faster on a CPU than one run with several threads. The exit code is 1 if a run failed; the others are still done.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from research.claims.counterparts import counterpart
from research.claims.measure import Method, measure
from research.claims.methods import CLASSICAL, Classical, MeanMap, Network, PyDNet, Sharpness, VerticalPosition
from research.claims.plan import FOLDS, QUICK, Effort, Run, recipe, run_named, runs, split_by_fold, training_scenes
from research.claims.results import Line, read_lines, write_lines
from research.claims.rig import rig_scenes
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mddnet.data.scene_pool import SceneEntry, open_by_split
from mddnet.data.split import read_split
from mddnet.train.loop import train
from mddnet.train.scenes import Scenes

FRAMES_PER_COUNTERPART = 12
MEASURES = "measures.csv"
TRAINED_ON = ("focal_stacks", "light_fields", "rgbd", "stereo", "photos")
UNTRAINED = "-"


def all_scenes(scenes: Path, split: Path) -> list[SceneEntry]:
    """All scenes of the listed locations, of any split, because the study has its own folds."""
    locations = read_split(split)
    everything = open_by_split(scenes, dict.fromkeys(locations, "train"), ("train",))["train"]
    return [entry for entry in everything if entry.group in TRAINED_ON]


def one_run(run: Run, entries: Sequence[SceneEntry], rigs: Sequence[SceneEntry], work: Path, folds: int) -> list[Line]:
    """Train a run if necessary, and evaluate it on its held-out scenes and the scenes of the rig."""
    training, held_out = split_by_fold(entries, run.fold, folds)
    torch.set_num_threads(1)
    made = recipe(run, work / "runs" / run.name, sorted({entry.group for entry in training}))
    counterparts = {}
    if run.row.stacks_only:
        stacks = [entry for entry in training if entry.group == "focal_stacks"]
        counterparts = {
            entry.record.name: counterpart(entry, work / "counterparts", FRAMES_PER_COUNTERPART) for entry in stacks
        }
    seen = training_scenes(run.row, training, counterparts, FRAMES_PER_COUNTERPART)
    model = train(made, "cpu", Scenes(seen, ()))
    return lines_of(run.name, made.config_hash, run.row.name, run.fold, Network.of(model), [*held_out, *rigs])


def lines_of(
    name: str, recipe_hash: str, row: str, fold: int, method: Method, entries: Sequence[SceneEntry]
) -> list[Line]:
    """Evaluate a method on scenes with known depth: a line per location."""
    found = measure(method, [entry for entry in entries if entry.group != "photos"])
    return [Line(name, recipe_hash, row, fold, kind, location, values) for (kind, location), values in found.items()]


def untrained(
    name: str, entries: Sequence[SceneEntry], rigs: Sequence[SceneEntry], baselines: Path | None, folds: int
) -> list[Line]:
    """Evaluate a baseline that needs no training, or the mean map of each fold."""
    if name == "mean-map":
        lines = []
        for fold in range(folds):
            training, held_out = split_by_fold(entries, fold, folds)
            mean_map = MeanMap([entry for entry in training if entry.group != "photos"])
            lines += lines_of(f"{name}-{fold}", UNTRAINED, name, fold, mean_map, [*held_out, *rigs])
        return lines
    method: Method
    if name == "pydnet":
        assert baselines is not None
        method = PyDNet(baselines / "pydnet_plus_plus.tflite")
    else:
        method = Classical(name) if name in CLASSICAL else {"row": VerticalPosition, "sharpness": Sharpness}[name]()
    return lines_of(name, UNTRAINED, name, -1, method, [*entries, *rigs])


def baseline_names(baselines: Path | None) -> list[str]:
    """Baselines without training; PyDNet++ only if its runtime and its weights are installed."""
    names = ["row", "sharpness", "mean-map", *CLASSICAL]
    if baselines is not None and (baselines / "pydnet_plus_plus.tflite").is_file():
        from importlib.util import find_spec

        if find_spec("ai_edge_litert") is not None:
            names.append("pydnet")
    return names


def parser_for_networks(prog: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for commands on trained networks: scenes, data, work folder and names of runs."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--scenes", type=Path, required=True, help="folder that mddnet build wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder with split.csv")
    parser.add_argument("--work", type=Path, required=True, help="work folder of research.claims.run")
    parser.add_argument("runs", nargs="+", type=run_named, help="names of runs, such as full-long-0")
    return parser


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m research.claims.run", description=__doc__)
    parser.add_argument("--scenes", type=Path, required=True, help="folder that mddnet build wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder with split.csv")
    parser.add_argument("--work", type=Path, required=True, help="folder for networks, logs and rendered counterparts")
    parser.add_argument("-o", "--out", type=Path, required=True, help=f"folder of {MEASURES}")
    parser.add_argument("--baselines", type=Path, help="folder with pydnet_plus_plus.tflite")
    parser.add_argument("--jobs", type=int, default=2, help="parallel runs")
    parser.add_argument("--rows", nargs="+", help="only runs of these rows")
    parser.add_argument("--quick", action="store_true", help="smoke test: two steps per run, one fold of two")
    parser.add_argument("--only", help="only this run, in this process; its lines are written to the file --out")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    effort, folds = (QUICK, 2) if args.quick else (Effort(), FOLDS)
    planned = runs(effort, 1 if args.quick else FOLDS)
    if args.only is not None:
        entries = all_scenes(args.scenes, args.data / "split.csv")
        rigs = rig_scenes(args.data, args.work)
        chosen = [run for run in planned if run.name == args.only]
        write_lines(
            args.out,
            one_run(chosen[0], entries, rigs, args.work, folds)
            if chosen
            else untrained(args.only, entries, rigs, args.baselines, folds),
        )
        return 0
    names = [*baseline_names(args.baselines), *(run.name for run in planned)]
    try:
        return _all(names, planned, args, folds)
    except KeyboardInterrupt:
        print(f"stopped; finished runs are in {args.out / MEASURES}, and the same command resumes", file=sys.stderr)
        return 130


def _all(names: Sequence[str], planned: Sequence[Run], args: argparse.Namespace, folds: int) -> int:
    table = args.out / MEASURES
    lines = read_lines(table)
    by_name = {run.name: run for run in planned}
    entries = all_scenes(args.scenes, args.data / "split.csv")

    def hash_of(name: str) -> str:
        if name not in by_name:
            return UNTRAINED
        training, _ = split_by_fold(entries, by_name[name].fold, folds)
        return recipe(by_name[name], Path("-"), sorted({entry.group for entry in training})).config_hash

    wanted = {name: hash_of(name) for name in names}

    def is_done(name: str) -> bool:
        return any(line.recipe == wanted[name] and name in (line.run, line.row) for line in lines)

    selected = [n for n in names if args.rows is None or (by_name[n].row.name if n in by_name else n) in args.rows]
    todo = [name for name in selected if not is_done(name)]
    # drop lines of runs that are not planned any more or had another recipe; keep baselines, even if their package is
    # not installed here
    lines = [line for line in lines if line.recipe in (UNTRAINED, wanted.get(line.run))]
    args.work.mkdir(parents=True, exist_ok=True)
    failed = []
    console = Console()
    # once, before the processes need them
    if todo:
        rig_scenes(args.data, args.work)
    if any(name in by_name and by_name[name].row.stacks_only for name in todo):
        for entry in entries:
            if entry.group == "focal_stacks":
                counterpart(entry, args.work / "counterparts", FRAMES_PER_COUNTERPART)

    def do(name: str) -> tuple[str, Path | None, float]:
        started = time.monotonic()
        out, log = args.work / f"{name}.csv", args.work / f"{name}.log"
        if any(line.recipe == wanted[name] for line in read_lines(out)):
            return name, out, 0.0  # done by a process that outlived its parent
        command = [sys.executable, "-m", "research.claims.run", "--only", name, "-o", str(out)]
        command += ["--work", str(args.work), "--scenes", str(args.scenes), "--data", str(args.data)]
        command += ["--baselines", str(args.baselines)] if args.baselines else []
        command += ["--quick"] if args.quick else []
        with log.open("a", encoding="utf-8") as file:
            done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
        return name, out if done.returncode == 0 else None, time.monotonic() - started

    with (
        Progress(
            TextColumn("claims"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        ) as progress,
        ThreadPoolExecutor(args.jobs) as pool,
    ):
        bar = progress.add_task("claims", total=len(selected), completed=len(selected) - len(todo))
        for future in [pool.submit(do, name) for name in todo]:
            try:
                name, out, seconds = future.result()
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)
                raise
            if out is None:
                failed.append(name)
                console.print(f"{name}: failed, see {args.work / f'{name}.log'}", soft_wrap=True)
            else:
                lines += read_lines(out)
                write_lines(table, lines)
                console.print(f"{name}: {seconds / 60:.1f} min")
            progress.advance(bar)
    if failed:
        console.print(f"failed: {', '.join(failed)}; the same command repeats them", soft_wrap=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

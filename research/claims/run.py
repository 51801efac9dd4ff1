"""Train and measure the runs of :mod:`research.claims.plan`; the same command goes on after any interruption.

    python -m research.claims.run --work work/claims

Each process takes the most important run that is neither done nor taken, trains it (with a checkpoint every 100 steps),
measures it, and writes ``WORK/results/RUN.csv``. Runs of the committed table, docs/results/claims/measures.csv, are
done if their recipe is the same. More processes, also those that outlive a killed parent, share the work by locks.
``WORK/log.txt`` has a line for each start and end; ``WORK/runs/RUN/log.csv`` the losses. Another number of steps or
size of crops needs another folder.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter
from cyclopts import run as run_command
from research.claims.comparisons import chosen_ablation
from research.claims.counterparts import counterpart
from research.claims.measure import measure
from research.claims.methods import OTHERS, PYDNET, PYDNET_FILE, NetworkMethod
from research.claims.plan import (
    ESSENTIAL,
    FOLDS,
    FULL,
    FUSED,
    STACKS,
    Effort,
    Run,
    parts,
    recipe,
    runs,
    training_scenes,
)
from research.claims.results import INNER, OUTER, UNTRAINED, Line, read_lines, read_results, restore, write_lines
from research.claims.rig import rig_scenes
from research.claims.variants import build, trained

from mddnet import load
from mddnet.config import Recipe
from mddnet.data.loader import one_opencv_thread
from mddnet.data.scene_pool import SceneEntry, open_by_split
from mddnet.data.split import read_split
from mddnet.errors import OutputError
from mddnet.evaluate.methods import Method, PredictorMethod
from mddnet.export.onnx import export_onnx
from mddnet.io.folder_lock import FolderLock
from mddnet.train.loop import train
from mddnet.train.record import CHECKPOINT
from mddnet.train.scenes import Scenes
from mddnet.types import SPLITS, Split

FRAMES_PER_COUNTERPART = 12
DEFAULT = Effort()
WAIT_S = 3600.0
"""Longest time that a process waits for another one that simulates or renders."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of the command."""

    work: Path
    scenes: Path
    split: Path
    data: Path
    peers: Path
    measures: Path  # table of runs that are done
    effort: Effort
    accelerator: str
    rows: Sequence[str]  # only these; all if empty
    folds: Sequence[int]  # only these
    until: float  # time, in seconds since the epoch, after which no run is started


class Study:
    """The scenes, and how one run is done."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        splits: Sequence[Split] = SPLITS
        found = open_by_split(settings.scenes, read_split(settings.split), splits)
        self.parts = [parts(found, fold) for fold in range(FOLDS)]
        self.rigs = rig_scenes(settings.data, settings.work)

    def recipe(self, run: Run) -> Recipe:
        groups = {entry.group for entry in self.parts[run.fold].train}
        return recipe(run, self.settings.effort, self.settings.work / "runs" / run.name, groups)

    def network(self, run: Run) -> list[Line]:
        """Train a run and measure it."""
        made, of_fold = self.recipe(run), self.parts[run.fold]
        counterparts = {}
        if run.row.frames:
            stacks = [entry for entry in of_fold.train if entry.group == STACKS]
            root = self.settings.work / "counterparts"
            root.mkdir(exist_ok=True)
            with FolderLock(root, "prepare", WAIT_S):  # one process renders them
                counterparts = {entry.record.name: counterpart(entry, root, FRAMES_PER_COUNTERPART) for entry in stacks}
        seen = training_scenes(run.row, of_fold.train, counterparts, FRAMES_PER_COUNTERPART)
        torch.manual_seed(run.fold)
        start = build(made.model, run.row.change)
        model = train(made, self.settings.accelerator, Scenes(seen, ()), network=start)
        method = NetworkMethod(trained(made.model, run.row.change, model))
        outer = [*of_fold.outer, *self.rigs]
        lines = _lines(run.name, made.config_hash, run.row.name, run.fold, OUTER, method, outer)
        if not run.row.frames:
            lines += _lines(run.name, made.config_hash, run.row.name, run.fold, INNER, method, of_fold.inner)
        if run.row.name == FULL:
            exported = model.parent / "export"
            export_onnx(model, exported)
            fused = PredictorMethod(load(exported, threads=1), FUSED)
            lines += _lines(run.name, made.config_hash, FUSED, run.fold, OUTER, fused, outer)
        (model.parent / CHECKPOINT).unlink(missing_ok=True)  # of 70 MB; the run is done
        return lines

    def other(self, name: str) -> list[Line]:
        """Measure a method that is not trained here."""
        method = OTHERS[name][1](self.settings.peers)
        of_rigs = measure(method, self.rigs)
        lines = []
        for fold in range(FOLDS):
            lines += _lines(name, UNTRAINED, name, fold, OUTER, method, self.parts[fold].outer)
            lines += [Line(name, UNTRAINED, name, fold, OUTER, *key, values) for key, values in of_rigs.items()]
        return lines


def _lines(
    run: str, made: str, row: str, fold: int, part: str, method: Method, entries: Sequence[SceneEntry]
) -> list[Line]:
    return [Line(run, made, row, fold, part, *key, values) for key, values in measure(method, entries).items()]


def todo(study: Study) -> dict[str, Callable[[], list[Line]]]:
    """What is not done, by name, the most important first."""
    settings = study.settings
    results = settings.work / "results"
    planned = runs(chosen_ablation(read_results(results)))
    found: dict[str, Callable[[], list[Line]]] = {}
    for one in (*planned[:ESSENTIAL], *OTHERS, *planned[ESSENTIAL:]):
        if isinstance(one, Run):
            name, row, made, do = one.name, one.row.name, study.recipe(one).config_hash, partial(study.network, one)
            wanted = one.fold in settings.folds
        else:
            name, row, made, do = one, one, UNTRAINED, partial(study.other, one)
            wanted = one != PYDNET or (settings.peers / PYDNET_FILE).is_file()
        wanted = wanted and (not settings.rows or row in settings.rows)
        if wanted and not any(line.recipe == made for line in read_lines(results / f"{name}.csv")):
            found[name] = do
    return found


def work(settings: Settings) -> int:
    """Do run after run; 1 if one failed."""
    torch.set_num_threads(1)
    one_opencv_thread()
    settings.work.mkdir(parents=True, exist_ok=True)
    with FolderLock(settings.work, "prepare", WAIT_S):  # one process simulates the rig
        restore(settings.measures, settings.work / "results")
        study = Study(settings)
    failed: set[str] = set()
    taken: set[str] = set()  # another process does them, or did when they were last tried
    while time.time() < settings.until:
        waiting = {name: do for name, do in todo(study).items() if name not in failed | taken}
        if not waiting:
            break
        name = next(iter(waiting))
        started = time.monotonic()
        folder = settings.work / "runs" / name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with FolderLock(folder, "claims"):
                if name in todo(study):  # the other process may have just finished it
                    _log(settings, f"{name}: started, {len(waiting)} to do")
                    write_lines(settings.work / "results" / f"{name}.csv", waiting[name]())
                    _log(settings, f"{name}: done in {(time.monotonic() - started) / 60:.1f} min")
            taken.clear()
        except Exception as error:
            if isinstance(error, OutputError) and "another process" in str(error):
                taken.add(name)
            else:
                failed.add(name)
                _log(settings, f"{name}: failed\n{traceback.format_exc()}")
    return int(bool(failed))


def _log(settings: Settings, text: str) -> None:
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {os.getpid()} {text}"
    print(line, flush=True)
    with (settings.work / "log.txt").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def main(
    *,
    work_folder: Annotated[Path, Parameter(name="--work")],
    scenes: Path = Path("work/student/scenes"),
    split: Path = Path("work/student/split.csv"),
    data: Path = Path("../shared/data"),
    peers: Path = Path("../shared/peers"),
    measures: Path = Path("docs/results/claims/measures.csv"),
    steps: int = DEFAULT.steps,
    batch: int = DEFAULT.batch_size,
    crop: tuple[int, int] = DEFAULT.crop,
    pretrained: bool = True,
    accelerator: str = "cpu",
    jobs: int = 2,
    hours: float = 6.0,
    rows: Annotated[Sequence[str], Parameter(consume_multiple=True)] = (),
    folds: Annotated[Sequence[int], Parameter(consume_multiple=True)] = tuple(range(FOLDS)),
) -> int:
    """Train and measure what is not done yet, most important first.

    Parameters
    ----------
    work_folder
        Folder for results, networks, logs, and simulated and rendered captures.
    scenes
        Folder that mddnet build wrote.
    split
        Split of its locations.
    data
        Folder with depth/, the shapes of the simulated rig.
    peers
        Folder with pydnet_plus_plus.tflite; without it PyDNet++ is left out.
    measures
        Table of runs that are done, by research.claims.page.
    steps
        Steps of a run.
    batch
        Crops of a step.
    crop
        Height and width of a crop.
    pretrained
        Whether the encoder starts from ImageNet.
    accelerator
        cpu or cuda.
    jobs
        Processes, of one thread each.
    hours
        Time after which no run is started.
    rows
        Only these rows and methods.
    folds
        Only these folds.
    """
    effort = Effort(steps, batch, crop, pretrained)
    until = time.time() + 3600 * hours
    settings = Settings(work_folder, scenes, split, data, peers, measures, effort, accelerator, rows, folds, until)
    if jobs == 1:
        return work(settings)
    processes = [multiprocessing.get_context("spawn").Process(target=_exit_with, args=(settings,)) for _ in range(jobs)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return int(any(process.exitcode for process in processes))


def _exit_with(settings: Settings) -> None:
    sys.exit(work(settings))


if __name__ == "__main__":
    sys.exit(run_command(main))

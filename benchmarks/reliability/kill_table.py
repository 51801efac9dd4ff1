"""The table of docs/results/kills.md: commands that are killed at random moments and restarted.

    python -m benchmarks.reliability.kill_table --kills 100 -o docs/results/kills.md

The exit code is 1 if there are faults, which are printed. Results are stored in the work folder, one JSON file per
command, and reused by the next run. Needs fork: not on Windows.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.reliability.kill_cases import Build, Predict, Shards, Train
from benchmarks.reliability.killed import FEW, Case, Tally, kill_repeatedly
from benchmarks.table_page import replace_table

from mddnet.evaluate.provenance import provenance, provenance_line
from mddnet.io.atomic import atomic_write_text

LOADED = (
    "mddnet.cli.predict",
    "mddnet.cli.build",
    "mddnet.cli.shards",
    "mddnet.cli.train",
    "mddnet.predict.folder",
    "mddnet.scenes.build",
    "mddnet.scenes.shards_write",
    "mddnet.train.loop",
    "mddnet.train.card",
    "torch.utils.tensorboard",
)
"""Modules to import before the kills, so that no kill falls into imports."""
CASES = ("predict", "build", "build -j 2", "shards", "train")


def made_case(name: str, work: Path, small: bool) -> Case:
    """A case with its input; a smaller one for few kills."""
    if name == "predict":
        return Predict(work, count=2 if small else 8)
    if name == "build":
        return Build(work, count=1 if small else 4)
    if name == "build -j 2":
        return Build(work, jobs=2, name=name)
    return Shards(work) if name == "shards" else Train(work)


@dataclass(frozen=True, slots=True)
class Row:
    """What was seen of one command, as it lies in the folder of results."""

    tally: Tally  # kills and faults
    notes: list[str]  # what else was measured
    made: str  # by what it was made, when and where


def kill_one(name: str, kills: int, seed: int) -> Row:
    """Kill one command that many times, in a temporary folder."""
    for module in LOADED:
        importlib.import_module(module)
    import cv2
    import torch

    # Forked children do not have the threads of this process.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    started, made = time.monotonic(), provenance()
    with tempfile.TemporaryDirectory(prefix="mddnet-kills-") as folder:
        case = made_case(name, Path(folder), kills < FEW)
        tally = kill_repeatedly(case, Path(folder), kills, seed)
    notes = []
    if isinstance(case, Train):
        notes.append(
            f"Training: largest difference of a number in log.csv {case.largest_loss_difference:.1g}, of a weight "
            f"{case.largest_weight_difference:.1g}."
        )
    return Row(tally, notes, f"{name}: {provenance_line(made, time.monotonic() - started)}")


def rows_of(names: list[str], kills: int, seed: int, work: Path) -> list[Row]:
    """One row per command; existing results in the work folder are reused."""
    work.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in names:
        path = work / f"{name} {kills} {seed}.json"
        if not path.is_file():
            atomic_write_text(path, json.dumps(asdict(kill_one(name, kills, seed)), indent=1))
        found = json.loads(path.read_text(encoding="utf-8"))
        rows.append(Row(Tally(**found["tally"]), found["notes"], found["made"]))
        for fault in rows[-1].tally.faults:
            print(f"{name}: {fault}", file=sys.stderr)
    return rows


def table(rows: list[Row]) -> str:
    """The table in Markdown."""
    lines = [
        "| command | killed at a random moment | before a file operation | of these with a file or scene on its way "
        "| runs that came through | faults | undisturbed run, s | its file operations |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {t.name} | {t.at_moments} | {t.at_operations} | {t.in_the_middle} | {t.rounds} | {len(t.faults)} "
        f"| {t.undisturbed_s:.2f} | {t.operations} |"
        for t in (row.tally for row in rows)
    ]
    lines += [f"\n{note}" for row in rows for note in row.notes]
    lines += ["", *(f"- {row.made}" for row in rows)]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run, print, and write the table into the page between its marks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="of each command at random moments, and as many again")
    parser.add_argument("--only", action="append", choices=CASES, help="this command only; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--work", type=Path, default=Path("work/kills"), help="folder of results, one per command")
    parser.add_argument("-o", "--out", type=Path, help="page whose table is replaced")
    options = parser.parse_args()
    rows = rows_of(options.only or list(CASES), options.kills, options.seed, options.work)
    text = table(rows)
    print(text)
    if options.out is not None:
        replace_table(options.out, text)
    return 1 if any(row.tally.faults for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

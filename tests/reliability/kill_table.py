"""The table of docs/results/kills.md: commands that are killed at random moments and started again.

    python -m tests.reliability.kill_table --kills 100 -o docs/results/kills.md

It ends with 1 where anything was wrong, and says what. Only where processes can be forked: not on Windows.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

from mddnet.evaluate.provenance import provenance, provenance_words
from tests.reliability.kill_cases import Build, Predict, Shards, Train
from tests.reliability.killed import Case, Tally, kill_repeatedly
from tests.table_page import replace_table

LOADED = (
    "mddnet.cli.predict",
    "mddnet.cli.build",
    "mddnet.cli.shards",
    "mddnet.cli.train",
    "mddnet.predict.predictor",
    "mddnet.sets.build",
    "mddnet.sets.shards_write",
    "mddnet.train.loop",
    "mddnet.train.card",
    "torch.utils.tensorboard",
)
"""What the commands import, so that no killed run has to."""
CASES = ("predict", "build", "build -j 2", "shards", "train")


def made_case(name: str, work: Path) -> Case:
    """A case with its input."""
    if name == "predict":
        return Predict(work)
    if name == "build":
        return Build(work)
    if name == "build -j 2":
        return Build(work, jobs=2, name=name)
    return Shards(work) if name == "shards" else Train(work)


def run_all(names: list[str], kills: int, seed: int, work: Path) -> list[tuple[Tally, Case]]:
    """Kill each command that many times."""
    for module in LOADED:
        importlib.import_module(module)
    import cv2
    import torch

    # Threads of this process would be missing in its forked children.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    rows = []
    for name in names:
        folder = work / name.replace(" ", "_")
        folder.mkdir()
        case = made_case(name, folder)
        tally = kill_repeatedly(case, folder, kills, seed)
        rows.append((tally, case))
        print(
            f"{name}: {tally.kills} kills, {tally.rounds} rounds, {len(tally.faults)} faults, {tally.seconds:.0f} s",
            file=sys.stderr,
        )
        for fault in tally.faults:
            print(f"  {fault}", file=sys.stderr)
    return rows


def table(rows: list[tuple[Tally, Case]], words: str) -> str:
    """The table in Markdown."""
    lines = [
        "| command | kills | of these while a file or scene was on its way | runs that came through | faults | "
        "undisturbed run, s |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {t.name} | {t.kills} | {t.in_the_middle} | {t.rounds} | {len(t.faults)} | {t.undisturbed_s:.2f} |"
        for t, _ in rows
    ]
    for _, case in rows:
        if isinstance(case, Train):
            lines += [
                "",
                f"Training: largest difference of a number in log.csv {case.largest_loss_difference:.1g}, of a weight "
                f"{case.largest_weight_difference:.1g}.",
            ]
    return "\n".join([*lines, "", words]) + "\n"


def main() -> int:
    """Run, print, and write the table into the page between its marks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="kills of each command")
    parser.add_argument("--only", action="append", choices=CASES, help="this command only; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("-o", "--out", type=Path, help="page whose table is replaced")
    options = parser.parse_args()
    started, made = time.monotonic(), provenance()
    with tempfile.TemporaryDirectory(prefix="mddnet-kills-") as work:
        rows = run_all(options.only or list(CASES), options.kills, options.seed, Path(work))
    text = table(rows, provenance_words(made, time.monotonic() - started))
    print(text)
    if options.out is not None:
        replace_table(options.out, text)
    return 1 if any(tally.faults for tally, _ in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

"""The split for what the shipped model learns from, with what is held out.

    python -m research.student.prepare --data ../shared/data --out work/student

Writes ``split.csv``: the split of the data with the locations of ``research/held_out.csv`` marked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from research.teacher.held_out import HeldOut

from mddnet.data.split import read_split
from mddnet.io.atomic import write_csv


def write_split(data: Path, out: Path, held_out: HeldOut) -> None:
    """The split of the data with calib locations, and with held-out rendered views as calib or dev."""
    splits = dict(read_split(data / "split.csv"))
    splits |= dict.fromkeys(held_out.names("calib", "place"), "calib")
    splits |= {f"views/{name}": "calib" for name in held_out.names("calib", "made")}
    splits |= {f"views/{name}": "dev" for name in held_out.names("judge", "made")}
    rows = [{"place": location, "split": split} for location, split in sorted(splits.items())]
    write_csv(out / "split.csv", ("place", "split"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the split for the shipped model.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    write_split(args.data, args.out, HeldOut())


if __name__ == "__main__":
    main()

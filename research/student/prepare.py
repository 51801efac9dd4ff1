"""Lay out what the shipped model learns from, without what is held out.

    python -m research.student.prepare --data ../shared/data --out work/student

Writes ``split.csv``, the split of the data with the locations of ``research/held_out.csv`` marked, and ``photos/``:
links to the photos that a teacher may label, which are those that are not held out.
"""

from __future__ import annotations

import argparse
import csv
import os
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


def link_photos(data: Path, out: Path, held_out: HeldOut) -> int:
    """Link the photos that are not held out, and write their manifest; the number of photos."""
    with (data / "photos" / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if not held_out.holds(f"photos/{_name(row['file'])}")]
    for row in rows:
        target = out / "photos" / _name(row["file"])
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            source = data / "photos" / _name(row["file"])
            try:
                os.link(source, target)
            except OSError:  # another file system
                target.write_bytes(source.read_bytes())
        row["file"] = _name(row["file"])
    write_csv(out / "photos" / "manifest.csv", ("file", "source", "licence"), rows)
    return len(rows)


def _name(file: str) -> str:
    return file.removeprefix("photos/")


def main() -> None:
    parser = argparse.ArgumentParser(description="Lay out what the shipped model learns from.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    held_out = HeldOut()
    write_split(args.data, args.out, held_out)
    print(f"{link_photos(args.data, args.out, held_out)} photos to label, in {args.out / 'photos'}")


if __name__ == "__main__":
    main()

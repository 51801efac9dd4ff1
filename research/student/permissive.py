"""The scenes whose sources allow commercial use, for recipes/permissive.toml.

    python -m research.student.permissive --scenes work/student/scenes --split work/student/split.csv \\
        --out work/permissive

Writes ``scenes``, links to the scenes of the locations that ``permissive.csv`` lists, and ``split.csv``. A location
that is not listed is left out of training and of validation.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from mddnet.data.split import read_split
from mddnet.io.atomic import write_csv

LIST = Path(__file__).with_suffix(".csv")
LABELLED = "pseudo"
"""Scenes whose depth is that of a teacher: the teacher's training data counts, too, so they are left out."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source that allows commercial use.

    Attributes:
        place: pattern of its locations.
        licence: as stated by the source.
        source: who made it.
    """

    place: str
    licence: str
    source: str


def sources() -> list[Source]:
    """The sources of permissive.csv."""
    with LIST.open(newline="", encoding="utf-8") as file:
        return [Source(**row) for row in csv.DictReader(file)]


def source_of(location: str) -> Source | None:
    """The permissive source of a location, or None."""
    return next((source for source in sources() if fnmatchcase(location, source.place)), None)


def link_scenes(scenes: Path, out: Path) -> int:
    """Link the scenes of permissive locations into ``out``, and unlink all others; the number of links."""
    for old in out.glob("*/*"):
        old.unlink()
    count = 0
    for record in sorted(scenes.glob("*/*/scene.json")):
        location = json.loads(record.read_text(encoding="utf-8"))["place"]
        if record.parent.parent.name != LABELLED and source_of(location) is not None:
            link = out / record.parent.relative_to(scenes)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(record.parent.resolve(), target_is_directory=True)
            count += 1
    return count


def write_split(split: Path, out: Path) -> None:
    """The rows of a split whose locations are permissive."""
    rows = [{"place": one, "split": part} for one, part in read_split(split).items() if source_of(one) is not None]
    write_csv(out, ("place", "split"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Select the scenes whose sources allow commercial use.")
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    count = link_scenes(args.scenes, args.out / "scenes")
    write_split(args.split, args.out / "split.csv")
    print(f"{count} scenes -> {args.out / 'scenes'}")


if __name__ == "__main__":
    main()

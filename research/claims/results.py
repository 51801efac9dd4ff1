"""Read and write measures: one line per run and location."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mddnet.io.atomic import atomic_write_text

_KEYS = ("run", "recipe", "row", "fold", "part", "kind", "place")
OUTER, INNER = "outer", "inner"
UNTRAINED = "-"


@dataclass(frozen=True, slots=True)
class Line:
    """The results of one run at one location."""

    run: str
    recipe: str  # hash of the recipe, or "-" for a method that was not trained here
    row: str
    fold: int  # of the location
    part: str  # "outer" for held-out locations of the fold, "inner" for calib locations
    kind: str  # of the scenes
    location: str
    measures: Mapping[str, float]


def write_lines(path: Path, lines: Sequence[Line]) -> None:
    """Write the table with four significant digits; missing values are empty."""
    names = list(dict.fromkeys(name for line in lines for name in sorted(line.measures)))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_KEYS, *names))
    for line in lines:
        values = [f"{line.measures[name]:.4g}" if name in line.measures else "" for name in names]
        writer.writerow((line.run, line.recipe, line.row, line.fold, line.part, line.kind, line.location, *values))
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, text.getvalue())


def read_lines(path: Path) -> list[Line]:
    """Read the table; empty if there is no file.

    Raises:
        ValueError: for an invalid line.
    """
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        return [
            Line(
                *(row[key] for key in _KEYS[:3]),
                int(row["fold"]),
                *(row[key] for key in _KEYS[4:]),
                {name: float(value) for name, value in row.items() if name not in _KEYS and value},
            )
            for row in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a table of measures ({error}); delete it, and repeat the run") from error


def restore(saved: Path, folder: Path) -> None:
    """Write the runs of a table of all runs into ``folder``, as ``RUN.csv`` files; runs that are there stay."""
    by_run: dict[str, list[Line]] = {}
    for line in read_lines(saved):
        by_run.setdefault(line.run, []).append(line)
    for run, lines in by_run.items():
        if not (folder / f"{run}.csv").exists():
            write_lines(folder / f"{run}.csv", lines)


def read_results(folder: Path) -> list[Line]:
    """The lines of all runs that are done, from ``RUN.csv`` files."""
    return [line for path in sorted(folder.glob("*.csv")) for line in read_lines(path)]

"""Compare two folders of result pages: ``python -m benchmarks.compare_tables OLD NEW``; ``make check-tables`` uses it.

Every number of the tables of the Markdown pages and of the JSON files in both folders is compared. Times, dates and
versions depend on the machine and are left out.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fill_tables import table_cells
from cyclopts import App

ABSOLUTE, RELATIVE = 0.01, 0.02
"""A number may differ by the larger of both: another processor adds floats in another order, which moves a metric in
its third digit, and some pixels across a threshold."""
LEFT_OUT = re.compile(
    r"\b(ms|s|seconds|milliseconds|times?|rate|version|made|commit|machine|MB|MiB)\b|per_s|_ms$", re.I
)
"""Rows, columns and keys of times, memory and versions."""
WEIGHTS = re.compile(r"\+[0-9a-f]{8}\b")  # in versions: two exports of the same weights differ
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Difference:
    """A number that is not the same in both folders."""

    place: str  # file and row, or file and key
    old: str
    new: str


def differences(old: Path, new: Path) -> list[Difference]:
    """Compare the pages that both folders have, and name those that only ``old`` has."""
    found = []
    for page in sorted(path for path in old.rglob("*") if path.suffix in (".md", ".json")):
        name = page.relative_to(old).as_posix()
        if name.startswith("templates/"):  # written by hand
            continue
        other = new / name
        if not other.is_file():
            found.append(Difference(name, "there", "missing"))
            continue
        numbers = _table_numbers if page.suffix == ".md" else _json_numbers
        before, after = dict(numbers(page)), dict(numbers(other))
        for place in dict.fromkeys((*before, *after)):
            values = before.get(place, ()), after.get(place, ())
            if not _agree(*values):
                found.append(Difference(f"{name}: {place}", *(" ".join(f"{x:g}" for x in v) or "-" for v in values)))
    return found


def _agree(old: tuple[float, ...], new: tuple[float, ...]) -> bool:
    return len(old) == len(new) and all(
        math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE) or (math.isnan(a) and math.isnan(b))
        for a, b in zip(old, new, strict=True)
    )


def _table_numbers(page: Path) -> Iterator[tuple[str, tuple[float, ...]]]:
    """The numbers of every cell of the tables of a Markdown page."""
    for cell in table_cells(page):
        numbers = tuple(float(number) for number in NUMBER.findall(cell.text))
        if numbers and not LEFT_OUT.search(f"{cell.row} {cell.column}"):
            yield WEIGHTS.sub("", f"table {cell.table} ({cell.section}), {cell.row}, {cell.column}"), numbers


def _json_numbers(page: Path) -> Iterator[tuple[str, tuple[float, ...]]]:
    yield from _leaves(json.loads(page.read_text(encoding="utf-8")), "")


def _leaves(value: Any, place: str) -> Iterator[tuple[str, tuple[float, ...]]]:
    if LEFT_OUT.search(place.rpartition(".")[2]):
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{place}.{name}".lstrip("."))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _leaves(inner, f"{place}.{n}")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield place, (float(value),)


def main(old: Path, new: Path) -> int:
    """Print every number that differs; 1 if there is one.

    Parameters
    ----------
    old
        Folder of the committed pages.
    new
        Folder of the pages made anew.
    """
    found = differences(old, new)
    for one in found:
        print(f"{one.place}: {one.old} -> {one.new}")
    print(f"{len(found)} numbers differ by more than {ABSOLUTE:g} and {RELATIVE:.0%}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(App(default_command=main, help_format="plaintext")() or 0)

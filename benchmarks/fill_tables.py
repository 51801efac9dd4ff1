"""Inserts the numbers of the result files into README and docs.

    python benchmarks/fill_tables.py          updates the documents
    python benchmarks/fill_tables.py --check  lists outdated documents (exit code 1)

The text between the lines ``<!-- numbers: NAME -->`` and ``<!-- end of numbers -->`` of a document is
``docs/results/templates/NAME.md`` with every ``{{KEY|DIGITS}}`` replaced. KEY is a number of
``docs/results/small/evaluation.json``, its names joined by dots (``headline.pairs.near_far_worst``;
``kinds.pairs.frames.#`` counts); ``ablation:SECTION:ROW:COLUMN`` for a cell of ``ablation.md``, or
``metres::ROW:COLUMN`` for one of the first table of ``metres.md``; ``baselines:KIND:METHOD:METRIC`` for a number of
``baselines.json``, "-" if that was not measured; or ``speed:`` and the names of a number of ``speed.json``. ``DIGITS``
is the number of decimals; a leading zero is omitted; ``1/`` gives N of "one in N is wrong".
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

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
CARD = ROOT / "src" / "mddnet" / "models" / "small" / "card.md"
DOCUMENTS = (ROOT / "README.md", CARD, *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"(<!-- numbers: ([\w-]+) -->\n)(.*?)(<!-- end of numbers -->)", re.DOTALL)
NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)%?")
PLACE = re.compile(r"\{\{([^{}|]+)\|([^{}|]+)\}\}")


def numbers(folder: Path = RESULTS) -> dict[str, float]:
    """Every number of the result files, by its key."""
    found: dict[str, float] = {}
    evaluation = json.loads((folder / "small" / "evaluation.json").read_text(encoding="utf-8"))
    _flatten("", evaluation, found)
    baselines = json.loads((folder / "baselines.json").read_text(encoding="utf-8"))["kinds"]
    for kind, measured in baselines.items():
        for method, metrics in measured["methods"].items():
            found |= {f"baselines:{kind}:{method}:{metric}": value for metric, value in metrics.items()}
    speed: dict[str, float] = {}
    _flatten("", json.loads((folder / "speed.json").read_text(encoding="utf-8")), speed)
    found |= {f"speed:{key}": value for key, value in speed.items()}
    for page in ("ablation", "metres"):
        for cell in table_cells(folder / f"{page}.md"):
            if cell.text in ("-", "") or NUMBER.fullmatch(cell.text):
                value = float(cell.text.rstrip("%")) if cell.text.strip("-") else math.nan
                found.setdefault(f"{page}:{cell.section}:{cell.row}:{cell.column}", value)
    return found


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table of a page."""

    section: str  # heading of the second level that it is under; empty before the first one
    table: int  # number of the table on the page, from 1
    row: str  # first cell of its row
    column: str  # heading of its column
    text: str


def table_cells(page: Path) -> Iterator[Cell]:
    """Every cell of the tables of a Markdown page but the headings and the first column."""
    section, columns, table = "", list[str](), 0
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not columns:
            columns, table = cells, table + 1
        elif set("".join(cells)) != {"-"}:
            for column, text in zip(columns[1:], cells[1:], strict=True):
                yield Cell(section, table, cells[0], column, text)


def _flatten(prefix: str, value: Any, found: dict[str, float]) -> None:
    if isinstance(value, dict):
        found[f"{prefix}.#"] = len(value)
        for name, inner in value.items():
            _flatten(f"{prefix}.{name}" if prefix else name, inner, found)
    elif isinstance(value, list):
        found[f"{prefix}.#"] = len(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found[prefix] = float(value)


def filled(template: str, known: dict[str, float]) -> str:
    """A template with its numbers.

    Raises:
        KeyError: for a number that no result file has.
    """

    def number(match: re.Match[str]) -> str:
        key, digits = match[1], match[2]
        if key not in known and key.startswith("baselines:"):
            return "-"  # PyDNet++ needs a file and a package that not everybody has
        if key not in known:
            raise KeyError(f"{key}: no such number in {RESULTS}")
        if digits == "1/":
            return f"{1 / max(1 - known[key], 1e-9):.0f}"
        text = f"{known[key]:.{int(digits)}f}"
        return re.sub(r"^(-?)0\.", r"\1.", text)

    return PLACE.sub(number, template)


def document(text: str, known: dict[str, float]) -> str:
    """A document with all its blocks filled."""

    def block(match: re.Match[str]) -> str:
        template = (RESULTS / "templates" / f"{match[2]}.md").read_text(encoding="utf-8")
        return match[1] + filled(template, known) + match[4]

    return BLOCK.sub(block, text)


def stale(known: dict[str, float] | None = None) -> dict[Path, str]:
    """Outdated documents, with their new text."""
    known = numbers() if known is None else known
    result = {}
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        new = document(text, known)
        if new != text:
            result[path] = new
    return result


def main() -> int:
    """Fill, or check."""
    out_of_date = stale()
    for path, text in out_of_date.items():
        if "--check" in sys.argv:
            print(f"{path.relative_to(ROOT)}: numbers differ from docs/results; run make tables")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: filled")
    return 1 if out_of_date and "--check" in sys.argv else 0


if __name__ == "__main__":
    raise SystemExit(main())

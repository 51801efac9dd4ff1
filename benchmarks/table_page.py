"""Pages of ``docs/results`` with handwritten text and a generated table between two marks."""

from __future__ import annotations

from pathlib import Path

START, END = "<!-- table -->\n", "<!-- end of table -->"


def show_table(table: str, page: Path | None) -> None:
    """Print a table, and replace that of a page if there is one."""
    print(table)
    if page is not None:
        replace_table(page, table)


def replace_table(page: Path, table: str) -> None:
    """Replace the table between the marks of a page."""
    head, rest = page.read_text(encoding="utf-8").split(START)
    page.write_text(head + START + table + END + rest.split(END)[1], encoding="utf-8")

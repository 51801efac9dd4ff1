"""Writing the pages of ``docs/results``."""

from __future__ import annotations

from pathlib import Path

from mddnet.io.atomic import atomic_write_text


def write_result_page(out: Path, text: str) -> None:
    """Write a page whole, its folder made if it is missing, and print it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(out, text)
    print(text)

"""The flag ``--split`` of every verb that takes it."""

from __future__ import annotations

from pathlib import Path


def wrong_split(split: Path | None) -> str | None:
    """What is wrong with the file that was named, or None."""
    if split is None or split.is_file():
        return None
    return f"--split {split}: no such file; expected a CSV file with place,split"

"""Checks of flags that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def wrong_split(split: Path | None) -> str | None:
    """Error message for a missing ``--split`` file, or None."""
    if split is None or split.is_file():
        return None
    return f"--split {split}: no such file; expected a CSV file with place,split"


def wrong_kind(only: Sequence[str] | None) -> str | None:
    """Error message for an unknown kind of ``--only``, or None."""
    if not only:
        return None
    from mddnet.kinds import KINDS  # imported here to keep --help fast

    unknown = next((name for name in only if name not in KINDS), None)
    return None if unknown is None else f"--only {unknown}: unknown kind of capture; expected one of {', '.join(KINDS)}"

"""The flags that several verbs take, checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def wrong_split(split: Path | None) -> str | None:
    """What is wrong with the file that ``--split`` names, or None."""
    if split is None or split.is_file():
        return None
    return f"--split {split}: no such file; expected a CSV file with place,split"


def wrong_kind(only: Sequence[str] | None) -> str | None:
    """What is wrong with the kinds of captures that ``--only`` names, or None."""
    if not only:
        return None
    from mddnet.kinds import KINDS  # imported when it is asked for: --help answers at once

    unknown = next((name for name in only if name not in KINDS), None)
    return None if unknown is None else f"--only {unknown}: no kind of capture; expected one of {', '.join(KINDS)}"

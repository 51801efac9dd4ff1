"""Content of a folder, and differences of two folders."""

from __future__ import annotations

from pathlib import Path

Files = dict[str, bytes]
"""Path below a folder -> content."""


def files_of(folder: Path) -> Files:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def byte_differences(left: Files, wanted: Files) -> list[str]:
    """Files that are missing, superfluous, or different."""
    names = sorted(left.keys() | wanted.keys())
    words = {(True, False): "is too many", (False, True): "is missing", (True, True): "has other bytes"}
    return [f"{name} {words[name in left, name in wanted]}" for name in names if left.get(name) != wanted.get(name)]

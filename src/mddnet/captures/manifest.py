"""Tables of captures: ``manifest.csv``, with file names relative to its folder."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from mddnet.captures.kind import ListedCapture
from mddnet.errors import CaptureError
from mddnet.io.json_fields import MAX_NAME_BYTES, display, is_writable_text

Capture = TypeVar("Capture", bound=ListedCapture)


def manifest_rows(
    root: Path, columns: Sequence[str], file: str = "manifest.csv"
) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of ``root/file`` with a text in each of ``columns``, and their line for messages."""
    path = root / file
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows, header = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CaptureError(f"{path}: not a readable manifest ({error}); expected a CSV file with a header") from error
    if missing := [c for c in columns if c not in header]:
        raise CaptureError(
            f"{path}: no column {', '.join(missing)}; the header is {display(', '.join(header)) if header else 'empty'}"
        )
    for number, row in enumerate(rows, 2):
        lacking = next((column for column in columns if row[column] is None), None)
        if lacking is not None:
            raise CaptureError(f"{path}, line {number}: no value in column {lacking}; expected {', '.join(columns)}")
        yield f"{path}, line {number}", row


def path_inside(root: Path, name: str, line: str | Path) -> Path:
    """A path below ``root``; CaptureError for any other, since a manifest must not reference other folders."""
    part = Path(name)
    invalid = not is_writable_text(name) or "\0" in name or any(len(p.encode()) > MAX_NAME_BYTES for p in part.parts)
    if not name or invalid or part.is_absolute() or part.drive or ".." in part.parts:
        raise CaptureError(f"{line}: file {display(name)}; expected a path below {root}")
    return root / part


def file_inside(root: Path, name: str, line: str) -> Path:
    """An existing file below ``root``; CaptureError for any other."""
    path = path_inside(root, name, line)
    if not path.is_file():
        raise CaptureError(f"{line}: {path} does not exist; restore it or remove the row")
    return path


def check_unique(root: Path, captures: list[Capture]) -> list[Capture]:
    """Check that the names of captures are unique; raises CaptureError for a repeated name."""
    seen: set[str] = set()
    for line, capture in enumerate(captures, 2):
        if capture.name in seen:
            raise CaptureError(
                f"{root / 'manifest.csv'}, line {line}: {capture.name} occurs twice; expected one row per capture"
            )
        seen.add(capture.name)
    return captures

"""Tables that list captures: ``manifest.csv``, with the names of files relative to a folder."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from mddnet.captures.kind import ListedCapture
from mddnet.errors import CaptureError
from mddnet.io.json_fields import MAX_NAME_BYTES, is_writable_text, shown

Capture = TypeVar("Capture", bound=ListedCapture)


def manifest_rows(root: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of ``root/manifest.csv``, with a text in each of ``columns``, and their position for messages.

    Raises:
        CaptureError: if it is missing, lacks one of ``columns``, or a row ends early.
    """
    path = root / "manifest.csv"
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
            header = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CaptureError(f"{path}: not a readable manifest ({error}); expected a CSV file with a header") from error
    missing = [c for c in columns if c not in header]
    if missing:
        raise CaptureError(
            f"{path}: no column {', '.join(missing)}; the header is {shown(', '.join(header)) if header else 'empty'}"
        )
    for number, row in enumerate(rows, 2):
        early = next((column for column in columns if row[column] is None), None)
        if early is not None:
            raise CaptureError(f"{path}, line {number}: ends before column {early}; expected {', '.join(columns)}")
        yield f"{path}, line {number}", row


def path_inside(root: Path, name: str, line: str | Path) -> Path:
    """A file below ``root``; a manifest must not point elsewhere on the disk.

    Raises:
        CaptureError: for an absolute name or one that climbs out.
    """
    part = Path(name)
    odd = not is_writable_text(name) or "\0" in name or any(len(p.encode()) > MAX_NAME_BYTES for p in part.parts)
    if not name or odd or part.is_absolute() or part.drive or ".." in part.parts:
        raise CaptureError(f"{line}: file {shown(name)}; expected a path below {root}")
    return root / part


def file_inside(root: Path, name: str, line: str) -> Path:
    """A file below ``root`` that exists.

    Raises:
        CaptureError: as :func:`path_inside`, and where there is no such file.
    """
    path = path_inside(root, name, line)
    if not path.is_file():
        raise CaptureError(f"{line}: {path} does not exist; restore it or drop the row")
    return path


def each_once(root: Path, captures: list[Capture]) -> list[Capture]:
    """The captures of a manifest, checked.

    Raises:
        CaptureError: where two have one name.
    """
    seen: set[str] = set()
    for line, capture in enumerate(captures, 2):
        if capture.name in seen:
            raise CaptureError(
                f"{root / 'manifest.csv'}, line {line}: {capture.name} occurs twice; expected one row per capture"
            )
        seen.add(capture.name)
    return captures

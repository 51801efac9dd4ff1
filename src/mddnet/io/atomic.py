"""Atomic writes: text, JSON without NaN, CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mddnet.io.part_file import StagedFiles, writing_into


def atomic_write(path: Path, write: Callable[[BinaryIO], object], durable: bool = False) -> None:
    """Write a file in an existing folder: complete or not at all; ``durable`` flushes it to disk first.

    OutputError if the disk is full or the folder is not writable; the previous file then stays.
    """
    with writing_into(path.parent, path), StagedFiles(durable) as files:
        files.write(path, write)
        files.commit()


def atomic_write_text(path: Path, text: str) -> None:
    """Write text atomically, as UTF-8; lone surrogates, of names that are not UTF-8, are escaped as in JSON."""
    atomic_write(path, lambda stream: stream.write(text.encode(errors="backslashreplace")))


def plain_json(value: Any) -> Any:
    """A value for strict JSON: NaN and infinity become null, keys become strings."""
    if isinstance(value, Mapping):
        return {str(k): plain_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write a table atomically; missing cells are empty, keys outside ``columns`` are dropped."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write_text(path, text.getvalue())

"""JSON that describes captures, read as a stranger's: errors name the file, the value, what was expected, the fix.

Numbers are Python's: JSON allows NaN, Infinity and whole numbers beyond any float here, and nesting beyond any stack.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mddnet.errors import CaptureError, MddnetError

UNREADABLE_JSON = (OSError, ValueError, RecursionError)
"""What reading a file and parsing it as JSON raises."""
MAX_JSON_BYTES = 64 * 2**20
"""More is no description of anything here; a sweep of ten thousand frames takes a hundredth of it."""
MAX_NAME_BYTES = 255
"""Longest file name of the usual file systems."""
SHOWN_CHARACTERS = 200


def shown(value: object) -> str:
    """A value as it stands in a message: its ``repr``, cut where it is long."""
    text = repr(value)
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[: SHOWN_CHARACTERS // 2]} ... {text[-SHOWN_CHARACTERS // 4 :]}"


def read_json(path: Path, expected: str, error: type[MddnetError] = CaptureError) -> Any:
    """The content of a JSON file.

    Args:
        path: the file.
        expected: what it should have been, and the fix: the end of the message.
        error: class to raise.

    Raises:
        MddnetError: of that class, if the file is missing, larger than 64 MiB, no UTF-8 or no JSON.
    """
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise ValueError(f"{size} bytes, at most {MAX_JSON_BYTES}")
        return json.loads(path.read_text(encoding="utf-8"))
    except UNREADABLE_JSON as problem:
        raise error(f"{path}: not readable ({problem}); {expected}") from problem


def read_json_object(
    path: Path, expected: str = "expected a JSON object", error: type[MddnetError] = CaptureError
) -> dict[str, Any]:
    """The content of a JSON file that holds an object.

    Raises:
        MddnetError: as :func:`read_json`, and for anything but an object.
    """
    data = read_json(path, expected, error)
    if not isinstance(data, dict):
        raise error(f"{path}: {type(data).__name__}; {expected}")
    return data


def is_writable_text(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON allows half of a pair of surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number; JSON's true, NaN, and whole numbers beyond a float are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


# --- names and files --------------------------------------------------------------------------------------------------


def is_plain_name(name: object) -> bool:
    """Whether a value is the name of a file or folder that leads nowhere else, on this system and on others."""
    if not isinstance(name, str) or name in {"", ".", ".."} or set(name) & set("/\\\0"):
        return False
    # Path(...).name drops the drive of "C:name" on Windows.
    return Path(name).name == name and is_writable_text(name) and len(name.encode()) <= MAX_NAME_BYTES


def named_file(path: Path, name: object, what: str, folders: int = 0) -> Path:
    """A file beside a description, or at most so many folders down: any other could lie elsewhere on the disk.

    Args:
        path: the description.
        name: what it says.
        what: the field, for messages.
        folders: how many folders down the file may lie.

    Raises:
        CaptureError: for a name that is absolute, climbs out or goes too deep, and for a file that does not exist.
    """
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    if not 1 <= len(parts) <= 1 + folders or not all(map(is_plain_name, parts)):
        where = f"{path.parent}, at most one folder down" if folders else f"{path.parent}"
        raise CaptureError(f"{path}: {what} is {shown(name)}; expected the plain name of a file in {where}")
    file = path.parent.joinpath(*parts)
    if not file.is_file():
        raise CaptureError(
            f"{path}: {what} names {shown(name)}, which does not exist in {path.parent}; add the file or remove its "
            "name"
        )
    return file


def named_files(path: Path, names: object, what: str, folders: int = 0) -> tuple[Path, ...]:
    """The files of a list of names, each of them once; as :func:`named_file`.

    Raises:
        CaptureError: for anything but a list, a name that occurs twice, and as :func:`named_file`.
    """
    if not isinstance(names, list):
        raise CaptureError(f"{path}: {what} is {shown(names)}; expected a list of file names in capture order")
    twice = first_double([name for name in names if isinstance(name, str)])
    if twice is not None:
        raise CaptureError(f"{path}: {what} names {shown(twice)} twice; expected every image once")
    return tuple(named_file(path, name, what, folders) for name in names)


def first_double(names: Sequence[str]) -> str | None:
    """The first name in alphabetical order that occurs twice, or None."""
    return min((name for name, count in Counter(names).items() if count > 1), default=None)

"""Untrusted JSON that describes captures; errors state the file, the value, the expectation and the fix.

Python's JSON allows NaN, Infinity, integers beyond the range of floats, and nesting beyond any stack.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mddnet.errors import CaptureError, MddnetError

UNREADABLE_JSON = (OSError, ValueError, RecursionError)  # exceptions of reading and parsing a JSON file
MAX_JSON_BYTES = 64 * 2**20  # descriptions are far smaller: a sweep of ten thousand frames takes a hundredth of it
MAX_NAME_BYTES = 255  # longest file name on common file systems
MAX_DISPLAY_CHARACTERS = 200


def display(value: object) -> str:
    """The ``repr`` of a value for a message, shortened if it is long."""
    text = repr(value)
    if len(text) <= MAX_DISPLAY_CHARACTERS:
        return text
    return f"{text[: MAX_DISPLAY_CHARACTERS // 2]} ... {text[-MAX_DISPLAY_CHARACTERS // 4 :]}"


def read_json_object(
    path: Path, expected: str = "expected a JSON object", error: type[MddnetError] = CaptureError
) -> dict[str, Any]:
    """Read a JSON file of an object; ``error``, ending with ``expected``, if it is no such file or above 64 MiB."""
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise ValueError(f"{size} bytes, at most {MAX_JSON_BYTES}")
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except UNREADABLE_JSON as problem:
        raise error(f"{path}: not readable ({problem}); {expected}") from problem
    if not isinstance(data, dict):
        raise error(f"{path}: {type(data).__name__}; {expected}")
    return data


def is_writable_text(text: str) -> bool:
    """Whether a text can be encoded as UTF-8: JSON allows lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number: not true, NaN, or an integer beyond the range of floats."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_plain_name(name: object) -> bool:
    """Whether a value is a file or folder name without any path, on every operating system."""
    if not isinstance(name, str) or name in {"", ".", ".."} or set(name) & set("/\\\0"):
        return False
    # Path(...).name drops the drive of "C:name" on Windows.
    return Path(name).name == name and is_writable_text(name) and len(name.encode()) <= MAX_NAME_BYTES


def named_file(path: Path, name: object, what: str, folders: int = 0) -> Path:
    """An existing file in the folder of a description, or up to ``folders`` levels below it: nothing else on the disk.

    CaptureError for another name; ``what`` is the name of the field.
    """
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    if not 1 <= len(parts) <= 1 + folders or not all(map(is_plain_name, parts)):
        where = f"{path.parent}, at most one folder down" if folders else f"{path.parent}"
        raise CaptureError(f"{path}: {what} is {display(name)}; expected the plain name of a file in {where}")
    file = path.parent.joinpath(*parts)
    if not file.is_file():
        raise CaptureError(f"{path}: {what}: {display(name)} does not exist in {path.parent}; add it or remove it")
    return file


def named_files(path: Path, names: object, what: str, folders: int = 0) -> tuple[Path, ...]:
    """The files of a list of unique names; errors as :func:`named_file`."""
    if not isinstance(names, list):
        raise CaptureError(f"{path}: {what} is {display(names)}; expected a list of file names in capture order")
    repeated = first_repeated([name for name in names if isinstance(name, str)])
    if repeated is not None:
        raise CaptureError(f"{path}: {what} has {display(repeated)} twice; expected every image once")
    return tuple(named_file(path, name, what, folders) for name in names)


def first_repeated(names: Sequence[str]) -> str | None:
    """The alphabetically first name that occurs more than once, or None."""
    return min((name for name, count in Counter(names).items() if count > 1), default=None)

"""Arrays of numbers in MATLAB files of versions 5 to 7.

SciPy's reader ends the process for some damaged files; only what the data sets need is read here. After "MAT-File
Format" (The MathWorks): a header of 128 bytes, then elements of type, size and data, padded to 8 bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mddnet.errors import CaptureError

HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of data elements."""
MOST_BYTES = 2**29  # of a decompressed variable


def read_mat(path: Path, key: str) -> NDArray[np.float64]:
    """A variable of real numbers; CaptureError if the file is damaged or has no such variable."""
    try:
        content = path.read_bytes()
        order = {b"IM": "<", b"MI": ">"}.get(content[HEADER_BYTES - 2 : HEADER_BYTES])
        if order is None:
            raise ValueError("no MATLAB file of version 5 to 7")
        for kind, data in _elements(content[HEADER_BYTES:], order):
            values = _numbers_named(key, kind, data, order)
            if values is not None:
                return values
    except (OSError, ValueError, struct.error, zlib.error, OverflowError, MemoryError) as error:
        raise CaptureError(f"{path}: not a readable MATLAB file ({error}); get the file again") from error
    raise CaptureError(f"{path}: no variable {key} of numbers; expected one")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and data of each element; up to 4 bytes of data lie within the tag."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:
            size, kind = kind >> 16, kind & 0xFFFF
            yield kind, data[at + 4 : at + 4 + min(size, 4)]
            at += 8
            continue
        if at + 8 + size > len(data):
            raise ValueError(f"an element of {size} bytes where {len(data) - at - 8} are left")
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + (-size % 8 if kind != COMPRESSED else 0)


def _numbers_named(key: str, kind: int, data: bytes, order: str) -> NDArray[np.float64] | None:
    """The numbers of a matrix element, if that is its name and it has numbers."""
    if kind == COMPRESSED:
        opened = zlib.decompressobj()
        whole = opened.decompress(data, MOST_BYTES)
        if opened.unconsumed_tail:
            raise ValueError(f"a variable of more than {MOST_BYTES} bytes")
        kind, data = next(_elements(whole, order), (0, b""))
    parts = list(_elements(data, order)) if kind == MATRIX else []
    if len(parts) < 4 or parts[2][1] != key.encode():
        return None
    (_, dimensions), (number_kind, numbers) = parts[1], parts[3]
    if number_kind not in NUMBERS:
        return None
    shape = np.frombuffer(dimensions, f"{order}u4")  # a negative one would mean any size
    values = np.frombuffer(numbers, order + NUMBERS[number_kind])
    return values.reshape(shape, order="F").astype(np.float64)  # MATLAB counts columns first

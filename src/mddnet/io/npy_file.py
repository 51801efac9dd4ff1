"""Untrusted NumPy files (.npy): memory-mapped, never unpickled, with headers checked before NumPy parses them."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from mddnet.errors import CaptureError

MAX_HEADER_BYTES = 10_000  # numPy's limit; the header of a numeric array has about a hundred


def read_numbers(path: Path) -> NDArray[np.float64]:
    """Read an array of numbers as float64; CaptureError if it is missing, damaged or empty, or holds anything else.

    A header that claims more than the file holds is refused before memory is allocated.
    """
    expected = "expected a .npy file of plain numbers"
    try:
        _check_header(path)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        # NumPy's header parser raises many classes of exceptions.
        raise CaptureError(f"{path}: not a readable array ({error}); {expected}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "uifb" or not array.size:
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise CaptureError(f"{path}: {found}; {expected}")
    return array.astype(np.float64)


def _check_header(path: Path) -> None:
    """Raise an exception unless the header is a literal: NumPy could spend minutes on parsing it as Python 2 syntax."""
    with path.open("rb") as stream:
        version = npy_format.read_magic(stream)
        length = int.from_bytes(stream.read(2 if version == (1, 0) else 4), "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"a header of {length} bytes")
        header = ast.literal_eval(stream.read(length).decode("latin-1").strip())
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise ValueError("a header without descr, fortran_order and shape")

"""The frames of a stack in an unnamed file on disk, which the system removes even if the process is killed."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mddnet.errors import OutputError
from mddnet.io.part_file import writing_into
from mddnet.types import UInt8Array


@dataclass(frozen=True, eq=False)
class FrameFile(Sequence[UInt8Array]):
    """Frames of (H, W, 3) uint8: only the rows that are being read are in memory."""

    file: BinaryIO
    folder: Path  # of the file, for messages
    order: tuple[int, ...]  # places of the frames in the file
    size: tuple[int, int]  # H and W of the frames in the file
    crop: tuple[slice, slice] = (slice(None), slice(None))  # rows and columns of the frames of this sequence
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def new(cls, folder: Path, count: int, size: tuple[int, int]) -> FrameFile:
        """An empty file in an existing folder; OutputError if it cannot be created."""
        try:
            file = tempfile.TemporaryFile(dir=folder, prefix=".mddnet-")  # noqa: SIM115 (open until it is collected)
        except OSError as error:
            problem = (error.strerror or str(error)).lower()
            raise OutputError(
                f"{folder}: no temporary file can be created ({problem}); choose another folder"
            ) from error
        return cls(file, folder, tuple(range(count)), size)

    @property
    def _frame_bytes(self) -> int:
        return self.size[0] * self.size[1] * 3

    def write(self, index: int, pixels: UInt8Array) -> None:
        """Write a whole frame; OutputError if the disk is full."""
        with writing_into(self.folder), self._lock:
            self.file.seek(self.order[index] * self._frame_bytes)
            self.file.write(np.ascontiguousarray(pixels).data)
            self.file.flush()

    def cropped(self, rows: slice, columns: slice) -> FrameFile:
        return replace(self, crop=(rows, columns))

    def chosen(self, numbers: Sequence[int]) -> FrameFile:
        """The frames of these numbers, in this order."""
        return replace(self, order=tuple(self.order[i] for i in numbers))

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        # Mapped anew each time: pages of a map that is no longer used do not count as memory of the process.
        place = self.order[index] * self._frame_bytes
        with self._lock:
            whole: UInt8Array = np.memmap(self.file, np.uint8, "r", offset=place, shape=(*self.size, 3))
        return whole[self.crop]

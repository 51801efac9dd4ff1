"""Files that are written whole or not at all, and what killed processes leave of theirs.

A file is written beside its target, as ``.NAME.XXXXXXXXXXXX.part``, and renamed when it is whole. Until then the kernel
holds a lock on it, which ends with the process: a part that nobody holds is abandoned.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mddnet.errors import OutputError
from mddnet.io.folder_lock import KERNEL_LOCKS, try_lock

PART_NAME = re.compile(r"\..+\.[0-9a-f]{12}\.part", re.DOTALL)
ABANDONED_AFTER_S = 86_400.0
"""Age at which a part counts as abandoned on a system without locks of its kind."""
_NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)
_TOO_LARGE = (errno.EFBIG,)


class PartFile:
    """A file on its way: written to ``stream``, then committed or discarded."""

    def __init__(self, target: Path) -> None:
        """Open a new part beside the target, whose folder exists."""
        self.target = target
        self._guard: int | None = None
        while True:
            # Not tempfile: its files are private to the user (mode 600), and the target would stay so.
            self.path = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
            self.stream: BinaryIO = self.path.open("xb")
            if not KERNEL_LOCKS:
                return
            # The lock is held on a second handle, so that errors of closing the first are seen before the renaming.
            self._guard = os.dup(self.stream.fileno())
            if try_lock(self._guard) != "taken" and self.path.exists():
                return
            self.discard()  # somebody who clears up came between the two

    def finish(self, durable: bool = False) -> None:
        """End the writing; ``durable`` waits until the disk has it, so that not even a power failure takes it away."""
        if durable:
            self.stream.flush()
            os.fsync(self.stream.fileno())
        self.stream.close()

    def commit(self) -> None:
        """Put the finished file in the place of its target."""
        self.path.replace(self.target)
        self._let_go()

    def discard(self) -> None:
        """Remove what was written."""
        with suppress(OSError):
            self.stream.close()
        with suppress(OSError):
            self.path.unlink()
        self._let_go()

    def _let_go(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            os.close(guard)


class StagedFiles:
    """Files that take their places together: nothing is replaced before all of them are written.

    Leaving the context discards what was not committed.
    """

    def __init__(self) -> None:
        self._waiting: list[PartFile] = []

    def write(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        """Write a file that will lie at ``path``, whose folder exists."""
        with writing_into(path.parent, path):
            part = PartFile(path)
            self._waiting.append(part)
            write(part.stream)
            part.finish()

    def commit(self) -> None:
        """Put the files in their places, in the order in which they were written."""
        while self._waiting:
            self._waiting[0].commit()
            del self._waiting[0]

    def __enter__(self) -> StagedFiles:
        return self

    def __exit__(self, *_: object) -> None:
        while self._waiting:
            self._waiting.pop().discard()


def remove_abandoned(folder: Path) -> None:
    """Remove the parts that killed processes left in a folder; those of running ones stay."""
    try:
        names = [name for name in os.listdir(folder) if PART_NAME.fullmatch(name)]
    except OSError:
        return  # what writes there next will say what is wrong
    for name in names:
        with suppress(OSError):
            _remove_if_abandoned(folder / name)


def _remove_if_abandoned(path: Path) -> None:
    if not KERNEL_LOCKS:
        if time.time() - path.stat().st_mtime > ABANDONED_AFTER_S:
            path.unlink()
        return
    handle = os.open(path, os.O_RDWR)
    try:
        if try_lock(handle) == "mine":
            path.unlink()
    finally:
        os.close(handle)


@contextmanager
def writing_into(folder: Path, file: Path | None = None) -> Iterator[None]:
    """What the system refuses to write below a folder becomes an error of ours, which says what to do.

    Args:
        folder: where something is written.
        file: which file of it, if it is only one.

    Raises:
        OutputError: for a full disk, a folder that may not be written, or a file that may not be so large.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = refusal(error, folder, file)
        if reason is None:
            raise
        raise OutputError(reason) from error


def refusal(error: OSError, folder: Path | None = None, file: Path | None = None) -> str | None:
    """What to tell a user of a file that the system refuses to write; None for other errors.

    Args:
        error: what the system said.
        folder: where something was written; a file that may not be used and lies elsewhere is none of this. None is
            anywhere.
        file: which file, whatever name it has on its way; None takes the name that the system says.
    """
    where = file or (Path(error.filename) if isinstance(error.filename, str) else folder)
    said = (error.strerror or str(error)).lower()
    begin = said if where is None else f"{where}: {said}"
    if error.errno in _NO_ROOM:
        return f"{begin}; make room or choose another disk (what was whole before still is)"
    if error.errno in _TOO_LARGE:
        return f"{begin}; raise the limit (ulimit -f) or choose another file system"
    if error.errno in _NOT_ALLOWED and where is not None:
        if folder is None:
            return f"{begin}; choose another file or folder, or change who may use this one"
        if where.is_relative_to(folder):
            return f"{where}: cannot be written ({said}); choose another folder, or change what may be written there"
    return None

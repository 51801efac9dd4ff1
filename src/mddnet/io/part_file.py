"""Files that are written completely or not at all, and removal of those that killed processes abandoned.

A file is written in the folder of its target as ``.NAME.XXXXXXXXXXXX.part`` and renamed when it is complete. Until then
the process holds a kernel lock on it: a part without a lock is abandoned.
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
from mddnet.io.json_fields import MAX_NAME_BYTES

PART_NAME = re.compile(r"\..+\.[0-9a-f]{12}\.part", re.DOTALL)
ABANDONED_AFTER_S = 86_400.0  # age at which a part counts as abandoned on a system without such locks
_NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)
_TOO_LARGE = (errno.EFBIG,)
_NO_FOLDER = (errno.EEXIST, errno.ENOTDIR, errno.ELOOP)


class PartFile:
    """A file being written: write to ``stream``, then commit or discard it."""

    def __init__(self, target: Path) -> None:
        """Open a new part in the folder of the target, which must exist."""
        self.target = target
        self._guard: int | None = None
        while True:
            # Not tempfile: its files have mode 600, and so would the target.
            self.path = target.with_name(_part_name(target.name))
            self.stream: BinaryIO = self.path.open("xb")
            if not KERNEL_LOCKS:
                return
            # The lock is on a second handle, so that errors on closing the first are raised before the file is renamed.
            self._guard = os.dup(self.stream.fileno())
            if try_lock(self._guard) != "held" and self.path.exists():
                return
            self.discard()  # a concurrent clean-up removed it first

    def commit(self) -> None:
        self.path.replace(self.target)
        self._release()

    def discard(self) -> None:
        with suppress(OSError):
            self.stream.close()
        with suppress(OSError):
            self.path.unlink()
        self._release()

    def _release(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            os.close(guard)


def _part_name(name: str) -> str:
    """A name for a part; a long name is cut, so that every valid target has a part."""
    ending = f".{secrets.token_hex(6)}.part"
    kept = os.fsencode(name)[: MAX_NAME_BYTES - len(ending) - 1]
    return f".{kept.decode(errors='ignore')}{ending}"


class StagedFiles:
    """Files that are committed together when all are written, ``durable`` ones on disk; others are discarded."""

    def __init__(self, durable: bool = False) -> None:
        self._durable = durable
        self._waiting: list[PartFile] = []

    def write(self, path: Path, write: Callable[[BinaryIO], object]) -> Path:
        """Write a file for ``path``, whose folder must exist; returns where it is until the commit."""
        with writing_into(path.parent, path):
            part = PartFile(path)
            self._waiting.append(part)
            write(part.stream)
            if self._durable:
                part.stream.flush()
                os.fsync(part.stream.fileno())
            part.stream.close()
            return part.path

    def commit(self) -> None:
        """Commit the files in the order in which they were written."""
        while self._waiting:
            self._waiting[0].commit()
            del self._waiting[0]

    def __enter__(self) -> StagedFiles:
        return self

    def __exit__(self, *_: object) -> None:
        while self._waiting:
            self._waiting.pop().discard()


def remove_abandoned(folder: Path) -> None:
    """Remove the parts of killed processes from a folder; those of running processes stay."""
    try:
        names = [name for name in os.listdir(folder) if PART_NAME.fullmatch(name)]
    except OSError:
        return  # the next write reports the error
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
        if try_lock(handle) == "acquired":
            path.unlink()
    finally:
        os.close(handle)


@contextmanager
def writing_into(folder: Path, file: Path | None = None) -> Iterator[None]:
    """Turn OSErrors of writing below a folder (or one file of it) into an OutputError that states the fix."""
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
    """Message for a file that the system refuses to write; None for other errors.

    A permission error outside ``folder`` gives None as well. The file is named ``file``, by default as in the error.
    """
    where = file or (Path(error.filename) if isinstance(error.filename, str) else folder)
    problem = (error.strerror or str(error)).lower()
    begin = problem if where is None else f"{where}: {problem}"
    if error.errno in _NO_ROOM:
        return f"{begin}; free some space or choose another disk (complete files are kept)"
    if error.errno in _TOO_LARGE:
        return f"{begin}; raise the limit (ulimit -f) or choose another file system"
    if error.errno == errno.ENAMETOOLONG:
        return f"{begin}; choose a shorter name"
    if error.errno in _NO_FOLDER:
        return f"{begin}; expected a folder: choose another name"
    if error.errno in _NOT_ALLOWED and where is not None:
        if folder is None:
            return f"{begin}; choose another file or folder, or change its permissions"
        if where.is_relative_to(folder):
            return f"{where}: not writable ({problem}); choose another folder, or change its permissions"
    return None

"""Folder locks: kernel locks, which end with the process, however it ends.

On a file system without locks (some network drives) nothing is locked: the user must then avoid concurrent writers.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from mddnet.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # everywhere else
    msvcrt = None  # type: ignore[assignment]

KERNEL_LOCKS = fcntl is not None  # whether a locked file can be written and renamed; not on Windows
LOCK_MODE = 0o666
POLL_S = 0.02
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK, getattr(errno, "EDEADLOCK", errno.EDEADLK))
"""Errors of a lock held by another process; any other error means that locks are not supported."""
_held: set[int] = set()


def try_lock(handle: int) -> Literal["acquired", "held", "unsupported"]:
    """Lock an open file, without waiting."""
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            return "unsupported"
    except OSError as error:
        return "held" if error.errno in _TAKEN else "unsupported"
    return "acquired"


class FolderLock:
    """A context that only one process at a time enters for an existing folder.

    It locks a file ``.NAME.lock`` there and removes it on exit; a file left by a killed process is not locked. ``name``
    is the activity, such as ``build``.
    """

    def __init__(self, folder: Path, name: str, timeout_s: float = 0.0) -> None:
        self.folder = folder
        self.name = name
        self.timeout_s = timeout_s
        self._handle: int | None = None

    @property
    def path(self) -> Path:
        return self.folder / f".{self.name}.lock"

    def __enter__(self) -> None:
        """Acquire the lock; OutputError if another process holds it for longer than ``timeout_s``."""
        until = time.monotonic() + self.timeout_s
        while True:
            handle = os.open(self.path, os.O_CREAT | os.O_RDWR, LOCK_MODE)
            state = try_lock(handle)
            # The previous holder may have removed it since it was opened here; a third process may hold a new one.
            if state != "held" and _is_at(handle, self.path):
                self._handle = handle
                _held.add(handle)
                return
            os.close(handle)
            if state == "held":
                if time.monotonic() >= until:
                    raise OutputError(
                        f"{self.folder}: another process is writing there (mddnet {self.name}); wait for it, or choose "
                        "another folder"
                    )
                time.sleep(POLL_S)

    def __exit__(self, *_: object) -> None:
        handle, self._handle = self._handle, None
        if handle is None or handle not in _held:
            return  # a forked process has closed it
        _held.discard(handle)
        if KERNEL_LOCKS:
            with suppress(OSError):
                self.path.unlink()
            os.close(handle)
        else:
            # Windows does not remove open files: it stays if another process has opened it.
            os.close(handle)
            with suppress(OSError):
                self.path.unlink()


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _close_in_child() -> None:
    """Close inherited locks, which a forked process would hold after its parent was killed."""
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)

"""One process at a time: locks of the kernel, which end with the process, however it ends.

On a file system without locks (some network drives) nothing is locked and nothing refused: two writers into one folder
are then the user's own care.
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

KERNEL_LOCKS = fcntl is not None
"""Whether a file can be locked while it is written and renamed; on Windows it cannot."""
LOCK_MODE = 0o666
POLL_S = 0.02
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK, getattr(errno, "EDEADLOCK", errno.EDEADLK))
"""What a lock answers that somebody else holds; any other error says that there are no locks here."""
_held: set[int] = set()


def try_lock(handle: int) -> Literal["mine", "taken", "none here"]:
    """Lock an open file, without waiting."""
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            return "none here"
    except OSError as error:
        return "taken" if error.errno in _TAKEN else "none here"
    return "mine"


class FolderLock:
    """Only one process at a time does something in a folder, whatever became of the one before it.

    A file ``.NAME.lock`` in the folder is locked, and removed afterwards; one that a killed process left behind locks
    nothing.
    """

    def __init__(self, folder: Path, name: str, patience_s: float = 0.0) -> None:
        """Prepare; nothing is touched yet.

        Args:
            folder: exists when the lock is entered.
            name: what is done there: ``build``, ``train`` or ``predict``.
            patience_s: how long to wait for another process.
        """
        self.folder = folder
        self.name = name
        self.patience_s = patience_s
        self._handle: int | None = None

    @property
    def path(self) -> Path:
        """The file that is locked."""
        return self.folder / f".{self.name}.lock"

    def __enter__(self) -> None:
        """Take the lock.

        Raises:
            OutputError: if another process holds it for longer than ``patience_s``.
            OSError: if the folder cannot be written.
        """
        until = time.monotonic() + self.patience_s
        while True:
            handle = os.open(self.path, os.O_CREAT | os.O_RDWR, LOCK_MODE)
            state = try_lock(handle)
            # Who held it may have removed it since it was opened here; then a third may hold a new one.
            if state != "taken" and _is_at(handle, self.path):
                self._handle = handle
                _held.add(handle)
                return
            os.close(handle)
            if state == "taken":
                if time.monotonic() >= until:
                    raise OutputError(
                        f"{self.folder}: another process is writing there (mddnet {self.name}); wait for it, or choose "
                        "another folder"
                    )
                time.sleep(POLL_S)

    def __exit__(self, *_: object) -> None:
        """Let the lock go."""
        handle, self._handle = self._handle, None
        if handle is None or handle not in _held:
            return  # a forked process has closed it
        _held.discard(handle)
        if KERNEL_LOCKS:
            with suppress(OSError):
                self.path.unlink()
            os.close(handle)
        else:
            # Windows removes no open file; where another process has it open by now, it stays.
            os.close(handle)
            with suppress(OSError):
                self.path.unlink()


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _close_in_child() -> None:
    """A forked process would hold the locks on after its parent was killed."""
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)

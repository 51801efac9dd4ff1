"""What a process that works for another one does at first: it leaves Ctrl-C to that one, and ends with it."""

from __future__ import annotations

import os
import signal
import threading
import time

LOOK_EVERY_S = 0.5
_watched = threading.Lock()


def become_worker() -> None:
    """Let the process that started this one answer Ctrl-C, and do not outlive it, were it killed.

    Called again in the same process, it does nothing more. On Windows a process does not learn of its parent's end; it
    goes when it has had nothing to do for a while.
    """
    # Ctrl-C reaches every process of the terminal; only the one that waits for the workers answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _watched.acquire(blocking=False):
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os._exit(1)

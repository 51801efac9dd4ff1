"""Work that is given to processes of this machine, and what such a process does at first."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, TypeVar

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor

LOOK_EVERY_S = 0.5
T = TypeVar("T")
_watched = threading.Lock()


def in_processes(function: Callable[..., T], arguments: Iterable[tuple[Any, ...]], jobs: int) -> Generator[T]:
    """Call a function in worker processes of one thread each; relative paths mean there what they mean here.

    One job is done in this process.

    Args:
        function: found by its name in the workers.
        arguments: of each call.
        jobs: number of processes.

    Yields:
        What the calls return, as they are done. Left early, the workers are stopped.
    """
    if jobs == 1:
        yield from (function(*each) for each in arguments)
        return
    here = Path.cwd()
    finished = False
    try:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            pool = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
            yield from pool(delayed(_call)(here, function, each) for each in arguments)
        finished = True
    finally:
        if not finished:
            # Workers would go on with what they have, into a folder that is about to go.
            get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _call(folder: Path, function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    become_worker()
    os.chdir(folder)  # workers are used again, and this one may have been started elsewhere
    return function(*arguments)


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

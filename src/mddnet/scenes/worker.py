"""Worker processes."""

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

POLL_S = 0.5
T = TypeVar("T")
_watched = threading.Lock()


def in_processes(function: Callable[..., T], arguments: Iterable[tuple[Any, ...]], jobs: int) -> Generator[T]:
    """Call an importable function in single-threaded processes, or in this one if ``jobs`` is 1.

    The current folder is kept. Yields the results in the order of completion. If the generator is closed early, the
    workers are stopped.
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
            # Workers must not continue to write into a folder that is about to be removed.
            get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _call(folder: Path, function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    become_worker()
    os.chdir(folder)  # workers are reused, and this one may have been started elsewhere
    return function(*arguments)


def become_worker() -> None:
    """Ignore Ctrl-C, and exit when the parent process is killed; on Windows, a worker exits when idle instead."""
    # Ctrl-C reaches every process of the terminal; only the parent of the workers must handle it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _watched.acquire(blocking=False):
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os._exit(1)

"""Number of usable processor cores, and threads that end with Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


def usable_cores() -> int:
    """Cores that this process may use: its CPU affinity if the system has one, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def worker_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads; pending work is cancelled if the block ends with an error or Ctrl-C."""
    with ThreadPoolExecutor(count) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise

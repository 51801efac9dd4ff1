"""Prepare batches in advance, in a thread of the training process.

A batch from another process is copied into shared memory and out of it, which costs more than making it; a thread needs
no copy. NumPy, OpenCV and PyTorch release Python's lock while they compute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetched(Generic[T]):
    """``make(n)`` for each of ``numbers`` in order, up to ``ahead`` of them in advance, in one thread per iteration.

    An error of ``make`` is raised in place of its item. If an iteration ends early, by ``break`` or an error, its
    thread ends after the current item.
    """

    def __init__(self, make: Callable[[int], T], numbers: Iterable[int], ahead: int = 4) -> None:
        self._make, self._numbers, self._ahead = make, numbers, ahead

    def __iter__(self) -> Iterator[T]:
        numbers = iter(self._numbers)
        pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        try:
            items = deque(pool.submit(self._make, n) for n in islice(numbers, self._ahead + 1))
            while items:
                item = items.popleft().result()
                items.extend(pool.submit(self._make, n) for n in islice(numbers, 1))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)

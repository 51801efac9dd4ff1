"""Batches made ahead of time by a thread of the training process.

A batch that another process makes is copied into shared memory and out of it again, which costs more than making it;
a thread hands it over as it is. NumPy, OpenCV and PyTorch let go of Python's lock while they compute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetched(Generic[T]):
    """``make(n)`` for every n in order, some of them ahead of time; each iteration has a thread of its own.

    An error of ``make`` is raised where its item would have come. An iteration that is left early, by ``break`` or an
    error, ends its thread as soon as the item in the making is made.
    """

    def __init__(self, make: Callable[[int], T], numbers: Iterable[int], ahead: int = 4) -> None:
        """Prepare.

        Args:
            make: makes an item; called in the thread.
            numbers: of the items, in order.
            ahead: most items that wait to be taken while one more is made.
        """
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

"""Batches made ahead of time by a thread of the training process.

A batch that another process makes is copied into shared memory and out of it again, which costs more than making it;
a thread hands it over as it is. NumPy, OpenCV and PyTorch let go of Python's lock while they compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
_LOOK_EVERY_S = 0.1


class _End:
    """What ends the queue: nothing more to make, or the error that making it ended in."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


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
            ahead: most items that wait to be taken.
        """
        self._make, self._numbers, self._ahead = make, numbers, ahead

    def __iter__(self) -> Iterator[T]:
        queue: Queue[T | _End] = Queue(self._ahead)
        left = Event()
        thread = Thread(target=self._work, args=(queue, left), name="prefetch", daemon=True)
        thread.start()
        try:
            while True:
                item = queue.get()
                if not isinstance(item, _End):
                    yield item
                    continue
                if item.error is not None:
                    raise item.error
                return
        finally:
            left.set()
            thread.join()

    def _work(self, queue: Queue[T | _End], left: Event) -> None:
        end = _End()
        try:
            for n in self._numbers:
                if not _put(queue, self._make(n), left):
                    return
        except BaseException as error:
            end = _End(error)
        _put(queue, end, left)


def _put(queue: Queue[T | _End], item: T | _End, left: Event) -> bool:
    """Wait for room in the queue; False if nobody is going to take the item."""
    while not left.is_set():
        try:
            queue.put(item, timeout=_LOOK_EVERY_S)
        except Full:
            continue
        return True
    return False

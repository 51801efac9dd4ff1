"""Prefetching in a thread: order, limit, errors, and no leftover thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from mddnet.data.prefetch import Prefetched


def threads() -> int:
    return sum(thread.name.startswith("prefetch") for thread in threading.enumerate())


def test_all_items_in_order_in_every_iteration() -> None:
    squares = Prefetched(lambda n: n * n, range(3, 40))
    expected = [n * n for n in range(3, 40)]
    assert list(squares) == expected
    assert list(squares) == expected
    assert list(Prefetched(lambda n: n, range(0))) == []
    assert threads() == 0


def test_number_of_prefetched_items_is_limited() -> None:
    made: list[int] = []

    def make(n: int) -> int:
        made.append(n)
        return n

    items = iter(Prefetched(make, range(100), ahead=3))
    assert next(items) == 0
    deadline = time.monotonic() + 10
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    assert made == [0, 1, 2, 3, 4]  # one taken, three that wait, one in the making
    items.close()  # type: ignore[attr-defined]
    assert threads() == 0


def test_error_is_raised_in_place_of_its_item() -> None:
    def make(n: int) -> int:
        if n == 2:
            raise ValueError("no such item")
        return n

    items = iter(Prefetched(make, range(5)))
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="no such item"):
        next(items)
    assert threads() == 0


def test_abandoned_iteration_ends_its_thread() -> None:
    def first(items: Iterator[int]) -> int:
        for item in items:
            return item
        raise AssertionError

    assert first(iter(Prefetched(lambda n: n, range(1_000_000)))) == 0
    deadline = time.monotonic() + 10
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads() == 0

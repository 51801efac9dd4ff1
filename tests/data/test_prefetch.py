"""Batches ahead of time in a thread: in order, not too many, errors in their place, and no thread left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from mddnet.data.prefetch import Prefetched


def threads() -> int:
    return sum(thread.name.startswith("prefetch") for thread in threading.enumerate())


def test_all_items_in_order_as_often_as_asked() -> None:
    squares = Prefetched(lambda n: n * n, range(3, 40))
    expected = [n * n for n in range(3, 40)]
    assert list(squares) == expected
    assert list(squares) == expected
    assert list(Prefetched(lambda n: n, range(0))) == []
    assert threads() == 0


def test_items_are_made_ahead_but_no_more_than_asked() -> None:
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
    assert made == [0, 1, 2, 3, 4]  # the one taken, three that wait, and one that is made and finds no room
    items.close()  # type: ignore[attr-defined]
    assert threads() == 0


def test_an_error_comes_where_its_item_would_have() -> None:
    def make(n: int) -> int:
        if n == 2:
            raise ValueError("no such item")
        return n

    items = iter(Prefetched(make, range(5)))
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="no such item"):
        next(items)
    assert threads() == 0


def test_an_iteration_that_is_left_ends_its_thread() -> None:
    def first(items: Iterator[int]) -> int:
        for item in items:
            return item
        raise AssertionError

    assert first(iter(Prefetched(lambda n: n, range(1_000_000)))) == 0
    deadline = time.monotonic() + 10
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads() == 0

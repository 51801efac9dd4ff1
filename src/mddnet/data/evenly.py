"""A few of many, spread evenly: neighbours are often one thing all over again."""

from __future__ import annotations


def evenly(count: int, wanted: int) -> list[int]:
    """Indices of ``wanted`` of ``count`` items, each from the middle of its share: evenly(10, 2) is [2, 7].

    All of them where fewer than ``wanted`` exist.
    """
    if count <= wanted:
        return list(range(count))
    return [int((i + 0.5) * count / wanted) for i in range(wanted)]

"""Evenly spaced selection from a list whose neighbours are often similar."""

from __future__ import annotations


def evenly(count: int, wanted: int) -> list[int]:
    """Indices of ``wanted`` of ``count`` items, or of all if there are fewer: evenly(10, 2) is [2, 7]."""
    if count <= wanted:
        return list(range(count))
    return [int((i + 0.5) * count / wanted) for i in range(wanted)]

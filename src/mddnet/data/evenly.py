"""Evenly spaced selection from a list whose neighbours are often similar."""

from __future__ import annotations


def evenly(count: int, wanted: int) -> list[int]:
    """Indices of ``wanted`` of ``count`` items, or of all if there are fewer: [2, 7] for 2 of 10."""
    if count <= wanted:
        return list(range(count))
    return [int((i + 0.5) * count / wanted) for i in range(wanted)]

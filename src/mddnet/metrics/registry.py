"""The registry of metrics: tables, notes, reports and ``evaluation.json`` are generated from it.

A metric is registered by the module of ``mddnet.metrics`` that defines it. ``mddnet.metrics`` imports all of its
modules, so a new metric is one new file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from mddnet.metrics.comparison import Comparison

Group = Literal[
    "depth",
    "defocus order",
    "defocus size and focus",
    "defocus, squared and normalised errors",
    "blur detection",
    "near/far pairs",
    "metric depth",
    "metric depth, shares and boundaries",
    "confidence",
    "uniform blur",
]
"""Tables, in their order."""
Measures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        key: its name in ``evaluation.json``.
        title: title of its column; "" for a number without a column.
        group: its table.
        function: computes it from a :class:`~mddnet.metrics.comparison.Comparison`; None if it follows from others.
        needs: attributes of :class:`~mddnet.metrics.comparison.Comparison`, dotted, that must not be None.
        reference: whether it needs the truth alone.
        reference_key: key of the reference that it is compared with.
        unit: "" for a share.
        digits: decimals in tables.
        better: which direction is better.
        note: meaning of the column in one or two sentences; "" if the title is sufficient.
        pooled: whether means weight photos by their pixels with a known CoC.
        from_means: computes it from the means of a location.
        over_photos: computes it from the measures of all photos of a location, or of all locations.
        compared: whether it appears in the tables that compare methods.
    """

    key: str
    title: str
    group: Group
    function: Callable[[Any], float] | None = None
    needs: tuple[str, ...] = ()
    reference: bool = False
    reference_key: str | None = None
    unit: str = ""
    digits: int = 3
    better: Literal["higher", "lower", ""] = "higher"
    note: str = ""
    pooled: bool = False
    from_means: Callable[[Measures], float | None] | None = None
    over_photos: Callable[[Sequence[Measures]], float | None] | None = None
    compared: bool = False

    def applies(self, comparison: Comparison) -> bool:
        """Whether everything that it needs is available."""
        return self.function is not None and all(_found(comparison, need) for need in self.needs)

    @property
    def label(self) -> str:
        """Title and unit."""
        return f"{self.title} {self.unit}".strip()


METRICS: dict[str, Metric] = {}
"""Every metric by its key."""


def register(*metrics: Metric) -> None:
    """Add metrics to the registry.

    Raises:
        ValueError: for a key that is registered already.
    """
    for metric in metrics:
        if metric.key in METRICS:
            raise ValueError(f"metric {metric.key!r} is registered already; expected another key")
        METRICS[metric.key] = metric


def measure(comparison: Comparison, keys: Iterable[str] | None = None, *, references: bool = True) -> dict[str, float]:
    """Every metric that applies, by key.

    Args:
        comparison: one photo.
        keys: the metrics to compute; None is all.
        references: whether to include those that need the truth alone.
    """
    metrics = METRICS.values() if keys is None else [METRICS[key] for key in keys]
    return {
        metric.key: metric.function(comparison)
        for metric in metrics
        if (references or not metric.reference) and metric.function is not None and metric.applies(comparison)
    }


def in_group(group: Group) -> list[Metric]:
    """The metrics of a table that have a column."""
    return [metric for metric in METRICS.values() if metric.group == group and metric.title]


def add_from_means(summary: dict[str, float]) -> None:
    """Add the metrics that follow from the means of a location, unless they are present."""
    for metric in METRICS.values():
        if metric.from_means is not None and metric.key not in summary:
            value = metric.from_means(summary)
            if value is not None:
                summary[metric.key] = value


def over_photos(rows: Sequence[Measures]) -> dict[str, float]:
    """The metrics that follow from the measures of all photos."""
    found = {m.key: m.over_photos(rows) for m in METRICS.values() if m.over_photos is not None}
    return {key: value for key, value in found.items() if value is not None}


def mean(rows: Sequence[Measures]) -> dict[str, float]:
    """Mean of each measure over the rows that have it and are finite."""
    summary = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if name in row and np.isfinite(row[name])]
        if values:
            summary[name] = float(np.mean(values))
    return summary


def pooled_mean(rows: Sequence[Measures]) -> dict[str, float]:
    """:func:`mean`, with pooled metrics weighted by the number of pixels with a known CoC, which is summed."""
    summary = mean(rows)
    weighted = [row for row in rows if row.get("coc_pixels", 0.0) > 0]
    if weighted:
        pixels = np.array([row["coc_pixels"] for row in weighted])
        summary["coc_pixels"] = float(pixels.sum())
        for key in (m.key for m in METRICS.values() if m.pooled):
            if key in weighted[0]:
                summary[key] = float(np.array([row[key] for row in weighted]) @ pixels / pixels.sum())
    return summary


def _found(comparison: Comparison, need: str) -> bool:
    head, _, _ = need.partition(".")
    if getattr(comparison, head) is None:
        return False
    return attrgetter(need)(comparison) is not None

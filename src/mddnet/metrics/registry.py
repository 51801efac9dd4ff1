"""The registry of metrics: tables, notes, reports and ``evaluation.json`` are generated from it.

A metric is registered by the module of ``mddnet.metrics`` that defines it. ``mddnet.metrics`` imports all of its
modules, so a new metric is one new file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
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
    """One metric."""

    key: str  # its name in ``evaluation.json``
    title: str  # of its column; "" for a number without a column
    group: Group  # its table
    function: Callable[..., float] | None = None  # of ``inputs``; None if it follows from other metrics
    inputs: tuple[str, ...] = ()  # attributes of ``Comparison``, dotted; if one is None, the metric does not apply
    reference: bool = False  # whether it depends on the truth alone
    reference_key: str | None = None  # key of the reference that it is compared with
    unit: str = ""  # "" for a share
    digits: int = 3  # decimals in tables
    better: Literal["higher", "lower", ""] = "higher"
    note: str = ""  # meaning of the column; "" if the title is sufficient
    pooled: bool = False  # whether means weight photos by their pixels with a known CoC
    from_means: Callable[[Measures], float | None] | None = None  # computes it from the means of a location
    over_photos: Callable[[Sequence[Measures]], float | None] | None = None  # from the measures of many photos
    compared: bool = False  # whether it appears in the tables that compare methods

    @property
    def label(self) -> str:
        return f"{self.title} {self.unit}".strip()


METRICS: dict[str, Metric] = {}
"""Every metric by its key."""


def register(*metrics: Metric) -> None:
    """Add metrics to the registry; ValueError for a key that is registered already."""
    for metric in metrics:
        if metric.key in METRICS:
            raise ValueError(f"metric {metric.key!r} is registered already; expected another key")
        METRICS[metric.key] = metric


def measure(comparison: Comparison, keys: Iterable[str] | None = None, *, references: bool = True) -> dict[str, float]:
    """Every metric (of ``keys``) that applies to a photo; ``references`` are those that depend on the truth alone."""
    measures = {}
    for metric in (METRICS[key] for key in keys or METRICS):
        if metric.function is not None and (references or not metric.reference):
            inputs = list(takewhile(lambda value: value is not None, (_input(comparison, i) for i in metric.inputs)))
            if len(inputs) == len(metric.inputs):
                measures[metric.key] = metric.function(*inputs)
    return measures


def _input(value: Any, name: str) -> Any:
    for part in name.split("."):
        value = None if value is None else getattr(value, part)
    return value


def with_derived(means: Measures, rows: Sequence[Measures]) -> dict[str, float]:
    """Means of photos with the metrics that follow from them, unless present, and from the measures of the photos."""
    found = {m.key: m.from_means(means) for m in METRICS.values() if m.from_means is not None and m.key not in means}
    found |= {m.key: m.over_photos(rows) for m in METRICS.values() if m.over_photos is not None}
    return {**means, **{key: value for key, value in found.items() if value is not None}}


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
        for metric in METRICS.values():
            if metric.pooled and metric.key in weighted[0]:
                values = np.array([row[metric.key] for row in weighted])
                summary[metric.key] = float(values @ pixels / pixels.sum())
    return summary

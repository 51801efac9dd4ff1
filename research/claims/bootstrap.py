"""Means and relative differences with confidence intervals and p-values, by resampling folds and locations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
LEVEL = 0.95
Values = Mapping[tuple[int, str], float]
"""A measure by fold and location."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval (percentile bootstrap, Efron 1979)."""

    value: float
    low: float
    high: float
    p: float  # two-sided, of the estimate being the null value
    locations: int
    folds: int


def mean(values: Values) -> Interval:
    """Mean over folds and locations; its p-value is that of a mean of 0. ValueError without a value."""
    units = sorted(values)
    weights = _weights(units)
    return _interval(weights @ _array(values, units) / weights.sum(axis=1), 0.0, units)


def gain(of: Values, against: Values, beyond: tuple[Values, Values] | None = None, null: float = 0.0) -> Interval:
    """Relative reduction of the mean error, 1 - of / against, on the folds and locations that both have.

    Both rows are resampled together, so that a hard location is hard for both.

    Args:
        of: errors of the row.
        against: errors of the row that it is compared with.
        beyond: errors of the same two rows under another condition, whose reduction is subtracted.
        null: the reduction that the p-value is of.

    Raises:
        ValueError: without a common location.
    """
    pairs = [(of, against), *([beyond] if beyond else [])]
    units = sorted(set.intersection(*(set(values) for pair in pairs for values in pair)))
    weights = _weights(units)
    reductions = [1.0 - weights @ _array(a, units) / (weights @ _array(b, units)) for a, b in pairs]
    return _interval(reductions[0] - sum(reductions[1:]), null, units)


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm, "A simple sequentially rejective multiple test procedure", 1979)."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate((len(values) - np.arange(len(values))) * values[order]).clip(max=1.0)
    return [float(value) for value in adjusted]


def _array(values: Values, units: Sequence[tuple[int, str]]) -> NDArray[np.float64]:
    return np.array([values[unit] for unit in units], dtype=np.float64)


def _weights(units: Sequence[tuple[int, str]]) -> NDArray[np.float64]:
    """Weights (draws + 1, units) of the bootstrap of folds and locations; the first row is the sample itself.

    Folds and locations are drawn independently, and a unit counts as often as both together (Owen, "The pigeonhole
    bootstrap", 2007), whether every fold has locations of its own or all have the same.
    """
    if not units:
        raise ValueError("no location to draw from; expected at least one that both rows have")
    rng = np.random.default_rng(0)
    weights = np.ones((DRAWS, len(units)))
    for axis in (0, 1):
        names, number = np.unique(np.array([str(unit[axis]) for unit in units]), return_inverse=True)
        weights *= rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS)[:, number]
    return np.vstack([np.ones(len(units)), weights[weights.sum(axis=1) > 0]])


def _interval(drawn: NDArray[np.float64], null: float, units: Sequence[tuple[int, str]]) -> Interval:
    """``drawn[0]`` is the estimate."""
    value, drawn = float(drawn[0]), drawn[1:]
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    tail = min(np.sum(drawn <= null), np.sum(drawn >= null))
    p = min(1.0, 2.0 * float(tail + 1) / (len(drawn) + 1))
    return Interval(
        value, float(low), float(high), p, len({unit[1] for unit in units}), len({unit[0] for unit in units})
    )

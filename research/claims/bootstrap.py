"""Means over locations with confidence intervals, by resampling locations (photos of one location are similar)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over ``locations`` locations with its 95 % bootstrap interval."""

    value: float
    low: float  # 2.5 % quantile
    high: float  # 97.5 % quantile
    locations: int


def mean(by_location: Mapping[str, float]) -> Interval:
    """Mean over locations, by the percentile bootstrap (Efron 1979).

    Raises:
        ValueError: without a location.
    """
    values = np.array(list(by_location.values()), dtype=np.float64)
    drawn = values[_draws(len(values))].mean(axis=1)
    return _interval(float(values.mean()), drawn, len(values))


def saved(of: Mapping[str, float], against: Mapping[str, float]) -> Interval:
    """Reduction of the mean error of one row relative to another, 1 - of / against, on their common locations.

    Locations are resampled in pairs, so that a hard location is hard for both rows.

    Raises:
        ValueError: if they have no location in common.
    """
    common = sorted(of.keys() & against.keys())
    a = np.array([of[location] for location in common], dtype=np.float64)
    b = np.array([against[location] for location in common], dtype=np.float64)
    drawn = _draws(len(common))
    whole = 1.0 - a.mean() / b.mean()
    return _interval(float(whole), 1.0 - a[drawn].mean(axis=1) / b[drawn].mean(axis=1), len(common))


def _draws(locations: int) -> NDArray[np.int64]:
    if not locations:
        raise ValueError("no location to draw from; expected at least one")
    return np.random.default_rng(0).integers(0, locations, size=(DRAWS, locations))


def _interval(value: float, drawn: NDArray[np.float64], locations: int) -> Interval:
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(value, float(low), float(high), locations)

"""The pixels at which a metric is computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mddnet.types import BoolArray

Values = NDArray[np.floating]  # a map, (H, W); NaN is unknown in a truth


def check_shapes(pred: NDArray[np.generic], truth: NDArray[np.generic], mask: BoolArray | None = None) -> None:
    """Raise a ValueError unless prediction, truth and mask (None is everywhere) have one shape."""
    shapes = {"pred": np.shape(pred), "truth": np.shape(truth), "mask": np.shape(truth if mask is None else mask)}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"shapes differ: {found}; expected one shape")


def known_values(
    pred: Values | BoolArray, truth: Values | BoolArray, mask: BoolArray | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Prediction and truth, (N,) each, where the truth is finite and ``mask`` holds; ValueError for other shapes."""
    check_shapes(pred, truth, mask)
    p, t = np.asarray(pred, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    use = np.isfinite(t) if mask is None else np.isfinite(t) & mask
    # no copy where all pixels are known, which is common
    return (p.ravel(), t.ravel()) if use.all() else (p[use], t[use])


def positive_values(
    pred: Values, truth: Values, mask: BoolArray | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """:func:`known_values` where the truth is positive: a depth of zero is unknown."""
    p, t = known_values(pred, truth, mask)
    positive = t > 0
    return (p, t) if positive.all() else (p[positive], t[positive])


def mean_of(values: Values | BoolArray) -> float:
    """Mean of (N,) values; NaN without any."""
    return float(np.mean(values)) if len(values) else float("nan")

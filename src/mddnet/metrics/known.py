"""The pixels at which a metric is computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mddnet.types import BoolArray


def known_values(
    pred: NDArray[np.floating], truth: NDArray[np.floating], mask: BoolArray | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Prediction and truth, (N,) each, where the truth is finite and ``mask`` (None is everywhere) holds.

    Raises:
        ValueError: if the shapes differ.
    """
    p, t = np.asarray(pred, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if p.shape != t.shape or (mask is not None and mask.shape != t.shape):
        shapes = f"pred {p.shape}, truth {t.shape}" + ("" if mask is None else f", mask {mask.shape}")
        raise ValueError(f"shapes differ: {shapes}; expected one shape")
    use = np.isfinite(t) if mask is None else np.isfinite(t) & mask
    # no copy where all pixels are known, which is common
    return (p.ravel(), t.ravel()) if use.all() else (p[use], t[use])


def positive_values(
    pred: NDArray[np.floating], truth: NDArray[np.floating], mask: BoolArray | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """:func:`known_values` where the truth is positive: a depth of zero is unknown."""
    p, t = known_values(pred, truth, mask)
    positive = t > 0
    return (p, t) if positive.all() else (p[positive], t[positive])

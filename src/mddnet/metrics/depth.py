"""Standard metrics of depth in metres; report the alignment of the prediction with every number."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics.known import known_values, positive_values
from mddnet.metrics.registry import Metric, register
from mddnet.types import BoolArray


def abs_rel(pred_m: NDArray[np.floating], truth_m: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Mean of |z - z*| / z* over pixels with z* > 0 (Eigen et al., NeurIPS 2014)."""
    p, t = positive_values(pred_m, truth_m, mask)
    return float(np.mean(np.abs(p - t) / t)) if len(p) else float("nan")


def sq_rel(pred_m: NDArray[np.floating], truth_m: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Mean of (z - z*)^2 / z* over pixels with z* > 0, in metres (Eigen et al., NeurIPS 2014).

    The paper's text divides by z*, and so do the tables of the field (KITTI's own benchmark divides by z*^2).
    """
    p, t = positive_values(pred_m, truth_m, mask)
    return float(np.mean((p - t) ** 2 / t)) if len(p) else float("nan")


def rmse(pred: NDArray[np.floating], truth: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Root mean square error, in the unit of the arrays (Eigen et al., NeurIPS 2014)."""
    p, t = known_values(pred, truth, mask)
    return float(np.sqrt(np.mean((p - t) ** 2))) if len(p) else float("nan")


def rmse_log(pred_m: NDArray[np.floating], truth_m: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Root mean square of ln z - ln z* over pixels with z* > 0 (Eigen et al., NeurIPS 2014).

    A prediction <= 0 makes it infinite.
    """
    p, t = positive_values(pred_m, truth_m, mask)
    if not len(p):
        return float("nan")
    if (p <= 0).any():
        return float("inf")
    return float(np.sqrt(np.mean((np.log(p) - np.log(t)) ** 2)))


def delta(
    pred_m: NDArray[np.floating],
    truth_m: NDArray[np.floating],
    mask: BoolArray | None = None,
    *,
    power: int = 1,
    base: float = 1.25,
) -> float:
    """Share of pixels with max(z / z*, z* / z) < base^power (Eigen et al., NeurIPS 2014); z <= 0 is a miss.

    Args:
        pred_m: (H, W) predicted depth, aligned.
        truth_m: (H, W) true depth, NaN where unknown; pixels with z* <= 0 are left out.
        mask: (H, W) bool, or None.
        power: 1, 2, 3 are delta_1 to delta_3.
        base: 1.25; 1.05 and 1.15 are the stricter ones of later tables.
    """
    p, t = positive_values(pred_m, truth_m, mask)
    if not len(p):
        return float("nan")
    with np.errstate(divide="ignore"):
        ratio = np.where(p > 0, np.maximum(p / t, t / np.where(p > 0, p, 1.0)), np.inf)
    return float(np.mean(ratio < base**power))


def silog(pred_m: NDArray[np.floating], truth_m: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Scale-invariant log error, 100 sqrt(mean d^2 - (mean d)^2) with d = ln z - ln z*.

    Eigen et al. (NeurIPS 2014), eq. 1, times 100 as the KITTI benchmark reports it. A prediction <= 0 makes it
    infinite.
    """
    p, t = positive_values(pred_m, truth_m, mask)
    if not len(p):
        return float("nan")
    if (p <= 0).any():
        return float("inf")
    return float(100.0 * np.std(np.log(p) - np.log(t)))


# --- registered -------------------------------------------------------------------------------------------------------


def _constant(c: Any) -> float:
    u, truth_m = c.truth.inv_depth.astype(np.float64), c.known_metres[1]
    return abs_rel(np.full(truth_m.shape, 1.0 / float(np.median(u[u > 0]))), truth_m)


def _of_metres(function: Callable[..., float]) -> Callable[[Any], float]:
    return lambda c: function(*c.known_metres)


def _shares() -> list[Metric]:
    bounds: dict[str, tuple[str, dict[str, Any]]] = {
        "delta_1.05": ("delta < 1.05", {"base": 1.05}),
        "delta_1.15": ("< 1.15", {"base": 1.15}),
        "delta1": ("< 1.25", {"power": 1}),
        "delta2": ("< 1.25^2", {"power": 2}),
        "delta3": ("< 1.25^3", {"power": 3}),
    }
    return [
        Metric(
            key,
            title,
            "metric depth, shares and boundaries",
            _of_metres(partial(delta, **bound)),
            ("metres",),
            note="Shares of pixels whose ratio of depths is below the bound." if key == "delta_1.05" else "",
            compared=key == "delta1",
        )
        for key, (title, bound) in bounds.items()
    ]


def _error(key: str, title: str, function: Callable[..., float], unit: str = "", digits: int = 3) -> Metric:
    return Metric(
        key,
        title,
        "metric depth",
        _of_metres(function),
        ("metres",),
        unit=unit,
        digits=digits,
        better="lower",
        reference_key="abs_rel_constant" if key == "abs_rel" else None,
        compared=key == "abs_rel",
    )


# fmt: off
register(
    _error("abs_rel", "AbsRel", abs_rel),
    Metric(
        "abs_rel_constant", "best constant", "metric depth", _constant, ("metres",), reference=True, better="lower",
        note="Best constant: AbsRel of the median of each photo.",
    ),
    _error("sq_rel", "SqRel", sq_rel, "m"),
    _error("rmse_m", "RMSE", rmse, "m"),
    _error("rmse_log", "RMSElog", rmse_log),
    _error("silog", "SILog", silog, digits=1),
    *_shares(),
)
# fmt: on

"""Standard metrics of depth in metres; report the alignment of the prediction with every number."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mddnet.metrics.comparison import Truth
from mddnet.metrics.known import Values, known_values, mean_of, positive_values
from mddnet.metrics.registry import Metric, register
from mddnet.types import BoolArray


def abs_rel(pred_m: Values, truth_m: Values, mask: BoolArray | None = None) -> float:
    """Mean of |z - z*| / z* over pixels with z* > 0 (Eigen et al., NeurIPS 2014)."""
    p, t = positive_values(pred_m, truth_m, mask)
    return mean_of(np.abs(p - t) / t)


def sq_rel(pred_m: Values, truth_m: Values, mask: BoolArray | None = None) -> float:
    """Mean of (z - z*)^2 / z* over pixels with z* > 0, in metres (Eigen et al., NeurIPS 2014).

    The paper's text divides by z*, and so do the tables of the field (KITTI's own benchmark divides by z*^2).
    """
    p, t = positive_values(pred_m, truth_m, mask)
    return mean_of((p - t) ** 2 / t)


def rmse(pred: Values, truth: Values, mask: BoolArray | None = None) -> float:
    """Root mean square error, in the unit of the arrays (Eigen et al., NeurIPS 2014)."""
    p, t = known_values(pred, truth, mask)
    return float(np.sqrt(mean_of((p - t) ** 2)))


def rmse_log(pred_m: Values, truth_m: Values, mask: BoolArray | None = None) -> float:
    """Root mean square of ln z - ln z* over pixels with z* > 0 (Eigen et al., NeurIPS 2014).

    A prediction <= 0 makes it infinite.
    """
    p, t = positive_values(pred_m, truth_m, mask)
    return float("inf") if (p <= 0).any() else float(np.sqrt(mean_of((np.log(p) - np.log(t)) ** 2)))


def silog(pred_m: Values, truth_m: Values, mask: BoolArray | None = None) -> float:
    """Scale-invariant log error, 100 sqrt(mean d^2 - (mean d)^2) with d = ln z - ln z*.

    Eigen et al. (NeurIPS 2014), eq. 1, times 100 as the KITTI benchmark reports it. A prediction <= 0 makes it
    infinite.
    """
    p, t = positive_values(pred_m, truth_m, mask)
    if not len(p):
        return float("nan")
    return float("inf") if (p <= 0).any() else float(100.0 * np.std(np.log(p) - np.log(t)))


def delta(
    pred_m: Values, truth_m: Values, mask: BoolArray | None = None, *, power: int = 1, base: float = 1.25
) -> float:
    """Share of pixels with max(z / z*, z* / z) < base^power and z* > 0 (Eigen et al., NeurIPS 2014); z <= 0 is a miss.

    Powers 1, 2 and 3 are delta_1 to delta_3; bases 1.05 and 1.15 are the stricter ones of later tables.
    """
    p, t = positive_values(pred_m, truth_m, mask)
    with np.errstate(divide="ignore"):
        ratio = np.where(p > 0, np.maximum(p / t, t / np.where(p > 0, p, 1.0)), np.inf)
    return mean_of(ratio < base**power)


def _constant(truth: Truth, metres: tuple[Values, Values]) -> float:
    assert truth.inv_depth is not None
    u = truth.inv_depth.astype(np.float64)
    return abs_rel(np.full(metres[1].shape, 1.0 / float(np.median(u[u > 0]))), metres[1])


def _of_metres(key: str, title: str, function: Callable[..., float], **more: Any) -> Metric:
    return Metric(key, title, function=lambda metres: function(*metres), inputs=("known_metres",), **more)


_error = partial(_of_metres, group="metric depth", better="lower")
_share = partial(_of_metres, group="metric depth, shares and boundaries")
# fmt: off
register(
    _error("abs_rel", "AbsRel", abs_rel, reference_key="abs_rel_constant", compared=True),
    Metric(
        "abs_rel_constant", "best constant", "metric depth", _constant, ("truth", "known_metres"), reference=True,
        better="lower", note="Best constant: AbsRel of the median of each photo.",
    ),
    _error("sq_rel", "SqRel", sq_rel, unit="m"),
    _error("rmse_m", "RMSE", rmse, unit="m"),
    _error("rmse_log", "RMSElog", rmse_log),
    _error("silog", "SILog", silog, digits=1),
    _share(
        "delta_1.05", "delta < 1.05", partial(delta, base=1.05),
        note="Shares of pixels whose ratio of depths is below the bound.",
    ),
    _share("delta_1.15", "< 1.15", partial(delta, base=1.15)),
    _share("delta1", "< 1.25", delta, compared=True),
    _share("delta2", "< 1.25^2", partial(delta, power=2)),
    _share("delta3", "< 1.25^3", partial(delta, power=3)),
)
# fmt: on

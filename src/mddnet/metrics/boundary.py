"""Depth boundaries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics.known import Values, check_shapes
from mddnet.metrics.registry import Metric, register
from mddnet.types import BoolArray

BOUNDARY_RATIOS = (1.05, 1.25)  # lowest and highest ratio of neighbouring depths that counts as a boundary
BOUNDARY_COUNT = 10  # number of ratios, evenly spaced


def boundary_f1(pred_m: Values, truth_m: Values, mask: BoolArray | None = None) -> float:
    """Scale-invariant F1 of occluding boundaries, weighted towards the large ones.

    Two neighbours (left, right, up, down, each direction separately) have a boundary at ratio t where z_j / z_i > t.
    Precision and recall are means over the four directions; F1 is averaged over ten ratios from 1.05 to 1.25 with
    weights in proportion to the ratio. Bochkovskii et al., "Depth Pro" (arXiv:2410.02073), section on sharp boundary
    metrics, and their published code: a ratio counts 0 if neither prediction nor truth has a boundary. There is no
    thinning and no tolerance: a boundary that is one pixel off is a miss. Both neighbours must be in the mask, known
    and positive; predictions <= 0 have no boundaries. NaN if the truth has no boundary even at the lowest ratio.
    """
    check_shapes(pred_m, truth_m, mask)
    p, t = np.asarray(pred_m, dtype=np.float64), np.asarray(truth_m, dtype=np.float64)
    if t.ndim != 2:
        raise ValueError(f"shapes {t.shape}; expected (H, W)")
    use = np.isfinite(t) & (t > 0)
    if mask is not None:
        use &= mask
    log_p = np.log(np.where(p > 0, p, np.nan))
    log_t = np.log(np.where(use, t, 1.0))
    ratios = np.linspace(*BOUNDARY_RATIOS, BOUNDARY_COUNT)
    least = np.log(ratios[0])
    steps: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        both = use[here] & use[there]
        step_p, step_t = (log_p[there] - log_p[here])[both], (log_t[there] - log_t[here])[both]
        step_p = np.where(np.isfinite(step_p), step_p, 0.0)
        either = (np.abs(step_p) > least) | (np.abs(step_t) > least)  # the others are no boundary at any ratio
        step_p, step_t = step_p[either], step_t[either]
        steps += [(step_p, step_t), (-step_p, -step_t)]
    if not any((step_t > least).any() for _, step_t in steps):
        return float("nan")
    scores = [_f1(steps, float(np.log(ratio))) for ratio in ratios]
    return float(np.average(scores, weights=ratios))


def _f1(steps: list[tuple[NDArray[np.float64], NDArray[np.float64]]], least: float) -> float:
    precision = recall = 0.0
    for step_p, step_t in steps:
        in_pred, in_truth = step_p > least, step_t > least
        hits = int(np.count_nonzero(in_pred & in_truth))
        precision += hits / max(int(np.count_nonzero(in_pred)), 1) / len(steps)
        recall += hits / max(int(np.count_nonzero(in_truth)), 1) / len(steps)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


register(
    Metric(
        "boundary_f1", "boundary F1", "metric depth, shares and boundaries", lambda metres: boundary_f1(*metres),
        ("metres",), note="Boundary F1: as defined by Depth Pro.", compared=True,
    )
)  # fmt: skip

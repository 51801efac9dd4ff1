"""Blur detection: blurred or not, pixel by pixel. A blurred pixel is the positive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mddnet.metrics.known import Values, known_values, mean_of
from mddnet.metrics.registry import Metric, register
from mddnet.types import BoolArray

BETA_SQUARED = 0.3
"""Precision counts more than recall: Achanta et al., "Frequency-tuned Salient Region Detection" (CVPR 2009), and since
then the tables on CUHK, DUT and DED."""


def f_beta(
    detected: BoolArray, blurred: BoolArray, mask: BoolArray | None = None, *, beta_squared: float = BETA_SQUARED
) -> float:
    """F = (1 + b) P R / (b P + R) with b = beta^2, precision P and recall R (van Rijsbergen 1979).

    Of (H, W) maps, at the pixels of ``mask``; b of 1 gives the harmonic mean. NaN if nothing is blurred.
    """
    found, truth = known_values(detected, blurred, mask)
    if not truth.any():
        return float("nan")
    # P = hits / found, R = hits / truth: the hits cancel
    return float((1 + beta_squared) * (found @ truth) / (beta_squared * truth.sum() + found.sum()))


def iou(detected: BoolArray, blurred: BoolArray, mask: BoolArray | None = None) -> float:
    """Intersection over union of the blurred pixels (Jaccard 1901); NaN if nothing is blurred."""
    found, truth = known_values(detected, blurred, mask)
    return float(found @ truth / np.maximum(found, truth).sum()) if truth.any() else float("nan")


def detection_mae(probability: Values | BoolArray, blurred: BoolArray, mask: BoolArray | None = None) -> float:
    """Mean of |p - truth|, p in [0, 1] (Perazzi et al., "Saliency Filters", CVPR 2012): of a binary map, errors."""
    p, truth = known_values(probability, blurred, mask)
    if len(p) and not (p.min() >= 0 and p.max() <= 1):
        raise ValueError(f"probabilities from {p.min():g} to {p.max():g}; expected 0 to 1")
    return mean_of(np.abs(p - truth))


def average_precision(score: Values, blurred: BoolArray, mask: BoolArray | None = None) -> float:
    """Area below the precision-recall curve, sum of (R_n - R_(n-1)) P_n over all distinct thresholds, falling.

    Everingham et al., "The PASCAL Visual Object Classes Challenge" (IJCV 2010), without interpolation. Only the order
    of the scores counts, larger is more blurred; a constant has the share of blurred pixels. NaN if nothing is blurred.
    """
    s, truth = known_values(score, blurred, mask)
    if not truth.any():
        return float("nan")
    order = np.argsort(-s)
    s, truth = s[order], truth[order]
    last_of_a_score = np.append(s[1:] != s[:-1], True)
    hits = np.cumsum(truth)[last_of_a_score]
    found = np.flatnonzero(last_of_a_score) + 1
    return float(np.sum(np.diff(hits, prepend=0) * (hits / found)) / hits[-1])


def _share(c: Any) -> float:
    return mean_of(c.blurred)


def _detection(
    key: str,
    title: str,
    function: Callable[[Any], float],
    needs: tuple[str, ...] = ("blurred", "detected"),
    **more: Any,
) -> Metric:
    return Metric(key, title, "blur detection", function, needs, **more)


_REFERENCE: dict[str, Any] = {"needs": ("truth.sampled_defocus_px",), "reference": True}
# fmt: off
register(
    _detection(
        "blur_f", "F", lambda c: f_beta(c.detected, c.blurred), reference_key="blur_f_everywhere",
        note=f"F with beta^2 = {BETA_SQUARED:g}, at sampled pixels.", compared=True,
    ),
    _detection(
        "blur_f_everywhere", "F of all", lambda c: f_beta(np.ones_like(c.blurred), c.blurred),
        note="F of all: with every pixel detected as blurred.", **_REFERENCE,
    ),
    _detection("blur_iou", "IoU", lambda c: iou(c.detected, c.blurred), compared=True),
    _detection(
        "blur_mae", "MAE", lambda c: detection_mae(c.detected, c.blurred), better="lower",
        reference_key="blur_mae_constant", note="MAE: error rate of the binary map.",
    ),
    _detection(
        "blur_mae_constant", "const.", lambda c: min(_share(c), 1 - _share(c)), better="lower",
        note="Const.: the better of everything and nothing blurred.", **_REFERENCE,
    ),
    _detection(
        "blur_ap", "AP", lambda c: average_precision(c.sampled_blur, c.blurred),
        needs=("blurred", "sampled_blur"),
        reference_key="blur_ap_sharpness",
        note="AP: average precision of the order by CoC; a constant scores the share of blurred pixels.",
        compared=True,
    ),
    _detection("blur_share", "blurred", _share, better="", **_REFERENCE),
)
# fmt: on

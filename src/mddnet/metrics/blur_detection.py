"""Blur detection: blurred or not, pixel by pixel. A blurred pixel is the positive."""

from __future__ import annotations

from functools import partial

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


def _constant_mae(blurred: BoolArray, _: object) -> float:
    return min(mean_of(blurred), 1 - mean_of(blurred))


def _precision(blurred: BoolArray, score: Values) -> float:
    return average_precision(score, blurred)


_detection = partial(Metric, group="blur detection", inputs=("detected", "blurred"))
_reference = partial(_detection, inputs=("blurred", "truth.sampled_defocus_px"), reference=True)
# fmt: off
register(
    _detection(
        "blur_f", "F", function=f_beta, reference_key="blur_f_everywhere",
        note=f"F with beta^2 = {BETA_SQUARED:g}, at sampled pixels.", compared=True,
    ),
    _reference(
        "blur_f_everywhere", "F of all", function=lambda blurred, _: f_beta(np.ones_like(blurred), blurred),
        note="F of all: with every pixel detected as blurred.",
    ),
    _detection("blur_iou", "IoU", function=iou, compared=True),
    _detection(
        "blur_mae", "MAE", function=detection_mae, better="lower", reference_key="blur_mae_constant",
        note="MAE: error rate of the binary map.",
    ),
    _reference(
        "blur_mae_constant", "const.", function=_constant_mae, better="lower",
        note="Const.: the better of everything and nothing blurred.",
    ),
    _detection(
        "blur_ap", "AP", function=_precision, inputs=("blurred", "sampled_blur"), reference_key="blur_ap_sharpness",
        note="AP: average precision of the order by CoC; a constant scores the share of blurred pixels.",
        compared=True,
    ),
    _reference("blur_share", "blurred", function=lambda blurred, _: mean_of(blurred), better=""),
)
# fmt: on

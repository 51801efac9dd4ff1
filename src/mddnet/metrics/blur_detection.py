"""Blur detection: blurred or not, pixel by pixel. A blurred pixel is the positive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics.registry import Metric, register
from mddnet.types import BoolArray

BETA_SQUARED = 0.3
"""Precision counts more than recall: Achanta et al., "Frequency-tuned Salient Region Detection" (CVPR 2009), and since
then the tables on CUHK, DUT and DED."""


def f_beta(
    detected: BoolArray, blurred: BoolArray, mask: BoolArray | None = None, *, beta_squared: float = BETA_SQUARED
) -> float:
    """F = (1 + b) P R / (b P + R) with b = beta^2, precision P and recall R (van Rijsbergen 1979).

    Args:
        detected: (H, W) bool, pixels detected as blurred.
        blurred: (H, W) bool, pixels that are blurred.
        mask: (H, W) bool, pixels whose truth is known, or None.
        beta_squared: b; 1 gives the harmonic mean.

    Returns:
        A value in [0, 1]; NaN if nothing is blurred.

    Raises:
        ValueError: if the shapes differ.
    """
    found, truth = _masked_booleans(detected, blurred, mask)
    if not truth.any():
        return float("nan")
    hits = float(np.count_nonzero(found & truth))
    # P = hits / found, R = hits / truth: the hits cancel
    return (1 + beta_squared) * hits / (beta_squared * np.count_nonzero(truth) + np.count_nonzero(found))


def iou(detected: BoolArray, blurred: BoolArray, mask: BoolArray | None = None) -> float:
    """Intersection over union of the blurred pixels (Jaccard 1901); NaN if nothing is blurred."""
    found, truth = _masked_booleans(detected, blurred, mask)
    if not truth.any():
        return float("nan")
    return float(np.count_nonzero(found & truth) / np.count_nonzero(found | truth))


def detection_mae(
    probability: NDArray[np.floating] | BoolArray, blurred: BoolArray, mask: BoolArray | None = None
) -> float:
    """Mean of |p - truth|, p in [0, 1] (Perazzi et al., "Saliency Filters", CVPR 2012); of a binary map its error rate.

    Raises:
        ValueError: if the shapes differ, or for a value outside [0, 1].
    """
    p, truth = _masked(np.asarray(probability, dtype=np.float64), blurred, mask)
    if not len(p):
        return float("nan")
    if not (p.min() >= 0 and p.max() <= 1):
        raise ValueError(f"probabilities from {p.min():g} to {p.max():g}; expected 0 to 1")
    return float(np.mean(np.abs(p - truth)))


def average_precision(score: NDArray[np.floating], blurred: BoolArray, mask: BoolArray | None = None) -> float:
    """Area below the precision-recall curve, sum of (R_n - R_(n-1)) P_n over all distinct thresholds, falling.

    Everingham et al., "The PASCAL Visual Object Classes Challenge" (IJCV 2010), without interpolation. A constant score
    has the share of blurred pixels.

    Args:
        score: (H, W), larger is more blurred; only its order counts.
        blurred: (H, W) bool.
        mask: (H, W) bool, or None.

    Returns:
        A value in [0, 1]; NaN if nothing is blurred.
    """
    s, truth = _masked(np.asarray(score, dtype=np.float64), blurred, mask)
    if not truth.any():
        return float("nan")
    order = np.argsort(-s)
    s, truth = s[order], truth[order]
    last_of_a_score = np.append(s[1:] != s[:-1], True)
    hits = np.cumsum(truth)[last_of_a_score]
    found = np.flatnonzero(last_of_a_score) + 1
    return float(np.sum(np.diff(hits, prepend=0) * (hits / found)) / hits[-1])


def _masked(
    values: NDArray[np.float64], blurred: BoolArray, mask: BoolArray | None
) -> tuple[NDArray[np.float64], BoolArray]:
    if values.shape != blurred.shape or (mask is not None and mask.shape != blurred.shape):
        shapes = f"pred {values.shape}, truth {blurred.shape}" + ("" if mask is None else f", mask {mask.shape}")
        raise ValueError(f"shapes differ: {shapes}; expected one shape")
    if mask is None:
        return values.ravel(), np.asarray(blurred, dtype=np.bool_).ravel()
    return values[mask], np.asarray(blurred, dtype=np.bool_)[mask]


def _masked_booleans(detected: BoolArray, blurred: BoolArray, mask: BoolArray | None) -> tuple[BoolArray, BoolArray]:
    found, truth = _masked(np.asarray(detected, dtype=np.float64), blurred, mask)
    return found > 0, truth


# --- registered -------------------------------------------------------------------------------------------------------


def _share(c: Any) -> float:
    return float(c.blurred.mean()) if len(c.blurred) else float("nan")


def _detection(
    key: str,
    title: str,
    function: Callable[[Any], float],
    *,
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

"""Accuracy of the sign of the defocus: in front of the plane of focus, or behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics.comparison import SIGN_DEFOCUS_MIN, SIGN_RANGE_MIN
from mddnet.metrics.known import known_values
from mddnet.metrics.registry import Measures, Metric, register
from mddnet.types import BoolArray


def sign_accuracy(
    pred_signed_px: NDArray[np.floating],
    signed_px: NDArray[np.floating],
    mask: BoolArray | None = None,
    *,
    min_defocus_px: float = 0.0,
) -> float:
    """Share of pixels with |CoC| above ``min_defocus_px`` whose sign (behind +, in front -) is correct; 0 counts half.

    Args:
        pred_signed_px: (H, W) predicted signed CoC.
        signed_px: (H, W) true signed CoC, NaN where unknown.
        mask: (H, W) bool, or None.
        min_defocus_px: smallest true |CoC|, exclusive, pixels.
    """
    p, t = known_values(pred_signed_px, signed_px, mask)
    clear = np.abs(t) > min_defocus_px
    if not clear.any():
        return float("nan")
    agreement = np.sign(p[clear]) * np.sign(t[clear])
    return float(np.mean(np.where(agreement == 0, 0.5, agreement > 0)))


# --- registered -------------------------------------------------------------------------------------------------------


def _accuracy(c: Any, signed_px: NDArray[np.floating], where: BoolArray | None) -> float:
    truth = c.truth.signed_defocus_px
    return sign_accuracy(signed_px, truth, where, min_defocus_px=SIGN_DEFOCUS_MIN * max(truth.shape))


def _among(mask: BoolArray | None, where: BoolArray) -> BoolArray:
    return where if mask is None else mask & where


def _constant(means: Measures) -> float | None:
    behind = means.get("sign_behind")
    return None if behind is None else max(behind, 1 - behind)


_SIGN = ("truth.signed_defocus_px", "estimate.signed_defocus_px")
# fmt: off
register(
    Metric(
        "sign_accuracy", "sign", "defocus order",
        lambda c: _accuracy(c, c.estimate.signed_defocus_px, c.truth.sign_mask), _SIGN, reference_key="sign_constant",
        note=f"Sign: where CoC > {SIGN_DEFOCUS_MIN:.0%} of the long side and, for scenes, the distance from focus is "
        f"> {SIGN_RANGE_MIN:.0%} of the range.",
    ),
    Metric(
        "sign_near_edges", "", "defocus order",
        lambda c: _accuracy(c, c.estimate.signed_defocus_px, _among(c.truth.sign_mask, c.truth.near_edges)),
        (*_SIGN, "truth.near_edges"),
    ),
    Metric(
        "sign_away_from_edges", "", "defocus order",
        lambda c: _accuracy(c, c.estimate.signed_defocus_px, _among(c.truth.sign_mask, ~c.truth.near_edges)),
        (*_SIGN, "truth.near_edges"),
    ),
    Metric(
        "sign_behind", "", "defocus order",
        lambda c: _accuracy(c, np.ones_like(c.truth.signed_defocus_px), c.truth.sign_mask),
        ("truth.signed_defocus_px",), reference=True, better="",
    ),
    Metric(
        "sign_constant", "constant sign", "defocus order", from_means=_constant,
        note="Constant sign: the better of always behind and always in front.",
    ),
)
# fmt: on

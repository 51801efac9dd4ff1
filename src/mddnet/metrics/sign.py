"""Accuracy of the sign of the defocus: in front of the plane of focus, or behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mddnet.metrics.comparison import SIGN_DEFOCUS_MIN, SIGN_RANGE_MIN
from mddnet.metrics.known import Values, known_values, mean_of
from mddnet.metrics.registry import Measures, Metric, register
from mddnet.types import BoolArray


def sign_accuracy(
    pred_signed_px: Values, signed_px: Values, mask: BoolArray | None = None, *, min_defocus_px: float = 0.0
) -> float:
    """Share of pixels with a true |CoC| above ``min_defocus_px`` whose sign (behind +, in front -) is correct.

    A prediction of 0 counts half.
    """
    p, t = known_values(pred_signed_px, signed_px, mask)
    clear = np.abs(t) > min_defocus_px
    return mean_of(0.5 + 0.5 * np.sign(p[clear]) * np.sign(t[clear]))


def _accuracy(c: Any, signed_px: Values, near_edges: bool | None = None) -> float:
    """At the pixels of the sign mask; near the depth edges alone, or away from them."""
    truth, where = c.truth.signed_defocus_px, c.truth.sign_mask
    if near_edges is not None:
        region = c.truth.near_edges if near_edges else ~c.truth.near_edges
        where = region if where is None else where & region
    return sign_accuracy(signed_px, truth, where, min_defocus_px=SIGN_DEFOCUS_MIN * max(truth.shape))


def _constant(means: Measures) -> float | None:
    behind = means.get("sign_behind")
    return None if behind is None else max(behind, 1 - behind)


_SIGN = ("truth.signed_defocus_px", "estimate.signed_defocus_px")
# fmt: off
register(
    Metric(
        "sign_accuracy", "sign", "defocus order",
        lambda c: _accuracy(c, c.estimate.signed_defocus_px), _SIGN, reference_key="sign_constant",
        note=f"Sign: where CoC > {SIGN_DEFOCUS_MIN:.0%} of the long side and, for scenes, the distance from focus is "
        f"> {SIGN_RANGE_MIN:.0%} of the range.",
    ),
    Metric(
        "sign_near_edges", "", "defocus order",
        lambda c: _accuracy(c, c.estimate.signed_defocus_px, near_edges=True), (*_SIGN, "truth.near_edges"),
    ),
    Metric(
        "sign_away_from_edges", "", "defocus order",
        lambda c: _accuracy(c, c.estimate.signed_defocus_px, near_edges=False), (*_SIGN, "truth.near_edges"),
    ),
    Metric(
        "sign_behind", "", "defocus order",
        lambda c: _accuracy(c, np.ones_like(c.truth.signed_defocus_px)),
        ("truth.signed_defocus_px",), reference=True, better="",
    ),
    Metric(
        "sign_constant", "constant sign", "defocus order", from_means=_constant,
        note="Constant sign: the better of always behind and always in front.",
    ),
)
# fmt: on

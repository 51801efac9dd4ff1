"""Accuracy of the sign of the defocus: in front of the plane of focus, or behind it."""

from __future__ import annotations

from functools import partial

import numpy as np

from mddnet.metrics.comparison import SIGN_DEFOCUS_MIN, SIGN_RANGE_MIN, Truth
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


def _accuracy(truth: Truth, signed_px: Values, estimated_px: Values, *region: BoolArray) -> float:
    """At the pixels of the sign mask, and of a region if one is given."""
    where = [mask for mask in (truth.sign_mask, *region) if mask is not None]
    at = np.logical_and.reduce(where) if where else None
    return sign_accuracy(estimated_px, signed_px, at, min_defocus_px=SIGN_DEFOCUS_MIN * max(signed_px.shape))


def _constant(means: Measures) -> float | None:
    behind = means.get("sign_behind")
    return None if behind is None else max(behind, 1 - behind)


_SIGN = ("truth", "truth.signed_defocus_px", "estimate.signed_defocus_px")
_sign = partial(Metric, group="defocus order", function=_accuracy)
# fmt: off
register(
    _sign(
        "sign_accuracy", "sign", inputs=_SIGN, reference_key="sign_constant",
        note=f"Sign: where CoC > {SIGN_DEFOCUS_MIN:.0%} of the long side and, for scenes, the distance from focus is "
        f"> {SIGN_RANGE_MIN:.0%} of the range.",
    ),
    _sign("sign_near_edges", "", inputs=(*_SIGN, "truth.near_edges")),
    _sign(
        "sign_away_from_edges", "", inputs=(*_SIGN, "truth.near_edges"),
        function=lambda truth, true_px, found_px, edges: _accuracy(truth, true_px, found_px, ~edges),
    ),
    _sign(
        "sign_behind", "", inputs=_SIGN[:2], reference=True, better="",
        function=lambda truth, true_px: _accuracy(truth, true_px, np.ones_like(true_px)),
    ),
    Metric(
        "sign_constant", "constant sign", "defocus order", from_means=_constant,
        note="Constant sign: the better of always behind and always in front.",
    ),
)
# fmt: on

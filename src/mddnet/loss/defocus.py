"""Losses on the defocus map: size of the CoC, its gradients, and its sign.

CoC diameters are compared by their square roots, so that 1 px counts more at small blur than at large blur. Small
errors count by their squares: where a photo may be sharp or blurred by a pixel, the least absolute error is that of one
of the two, mostly 0, and the order of little blur would be lost; the least square is between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

from mddnet.loss.depth import gradient_l1, masked_mean
from mddnet.loss.registry import LossInputs, known, loss_term

if TYPE_CHECKING:
    from mddnet.loss.registry import Map, PerImage

_EPSILON_PX = 1e-3
CLEAR_PX, CERTAIN_PX = 1.5, 4.0
SQUARED_BELOW = 0.25
"""Error of the coded CoC up to which the loss is quadratic: 0 against 4 px, with a cap of 64 px."""


def coc_root(defocus_px: Map, cap_px: float) -> Map:
    """Square-root coding of a CoC diameter: sqrt(min(c, cap) / cap), in [0, 1]."""
    return ((defocus_px.clamp(0.0, cap_px) + _EPSILON_PX) / cap_px).sqrt()


def coc_huber(predicted_px: Map, truth_px: Map, weight: Map, cap_px: float) -> PerImage:
    """Huber loss of coded CoC, slope 1 for large errors, per image; diameters are clipped at ``cap_px``.

    Diameters are in pixels of the input tensor; the weight is in [0, 1], 0 where the truth is unknown.
    """
    codes = coc_root(predicted_px, cap_px), coc_root(truth_px, cap_px)
    return masked_mean(F.smooth_l1_loss(*codes, reduction="none", beta=SQUARED_BELOW), weight)


def coc_gradient(predicted_px: Map, truth_px: Map, weight: Map, cap_px: float, scales: int = 3) -> PerImage:
    """Mean absolute difference of the gradients of coded CoC over dyadic scales, per image."""
    return gradient_l1(coc_root(predicted_px, cap_px) - coc_root(truth_px, cap_px), weight, scales)


def sign_cross_entropy(sign_logit: Map, signed_px: Map, weight: Map) -> PerImage:
    """Binary cross-entropy of "behind the plane of focus", per image.

    A pixel counts as min(CoC / 4 px, 1), and not at all below 1.5 px, where nothing shows the sign.

    The weight is 0 where the truth is unknown.
    """
    size = signed_px.abs()
    counted = weight * (size / CERTAIN_PX).clamp(max=1.0) * (size >= CLEAR_PX)
    behind = (signed_px > 0).to(sign_logit)
    loss = F.binary_cross_entropy_with_logits(sign_logit, behind, reduction="none")
    return masked_mean(loss, counted)


def certain(inputs: LossInputs) -> tuple[Map, PerImage]:
    """Weight of the CoC, and its mean per image over that of the truth."""
    certainty = inputs.coc_certainty
    return inputs.batch.weight * certainty, masked_mean(certainty, inputs.batch.weight)


@loss_term
def defocus(inputs: LossInputs) -> PerImage:
    """Huber loss of coded CoC."""
    weight, share = certain(inputs)
    return share * coc_huber(known(inputs.maps.defocus_px), inputs.signed_px.abs(), weight, inputs.cap_px)


@loss_term
def defocus_gradient(inputs: LossInputs) -> PerImage:
    """L1 of the gradients of coded CoC."""
    weight, share = certain(inputs)
    return share * coc_gradient(known(inputs.maps.defocus_px), inputs.signed_px.abs(), weight, inputs.cap_px)


@loss_term
def sign(inputs: LossInputs) -> PerImage:
    """Cross-entropy of the sign."""
    return sign_cross_entropy(known(inputs.maps.sign_logit), inputs.signed_px, inputs.batch.weight)

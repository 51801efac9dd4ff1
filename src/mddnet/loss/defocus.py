"""Losses on the defocus map: size of the CoC, its gradients, and its sign.

CoC diameters are compared by their square roots, so that 1 px counts more at small blur than at large blur. Small
errors count by their squares: where a photo may be sharp or blurred by a pixel, the least absolute error is that of one
of the two, mostly 0, and the order of little blur would be lost; the least square is between.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mddnet.loss.depth import gradient_l1, masked_mean
from mddnet.loss.registry import LossInputs, known, loss_term

_EPSILON_PX = 1e-3
CLEAR_PX, CERTAIN_PX = 1.5, 4.0
SQUARED_BELOW = 0.25
"""Error of the coded CoC up to which the loss is quadratic: 0 against 4 px, with a cap of 64 px."""


def coc_root(defocus_px: Tensor, cap_px: float) -> Tensor:
    """Square-root coding of a CoC diameter: sqrt(min(c, cap) / cap), in [0, 1]."""
    return ((defocus_px.clamp(0.0, cap_px) + _EPSILON_PX) / cap_px).sqrt()


def coc_huber(predicted_px: Tensor, truth_px: Tensor, weight: Tensor, cap_px: float) -> Tensor:
    """Huber loss of coded CoC, slope 1 for large errors, per image (B,); diameters are clipped at ``cap_px``.

    Maps are (B, 1, H, W), in pixels of the input tensor; the weight is in [0, 1], 0 where the truth is unknown.
    """
    codes = coc_root(predicted_px, cap_px), coc_root(truth_px, cap_px)
    return masked_mean(F.smooth_l1_loss(*codes, reduction="none", beta=SQUARED_BELOW), weight)


def coc_gradient(predicted_px: Tensor, truth_px: Tensor, weight: Tensor, cap_px: float, scales: int = 3) -> Tensor:
    """Mean absolute difference of the gradients of coded CoC over dyadic scales, per image (B,)."""
    return gradient_l1(coc_root(predicted_px, cap_px) - coc_root(truth_px, cap_px), weight, scales)


def sign_cross_entropy(sign_logit: Tensor, signed_px: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy of "behind the plane of focus", per image (B,).

    A pixel counts as min(CoC / 4 px, 1), and not at all below 1.5 px, where nothing shows the sign.

    All tensors are (B, 1, H, W); the weight is 0 where the truth is unknown.
    """
    size = signed_px.abs()
    counted = weight * (size / CERTAIN_PX).clamp(max=1.0) * (size >= CLEAR_PX)
    behind = (signed_px > 0).to(sign_logit)
    loss = F.binary_cross_entropy_with_logits(sign_logit, behind, reduction="none")
    return masked_mean(loss, counted)


@loss_term
def defocus(inputs: LossInputs) -> Tensor:
    """Huber loss of coded CoC."""
    return coc_huber(known(inputs.maps.defocus_px), inputs.signed_px.abs(), inputs.batch.weight, inputs.cap_px)


@loss_term
def defocus_gradient(inputs: LossInputs) -> Tensor:
    """L1 of the gradients of coded CoC."""
    return coc_gradient(known(inputs.maps.defocus_px), inputs.signed_px.abs(), inputs.batch.weight, inputs.cap_px)


@loss_term
def sign(inputs: LossInputs) -> Tensor:
    """Cross-entropy of the sign."""
    return sign_cross_entropy(known(inputs.maps.sign_logit), inputs.signed_px, inputs.batch.weight)

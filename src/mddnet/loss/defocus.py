"""Losses on the defocus map: size of the CoC, its gradient, and the side of the plane of focus.

CoC sizes are compared by their square roots, so that 1 px at small blur counts more than 1 px at large blur; the
median, which an L1 loss seeks, does not depend on such a monotone coding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mddnet.loss.depth import masked_mean

_EPSILON_PX = 1e-3


def coc_root(defocus_px: Tensor, cap_px: float) -> Tensor:
    """Square-root coding of a CoC diameter: sqrt(min(c, cap) / cap), in [0, 1]."""
    return ((defocus_px.clamp(0.0, cap_px) + _EPSILON_PX) / cap_px).sqrt()


def coc_l1(predicted_px: Tensor, truth_px: Tensor, weight: Tensor, cap_px: float) -> Tensor:
    """Mean absolute difference of coded CoC, per image (B,). Truth beyond the cap counts as the cap.

    Args:
        predicted_px: (B, 1, H, W) CoC diameter in pixels of the input tensor.
        truth_px: (B, 1, H, W) the same, unsigned.
        weight: (B, 1, H, W) in [0, 1], 0 where the truth is unknown.
        cap_px: the network's cap.
    """
    return masked_mean((coc_root(predicted_px, cap_px) - coc_root(truth_px, cap_px)).abs(), weight)


def coc_gradient(predicted_px: Tensor, truth_px: Tensor, weight: Tensor, cap_px: float, scales: int = 3) -> Tensor:
    """Mean absolute difference of the gradients of coded CoC over dyadic scales, per image (B,)."""
    difference = coc_root(predicted_px, cap_px) - coc_root(truth_px, cap_px)
    total = torch.zeros(len(difference), device=difference.device, dtype=difference.dtype)
    for level in range(scales):
        d, w = difference[..., :: 2**level, :: 2**level], weight[..., :: 2**level, :: 2**level]
        total = total + masked_mean((d[..., 1:] - d[..., :-1]).abs(), w[..., 1:] * w[..., :-1])
        total = total + masked_mean((d[..., 1:, :] - d[..., :-1, :]).abs(), w[..., 1:, :] * w[..., :-1, :])
    return total / scales


def sign_cross_entropy(sign_logit: Tensor, signed_px: Tensor, weight: Tensor, clear_px: float = 1.0) -> Tensor:
    """Binary cross-entropy of "behind the plane of focus", where the CoC is at least ``clear_px``, per image (B,).

    Args:
        sign_logit: (B, 1, H, W) log-odds of lying behind.
        signed_px: (B, 1, H, W) true signed CoC, positive behind.
        weight: (B, 1, H, W), 0 where the truth is unknown.
        clear_px: smallest CoC whose sign counts.
    """
    counted = weight * (signed_px.abs() >= clear_px)
    behind = (signed_px > 0).to(sign_logit)
    loss = F.binary_cross_entropy_with_logits(sign_logit, behind, reduction="none")
    return masked_mean(loss, counted)

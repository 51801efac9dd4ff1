"""Losses on relative inverse depth: scale-and-shift-invariant L1, multi-scale gradients, ranking.

Arrays are (B, H, W); the truth is NaN where unknown. A view without enough known pixels counts 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CLIP = 3.0
"""A residual above this many mean absolute deviations counts no more: wrong truth and far outliers do not rule."""
GAP = 0.2
"""Two truths differ clearly if their normalised values differ by more."""
LEAST_KNOWN = 20
STEPS = (1, 2, 4, 8)
"""Distances in pixels at which gradients are compared."""


def normalised(values: Tensor, known: Tensor) -> Tensor:
    """Values of (B, H, W) less their median, over their mean absolute deviation, per view over the known pixels."""
    views = []
    for one, mask in zip(values, known, strict=True):
        chosen = one[mask]
        if chosen.numel() < LEAST_KNOWN:
            views.append(torch.zeros_like(one))
            continue
        shift = chosen.median()
        spread = (chosen - shift).abs().mean().clamp_min(1e-6)
        views.append((one - shift) / spread)
    return torch.stack(views)


def affine_l1(pred: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """(B,) mean clipped difference of two normalised maps (Ranftl et al., IEEE PAMI 2022, with median and MAD)."""
    residual = (pred - torch.where(known, truth, pred)).abs().clamp_max(CLIP)
    return residual.flatten(1).sum(1) / known.flatten(1).sum(1).clamp_min(1)


def gradients(pred: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """(B,) mean clipped difference of the steps between pixels 1, 2, 4 and 8 apart, right and down."""
    residual = pred - torch.where(known, truth, pred)
    total = torch.zeros(pred.shape[0], dtype=pred.dtype)
    for step in STEPS:
        for axis in (1, 2):
            length = residual.shape[axis] - step
            here, there = residual.narrow(axis, 0, length), residual.narrow(axis, step, length)
            both = known.narrow(axis, 0, length) & known.narrow(axis, step, length)
            change = ((there - here).abs() * both).clamp_max(CLIP)
            total = total + change.flatten(1).sum(1) / both.flatten(1).sum(1).clamp_min(1)
    return total / (2 * len(STEPS))


def ranking(pred: Tensor, truth: Tensor, known: Tensor, pairs: int, generator: torch.Generator) -> Tensor:
    """(B,) mean logistic loss of random pairs whose normalised truths differ by more than :data:`GAP`."""
    views = []
    for one, true, mask in zip(pred, truth, known, strict=True):
        places = mask.flatten().nonzero()[:, 0]
        if len(places) < LEAST_KNOWN:
            views.append(one.sum() * 0)
            continue
        drawn = places[torch.randint(len(places), (2, pairs), generator=generator)]
        gap = true.flatten()[drawn[0]] - true.flatten()[drawn[1]]
        clear = gap.abs() > GAP
        difference = (one.flatten()[drawn[0]] - one.flatten()[drawn[1]]) * gap.sign()
        views.append((F.softplus(-2 * difference) * clear).sum() / clear.sum().clamp_min(1))
    return torch.stack(views)


def depth_loss(
    pred: Tensor, truth: Tensor, exact: Tensor, affine: Tensor, generator: torch.Generator, pairs: int = 2000
) -> Tensor:
    """Mean over the views of what each truth is trusted for.

    Args:
        pred: (B, H, W) relative inverse depth.
        truth: (B, H, W), NaN where unknown.
        exact: (B,) bool, whether gradients count.
        affine: (B,) bool, whether values up to a scale and a shift count.
        generator: of the random pairs.
        pairs: pairs drawn per view.
    """
    known = torch.isfinite(truth)
    filled = torch.where(known, truth, torch.zeros_like(truth))
    p, t = normalised(pred, known), normalised(filled, known)
    loss = 0.5 * ranking(p, t, known, pairs, generator)
    loss = loss + affine * affine_l1(p, t, known) + exact * gradients(p, t, known)
    return loss.mean()

"""Losses on inverse depth that are invariant to its unknown scale and shift.

The functions take maps and a weight of the same shape (0 where the truth is unknown), and return one value per image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from mddnet.loss.registry import LossInputs, known, loss_term

if TYPE_CHECKING:
    from mddnet.loss.registry import Map, PerImage

FLAT_RANGE = 0.05
"""Mean absolute deviation, in units of the scene's range, below which a crop is flat and its loss is scaled down."""


def masked_mean(values: Map, weight: Map) -> PerImage:
    """Weighted mean per image; 0 where all weights are 0."""
    return (values * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp_min(1e-6)


def gradient_l1(difference: Map, weight: Map, scales: int) -> PerImage:
    """Mean absolute gradient of a difference, summed over both axes, mean over dyadic scales."""
    total = torch.zeros(len(difference), device=difference.device, dtype=difference.dtype)
    for level in range(scales):
        d, w = difference[..., :: 2**level, :: 2**level], weight[..., :: 2**level, :: 2**level]
        total = total + masked_mean((d[..., 1:] - d[..., :-1]).abs(), w[..., 1:] * w[..., :-1])
        total = total + masked_mean((d[..., 1:, :] - d[..., :-1, :]).abs(), w[..., 1:, :] * w[..., :-1, :])
    return total / scales


def normalise(u: Map, weight: Map, floor: float) -> tuple[Map, PerImage]:
    """Remove shift (median) and scale (mean absolute deviation), as in Ranftl et al., PAMI 2022 (MiDaS), eq. 5.

    Returns the normalised map, and its scale before it is raised to ``floor``, the smallest divisor.
    """
    hidden = torch.where(weight > 0, u, torch.full_like(u, float("nan")))
    median = hidden.flatten(1).nanmedian(1).values.nan_to_num(0.0).view(-1, 1, 1, 1)
    scale = masked_mean((u - median).abs(), weight)
    return (u - median) / scale.clamp_min(floor).view(-1, 1, 1, 1), scale


def scale_shift_invariant_l1(predicted: Map, truth: Map, weight: Map) -> PerImage:
    """Mean absolute difference of the two normalised maps (Ranftl et al., PAMI 2022, eq. 6, untrimmed).

    The loss of a flat crop is scaled down by its deviation over :data:`FLAT_RANGE`.
    """
    p, _ = normalise(predicted, weight, floor=1e-3)
    t, scale = normalise(truth, weight, floor=1e-3)
    return masked_mean((p - t).abs(), weight) * (scale.detach() / FLAT_RANGE).clamp(max=1.0)


def gradient_matching(predicted: Map, truth: Map, weight: Map, scales: int = 4) -> PerImage:
    """Difference of gradients of the two normalised maps over dyadic scales (Li and Snavely, CVPR 2018, eq. 3)."""
    p, _ = normalise(predicted, weight, floor=1e-3)
    t, scale = normalise(truth, weight, floor=1e-3)
    return gradient_l1(p - t, weight, scales) * (scale.detach() / FLAT_RANGE).clamp(max=1.0)


def pair_ranking(
    predicted: Map, truth: Map, weight: Map, generator: torch.Generator, pairs: int = 2048, gap: float = 0.1
) -> PerImage:
    """Logistic loss on the order of random pairs whose truths differ clearly (Chen et al., NeurIPS 2016, eq. 1).

    Of the random pairs of each image, those whose truths differ by less than ``gap``, in units of the scene's range, or
    are unknown are ignored.
    """
    b = predicted.shape[0]
    size = predicted[0].numel()
    first = torch.randint(size, (b, pairs), generator=generator, device=generator.device).to(predicted.device)
    second = torch.randint(size, (b, pairs), generator=generator, device=generator.device).to(predicted.device)
    p, t, w = predicted.flatten(1), truth.flatten(1), weight.flatten(1)
    w_pair = w.gather(1, first) * w.gather(1, second)
    t_gap = t.gather(1, first) - t.gather(1, second)
    # in units of the spread of the predicted map, so that stretching the map does not lower the loss
    spread = normalise(predicted, weight, floor=1e-3)[1].clamp_min(0.02).view(-1, 1).detach()
    p_gap = (p.gather(1, first) - p.gather(1, second)) / spread
    counted = torch.where(w_pair > 0, t_gap.abs() > gap, torch.zeros_like(t_gap, dtype=torch.bool))
    w_counted = w_pair * counted
    loss = F.softplus(-p_gap * torch.sign(torch.nan_to_num(t_gap)))
    return (loss * w_counted).sum(1) / w_counted.sum(1).clamp_min(1.0)


@loss_term
def depth(inputs: LossInputs) -> PerImage:
    """Scale-and-shift-invariant L1; 0 for an ordinal scene."""
    predicted = known(inputs.maps.inv_depth)
    return (
        scale_shift_invariant_l1(predicted, inputs.inv_depth, inputs.batch.weight) * inputs.metric * inputs.depth_factor
    )


@loss_term
def depth_gradient(inputs: LossInputs) -> PerImage:
    """L1 of gradients; 0 where the true depth has no exact edges."""
    predicted = known(inputs.maps.inv_depth)
    loss = gradient_matching(predicted, inputs.inv_depth, inputs.batch.weight)
    return loss * inputs.batch.exact.to(loss) * inputs.depth_factor


@loss_term
def ranking(inputs: LossInputs) -> PerImage:
    """Ranking of random pairs."""
    predicted = known(inputs.maps.inv_depth)
    return pair_ranking(predicted, inputs.inv_depth, inputs.batch.weight, inputs.generator) * inputs.depth_factor

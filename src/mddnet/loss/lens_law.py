"""The lens-law loss: consistency of the two predicted maps, given the plane of focus and kappa of the sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mddnet.loss.defocus import coc_root
from mddnet.loss.depth import masked_mean
from mddnet.loss.registry import LossInputs, known, loss_term

if TYPE_CHECKING:
    from jaxtyping import Float

    from mddnet.loss.registry import Map, PerImage


def align_scale_shift(
    predicted: Map, truth: Map, weight: Map
) -> tuple[Float[Tensor, "B 1 1 1"], Float[Tensor, "B 1 1 1"]]:
    """Least-squares scale and shift, of scale * predicted + shift ~ truth.

    The scale is positive: an inverted map is wrong, not differently scaled.
    """
    mean_p = masked_mean(predicted, weight).view(-1, 1, 1, 1)
    mean_t = masked_mean(truth, weight).view(-1, 1, 1, 1)
    covariance = masked_mean((predicted - mean_p) * (truth - mean_t), weight)
    variance = masked_mean((predicted - mean_p) ** 2, weight)
    scale = (covariance / variance.clamp_min(1e-6)).clamp_min(1e-3).view(-1, 1, 1, 1)
    return scale, mean_t - scale * mean_p


def lens_law_l1(
    predicted_inv_depth: Map,
    predicted_defocus_px: Map,
    truth_inv_depth: Map,
    u_focus: PerImage,
    kappa_px: PerImage,
    weight: Map,
    cap_px: float,
) -> PerImage:
    """Mean absolute difference between the predicted CoC and kappa |u_focus - u| of the predicted depth, per image.

    The predicted depth is first aligned with the truth by least squares. Only the depth receives gradients: a wrong
    depth must not change the CoC.

    CoC is in pixels of the input tensor; the true inverse depth is in the scene's unit and finite.
    """
    with torch.no_grad():
        scale, shift = align_scale_shift(predicted_inv_depth, truth_inv_depth, weight)
    u = scale * predicted_inv_depth + shift
    law_px = (kappa_px.view(-1, 1, 1, 1) * (u_focus.view(-1, 1, 1, 1) - u)).abs()
    return masked_mean((coc_root(predicted_defocus_px.detach(), cap_px) - coc_root(law_px, cap_px)).abs(), weight)


@loss_term
def lens_law(inputs: LossInputs) -> PerImage:
    """Deviation of the predicted depth from the lens law, less where the CoC is uncertain; 0 for an ordinal scene."""
    batch, maps = inputs.batch, inputs.maps
    weight = batch.weight
    if maps.defocus_log_sigma is not None:
        weight = weight / (1.0 + maps.defocus_log_sigma.detach().exp())
    law = lens_law_l1(
        known(maps.inv_depth),
        known(maps.defocus_px),
        inputs.inv_depth,
        batch.u_focus,
        batch.kappa_px,
        weight,
        inputs.cap_px,
    )
    return law * inputs.metric * inputs.depth_factor

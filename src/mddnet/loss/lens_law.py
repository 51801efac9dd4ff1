"""The lens-law loss: consistency of the two predicted maps, given the plane of focus and kappa of the sample."""

from __future__ import annotations

import torch
from torch import Tensor

from mddnet.loss.defocus import coc_root
from mddnet.loss.depth import masked_mean
from mddnet.loss.registry import LossInputs, known, loss_term


def align_scale_shift(predicted: Tensor, truth: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Least-squares scale and shift, (B, 1, 1, 1) each, of scale * predicted + shift ~ truth.

    The scale is positive: an inverted map is wrong, not differently scaled.
    """
    mean_p = masked_mean(predicted, weight).view(-1, 1, 1, 1)
    mean_t = masked_mean(truth, weight).view(-1, 1, 1, 1)
    covariance = masked_mean((predicted - mean_p) * (truth - mean_t), weight)
    variance = masked_mean((predicted - mean_p) ** 2, weight)
    scale = (covariance / variance.clamp_min(1e-6)).clamp_min(1e-3).view(-1, 1, 1, 1)
    return scale, mean_t - scale * mean_p


def lens_law_l1(
    predicted_inv_depth: Tensor,
    predicted_defocus_px: Tensor,
    truth_inv_depth: Tensor,
    u_focus: Tensor,
    kappa_px: Tensor,
    weight: Tensor,
    cap_px: float,
) -> Tensor:
    """Mean absolute difference between the predicted CoC and kappa |u_focus - u| of the predicted depth, per image.

    The predicted depth is first aligned with the truth by least squares. Only the depth receives gradients: a wrong
    depth must not change the CoC.

    Maps and weight are (B, 1, H, W), ``u_focus`` and ``kappa_px`` (B,). CoC is in pixels of the input tensor; the true
    inverse depth is in the scene's unit and finite.
    """
    with torch.no_grad():
        scale, shift = align_scale_shift(predicted_inv_depth, truth_inv_depth, weight)
    u = scale * predicted_inv_depth + shift
    law_px = (kappa_px.view(-1, 1, 1, 1) * (u_focus.view(-1, 1, 1, 1) - u)).abs()
    return masked_mean((coc_root(predicted_defocus_px.detach(), cap_px) - coc_root(law_px, cap_px)).abs(), weight)


@loss_term
def lens_law(inputs: LossInputs) -> Tensor:
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

"""Laplace likelihoods: of the errors of the maps, which trains their uncertainties, and of the camera.

The negative log-likelihood of an error e with scale sigma is |e| / sigma + log sigma, up to a constant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mddnet.loss.defocus import certain
from mddnet.loss.depth import masked_mean, normalise
from mddnet.loss.registry import LossInputs, known, loss_term

if TYPE_CHECKING:
    from jaxtyping import Float

    from mddnet.loss.registry import PerImage


def laplace_nll(error: Float[Tensor, "*size"], log_sigma: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """|error| / sigma + log sigma."""
    return error.abs() * torch.exp(-log_sigma) + log_sigma


@loss_term
def depth_uncertainty(inputs: LossInputs) -> PerImage:
    """Of the errors of normalised inverse depth; 0 for an ordinal scene and early in training."""
    weight = inputs.batch.weight
    predicted, _ = normalise(known(inputs.maps.inv_depth).detach(), weight, floor=1e-3)
    truth, _ = normalise(inputs.inv_depth, weight, floor=1e-3)
    nll = laplace_nll(predicted - truth, known(inputs.maps.inv_depth_log_sigma))
    return masked_mean(nll, weight) * inputs.metric * inputs.depth_factor * _late(inputs)


@loss_term
def defocus_uncertainty(inputs: LossInputs) -> PerImage:
    """Of the errors of the square root of the CoC in pixels; 0 early in training."""
    truth = inputs.signed_px.abs().clamp(max=inputs.cap_px).sqrt()
    nll = laplace_nll(known(inputs.maps.defocus_px).detach().sqrt() - truth, known(inputs.maps.defocus_log_sigma))
    weight, share = certain(inputs)
    return share * masked_mean(nll, weight) * _late(inputs)


@loss_term
def camera(inputs: LossInputs) -> PerImage:
    """Of field of view and median depth, where they are known."""
    values, log_sigma = known(inputs.maps.camera).chunk(2, dim=1)
    truth = inputs.batch.camera
    there = torch.isfinite(truth)
    nll = laplace_nll(values - torch.nan_to_num(truth), log_sigma.clamp(-3.0, 3.0))
    return (nll * there).sum(dim=1)


def _late(inputs: LossInputs) -> float:
    return float(inputs.progress >= inputs.config.uncertainty_from)

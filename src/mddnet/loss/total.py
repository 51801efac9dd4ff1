"""The weighted sum of the losses of one batch."""

from __future__ import annotations

import torch
from torch import Tensor

from mddnet.config import LossConfig
from mddnet.data.batch import Batch
from mddnet.loss.defocus import coc_gradient, coc_l1, sign_cross_entropy
from mddnet.loss.depth import gradient_matching, ranking, scale_shift_invariant_l1
from mddnet.loss.distil import Told, distilled_features, distilled_sign
from mddnet.loss.lens_law import lens_law_l1
from mddnet.model.network import Maps


def total_loss(
    maps: Maps,
    batch: Batch,
    config: LossConfig,
    cap_px: float,
    generator: torch.Generator,
    told: Told | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum the losses that the maps and the recipe allow.

    Args:
        maps: output of the network.
        batch: the sets.
        config: weight of each term.
        cap_px: CoC cap of the network.
        generator: source of the random pairs of the ranking loss.
        told: what a teacher says of the same images, for the terms that distil.

    Returns:
        The total (a scalar with gradient) and each term's unweighted mean (detached).
    """
    truth = torch.nan_to_num(batch.inv_depth)
    signed_px = torch.nan_to_num(batch.signed_defocus_px)
    metric = (~batch.ordinal).to(truth)  # (B,): of an ordinal scene only the order is a truth
    layout = torch.where(batch.made_up, config.made_up_depth, 1.0)  # (B,)
    terms: dict[str, Tensor] = {}
    if maps.inv_depth is not None:
        terms["depth"] = (scale_shift_invariant_l1(maps.inv_depth, truth, batch.weight) * metric * layout).mean()
        terms["depth_gradient"] = (gradient_matching(maps.inv_depth, truth, batch.weight) * metric * layout).mean()
        terms["ranking"] = (ranking(maps.inv_depth, truth, batch.weight, generator) * layout).mean()
    if maps.defocus_px is not None:
        terms["defocus"] = coc_l1(maps.defocus_px, signed_px.abs(), batch.weight, cap_px).mean()
        terms["defocus_gradient"] = coc_gradient(maps.defocus_px, signed_px.abs(), batch.weight, cap_px).mean()
    if maps.sign_logit is not None:
        terms["sign"] = sign_cross_entropy(maps.sign_logit, signed_px, batch.weight).mean()
    if maps.cue_sign_logit is not None:
        terms["cue_sign"] = sign_cross_entropy(maps.cue_sign_logit, signed_px, batch.weight).mean()
    if maps.inv_depth is not None and maps.defocus_px is not None:
        law = lens_law_l1(maps.inv_depth, maps.defocus_px, truth, batch.u_focus, batch.kappa_px, batch.weight, cap_px)
        terms["lens_law"] = (law * metric).mean()
    if told is not None and maps.sign_logit is not None and config.distil_sign > 0:
        terms["distil_sign"] = distilled_sign(maps.sign_logit, told.sign_logit).mean()
    if told is not None and config.distil_features > 0:
        terms["distil_features"] = distilled_features(told.features, told.teacher_features).mean()
    total = torch.stack([getattr(config, name) * value for name, value in terms.items()]).sum()
    return total, {name: value.detach() for name, value in terms.items()}

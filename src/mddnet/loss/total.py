"""The weighted sum of the losses of one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mddnet.config import LossConfig
from mddnet.data.batch import Batch
from mddnet.loss.registry import LossInputs, loss_terms
from mddnet.model.network import Maps

if TYPE_CHECKING:
    from jaxtyping import Float


def total_loss(
    maps: Maps, batch: Batch, config: LossConfig, cap_px: float, generator: torch.Generator, progress: float = 1.0
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """Sum the terms whose maps the network has; for the arguments, see :class:`LossInputs`.

    Returns:
        The total (a scalar with gradient) and the unweighted mean of each term (detached).
    """
    truth, signed_px = torch.nan_to_num(batch.inv_depth), torch.nan_to_num(batch.signed_defocus_px)
    inputs = LossInputs(maps, batch, config, cap_px, progress, generator, truth, signed_px)
    functions = loss_terms()
    terms = {
        name: functions[name](inputs).mean()
        for name, needs in config.needs().items()
        if all(getattr(maps, need) is not None for need in needs)
    }
    total = torch.stack([getattr(config, name) * value for name, value in terms.items()]).sum()
    return total, {name: value.detach() for name, value in terms.items()}

"""The optimiser, its schedule, and the moving average of the weights."""

from __future__ import annotations

import torch
from timm.scheduler import CosineLRScheduler, StepLRScheduler
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3
from torch import nn

from mddnet.config import OptimConfig
from mddnet.model.network import MDDNet

WARMUP_POWER = 0.75
"""The decay of the moving average is at most 1 - n^-0.75 after n steps, so that early weights decay fast."""


def build_optimiser(network: MDDNet, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019) with another learning rate for the encoder, no decay of biases and norms."""
    if config.encoder_lr == 0:
        network.encoder.requires_grad_(False)
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith("encoder."), parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": config.encoder_lr if in_encoder else config.lr,
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (in_encoder, decays), parameters in sorted(groups.items())
        ]
    )


def build_schedule(optimiser: torch.optim.Optimizer, config: OptimConfig) -> Scheduler:
    """Linear warm-up, then half a cosine towards 0 or a constant: ``step_update(n)`` sets the rate of step n.

    The rate depends on n alone, counted from 1, so that it needs no state in a checkpoint.
    """
    warmup = {"warmup_t": config.warmup_steps, "warmup_lr_init": 0.0, "t_in_epochs": False}
    if config.schedule == "constant":
        return StepLRScheduler(optimiser, decay_t=1, decay_rate=1.0, **warmup)
    length = config.steps - config.warmup_steps + 1
    return CosineLRScheduler(optimiser, t_initial=length, warmup_prefix=True, **warmup)


def moving_average(network: MDDNet, config: OptimConfig) -> ModelEmaV3:
    """Exponential moving average of weights and running statistics; ``update(network, n)`` after the n-th step."""
    return ModelEmaV3(network, decay=config.ema, use_warmup=True, warmup_power=WARMUP_POWER)

"""The optimiser, its schedule, and the moving average of the weights."""

from __future__ import annotations

import math

import torch
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


def set_learning_rates(optimiser: torch.optim.Optimizer, config: OptimConfig, step: int) -> None:
    """Set the learning rates for a step, counted from 1. They depend on the step alone: a checkpoint needs no state."""
    share = learning_rate_share(config, step)
    for group in optimiser.param_groups:
        group["lr"] = group.setdefault("peak_lr", group["lr"]) * share


def learning_rate_share(config: OptimConfig, step: int) -> float:
    """Learning rate of a step, counted from 1, as a share of its peak: linear warm-up, then by ``schedule``."""
    if step < config.warmup_steps:
        return step / config.warmup_steps
    left = config.steps + 1 - step  # steps to go, with this one
    match config.schedule:
        case "constant":
            return 1.0
        case "cosine":
            return 0.5 + 0.5 * math.cos(math.pi * (1 - left / (config.steps + 1 - config.warmup_steps)))
        case "linear_decay":
            return min(1.0, left / max(1.0, config.decay_share * config.steps))


def moving_average(network: MDDNet, config: OptimConfig) -> ModelEmaV3:
    """Exponential moving average of weights and running statistics; ``update(network, n)`` after the n-th step."""
    return ModelEmaV3(network, decay=config.ema, use_warmup=True, warmup_power=WARMUP_POWER)

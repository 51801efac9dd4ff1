"""The optimiser, its schedule, and the moving average of the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mddnet.config import OptimConfig
from mddnet.model.network import MDDNet


def build_optimiser(network: MDDNet, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019) with the encoder's own learning rate and no decay of biases and norms."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        in_encoder = name.startswith("encoder.")
        if in_encoder and config.encoder_lr == 0:
            parameter.requires_grad_(False)
            continue
        groups.setdefault((in_encoder, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": config.encoder_lr if in_encoder else config.lr,
                "peak_lr": config.encoder_lr if in_encoder else config.lr,
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (in_encoder, decays), parameters in sorted(groups.items())
        ]
    )


def schedule_factor(step: int, config: OptimConfig) -> float:
    """Learning rate over its peak: linear warm-up, then a half cosine to 0 or a constant."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


def set_learning_rate(optimiser: torch.optim.Optimizer, step: int, config: OptimConfig) -> None:
    """Set every group's rate for this step."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak_lr"] * schedule_factor(step, config)


class MovingAverage:
    """Exponential moving average of the weights and the running statistics (Polyak averaging).

    The decay is lower at the start, (1 + step) / (10 + step), so that the first weights are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state: dict[str, Tensor] = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after step ``step``."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            held = self.state[name]
            if held.is_floating_point():
                held.lerp_(value.detach(), 1.0 - decay)
            else:
                held.copy_(value)

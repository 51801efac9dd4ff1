"""Training by several processes, on one machine or on many: each has its share of every batch, and all agree.

Every process takes ``data.batch_size`` crops per step, so P processes together make batches of P times that. Gradients
are averaged over them (PyTorch's DistributedDataParallel, started by Lightning Fabric), and batch normalisation takes
its statistics over all of them, so that P processes compute what one would with the large batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from mddnet.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Processes:
    """How many processes train.

    Attributes:
        devices: processes on each machine, one per GPU where there are GPUs.
        nodes: machines.
    """

    devices: int = 1
    nodes: int = 1


ONE_PROCESS = Processes()


def processes_of(environment: Mapping[str, str], devices: int | None = None, nodes: int | None = None) -> Processes:
    """The number of processes that was asked for, or else that a launcher has started.

    Args:
        environment: variables of the environment, where torchrun (``WORLD_SIZE``) and SLURM (``SLURM_NTASKS``) say it.
        devices: processes on each machine, or None.
        nodes: machines, or None.

    Raises:
        TrainingError: if a variable is no number, or what was asked for is not what was started.
    """
    if "TORCHELASTIC_RUN_ID" in environment:
        here = _number(environment, "LOCAL_WORLD_SIZE")
        found = Processes(here, _number(environment, "WORLD_SIZE") // here)
    elif "SLURM_NTASKS" in environment and "SLURM_PROCID" in environment:
        machines = _number(environment, "SLURM_NNODES")
        found = Processes(_number(environment, "SLURM_NTASKS") // machines, machines)
    else:
        return Processes(devices or 1, nodes or 1)
    if (devices or found.devices, nodes or found.nodes) != (found.devices, found.nodes):
        raise TrainingError(
            f"--devices {devices or found.devices} --nodes {nodes or found.nodes}, but the launcher started "
            f"{found.devices} processes on each of {found.nodes} machines; leave the two flags out"
        )
    return found


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not text.isdecimal() or int(text) < 1:
        raise TrainingError(f"{name} is {text!r} in the environment; expected a number, as torchrun and srun set it")
    return int(text)


def start_processes(accelerator: str, precision: str, processes: Processes) -> Fabric:
    """Start the other processes of this machine, unless a launcher did, and join them all.

    Args:
        accelerator: what to compute on, as Lightning Fabric names it.
        precision: number format, as Lightning Fabric names it.
        processes: how many.
    """
    several = processes.devices * processes.nodes > 1
    fabric = Fabric(
        accelerator=accelerator,
        devices=processes.devices,
        num_nodes=processes.nodes,
        precision=precision,  # type: ignore[arg-type]
        strategy="ddp" if several else "auto",
    )
    if several:
        try:
            fabric.launch()
        except (RuntimeError, ValueError) as error:
            raise TrainingError(
                f"{processes.devices} processes on each of {processes.nodes} machines: {error}; docs/large-scale.md "
                "has the lines that start them"
            ) from error
    return fabric


def is_first_process() -> bool:
    """Whether this is the process that measures and writes; so it is where there is only one."""
    return not dist.is_initialized() or dist.get_rank() == 0


class NormOverProcesses(nn.BatchNorm2d):
    """Batch normalisation whose statistics are taken over the batches of all processes.

    PyTorch's own (``SyncBatchNorm``) computes on GPUs only. Mean and variance are means over processes of equal
    batches, and gradients flow back through them to every process.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        count = dist.get_world_size() if dist.is_initialized() else 1
        if not self.training or count == 1:
            return super().forward(input)
        mean = all_reduce(input.mean((0, 2, 3))) / count
        centred = input - mean.view(1, -1, 1, 1)
        variance = all_reduce((centred * centred).mean((0, 2, 3))) / count
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            assert self.num_batches_tracked is not None and self.momentum is not None
            number = count * input.numel() // input.shape[1]
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (number / max(number - 1, 1)), self.momentum)
            self.num_batches_tracked.add_(1)
        normalised = centred * torch.rsqrt(variance + self.eps).view(1, -1, 1, 1)
        return torch.addcmul(self.bias.view(1, -1, 1, 1), normalised, self.weight.view(1, -1, 1, 1))


def normalise_over_processes(network: nn.Module) -> None:
    """Let batch normalisation take its statistics over all processes, in place; weights and names stay."""
    for name, child in network.named_children():
        if type(child) is nn.BatchNorm2d:
            norm = NormOverProcesses(child.num_features, child.eps, child.momentum)
            norm.load_state_dict(child.state_dict())
            for old, new in zip(child.parameters(), norm.parameters(), strict=True):
                new.requires_grad_(old.requires_grad)
            setattr(network, name, norm.train(child.training))
        else:
            normalise_over_processes(child)

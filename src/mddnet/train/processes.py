"""Data-parallel training by several processes on one or more machines.

Every process takes ``data.batch_size`` crops per step, so P processes have batches of P times that size. Gradients are
averaged over processes (PyTorch's DistributedDataParallel, started by Lightning Fabric), and so are the statistics of
batch normalisation, so that the result is that of one process with the large batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from mddnet.errors import TrainingError


class Processes(NamedTuple):
    """Number of processes."""

    devices: int = 1  # processes per machine, one per GPU if there are GPUs
    nodes: int = 1  # machines


ONE_PROCESS = Processes()


def processes_of(environment: Mapping[str, str], devices: int | None = None, nodes: int | None = None) -> Processes:
    """The requested number of processes, or that of a launcher: torchrun or SLURM, by environment variables.

    TrainingError if a variable is not a number, or the launcher started another number than requested.
    """
    if "TORCHELASTIC_RUN_ID" in environment:
        here = _number(environment, "LOCAL_WORLD_SIZE")
        found = Processes(here, _number(environment, "WORLD_SIZE") // here)
    elif "SLURM_NTASKS" in environment and "SLURM_PROCID" in environment:
        machines = _number(environment, "SLURM_NNODES")
        found = Processes(_number(environment, "SLURM_NTASKS") // machines, machines)
    else:
        return Processes(devices or 1, nodes or 1)
    requested = Processes(devices or found.devices, nodes or found.nodes)
    if requested != found:
        raise TrainingError(
            f"--devices {requested.devices} --nodes {requested.nodes}, but the launcher started {found.devices} "
            f"processes on each of {found.nodes} machines; omit the two flags"
        )
    return found


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not text.isdecimal() or int(text) < 1:
        raise TrainingError(f"{name} is {text!r} in the environment; expected a number, as torchrun and srun set it")
    return int(text)


def start_processes(accelerator: str, precision: str, processes: Processes) -> Fabric:
    """Start the other processes of this machine, unless a launcher did, and connect all of them.

    Accelerator and precision are named as in Lightning Fabric.
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
                f"{processes.devices} processes on each of {processes.nodes} machines: {error}; "
                "see docs/large-scale.md for the commands that start them"
            ) from error
    return fabric


def is_first_process() -> bool:
    """Whether this is the process that validates and writes, or the only one."""
    return not dist.is_initialized() or dist.get_rank() == 0


OWN_BATCH = 8
"""With at least so many crops per process, batch normalisation is not synchronised: no process waits for another."""


class NormOverProcesses(nn.BatchNorm2d):
    """Batch normalisation with statistics over the batches of all processes.

    PyTorch's ``SyncBatchNorm`` supports GPUs only. Mean and variance are averaged over processes with batches of the
    same size, and gradients flow back to every process.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        count = dist.get_world_size() if dist.is_initialized() else 1
        if not self.training or count == 1:
            return super().forward(input)
        mean = all_reduce(input.mean((0, 2, 3))) / count  # type: ignore[no-untyped-call]
        centred = input - mean.view(1, -1, 1, 1)
        variance = all_reduce((centred * centred).mean((0, 2, 3))) / count  # type: ignore[no-untyped-call]
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
    """Turn batch normalisation into :class:`NormOverProcesses`, in place; weights and names stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = NormOverProcesses

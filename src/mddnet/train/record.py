"""The checkpoint of a run, and exclusive access to its folder.

A checkpoint is one safetensors file, written to a temporary file and renamed, so that there is a valid one at any time.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mddnet.errors import ModelError
from mddnet.io.atomic import atomic_write
from mddnet.io.folder_lock import FolderLock
from mddnet.io.part_file import remove_abandoned, writing_into

CHECKPOINT = "checkpoint.safetensors"
SCORED = ("depth_ordinal", "depth_ordinal_rotated", "defocus_ordinal", "sign")
"""Measures in [0, 1] of held-out locations whose mean is the score of early stopping."""


@dataclass(slots=True)
class EarlyStopping:
    """Keeps the best weights, and stops after ``patience`` validations in a row without improvement."""

    patience: int  # 0 disables both
    score: float = -math.inf  # the best one
    step: int = 0  # of the best weights
    waited: int = 0  # validations since
    state: dict[str, Tensor] = field(default_factory=dict)  # the best weights, empty before the first validation

    def measured(self, step: int, numbers: Mapping[str, float], state: Mapping[str, Tensor]) -> None:
        """Record a validation of the weights ``state`` after ``step`` steps; one without a score is ignored."""
        scores = [numbers[name] for name in SCORED if name in numbers]
        if not self.patience or not scores:
            return
        score = sum(scores) / len(scores)
        if score > self.score:
            self.score, self.step, self.waited = score, step, 0
            self.state = {name: value.detach().clone() for name, value in state.items()}
        else:
            self.waited += 1

    @property
    def stop(self) -> bool:
        """Whether to stop training."""
        return self.patience > 0 and self.waited >= self.patience

    def to_json(self) -> list[float]:
        """All but the weights; empty before the first validation."""
        return [self.score, self.step, self.waited] if self.state else []

    def restore(self, numbers: list[float], state: Mapping[str, Tensor]) -> None:
        """Restore the state of :meth:`to_json` and the weights."""
        if self.patience and numbers:
            self.score, self.step, self.waited = float(numbers[0]), int(numbers[1]), int(numbers[2])
            self.state = dict(state)


@dataclass(slots=True)
class RunState:
    """The complete mutable state of a run."""

    network: nn.Module
    average: nn.Module  # the network with the moving average of its weights
    optimiser: torch.optim.Optimizer
    stopping: EarlyStopping
    step: int = 0  # finished steps
    losses: dict[str, list[float]] = field(default_factory=dict)  # of each term in the steps since the last line logged
    measured: dict[str, float] = field(default_factory=dict)  # validation results since then


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The checkpoint file of a run."""

    path: Path
    config_hash: str  # of the recipe
    setup: str  # what the order of the data depends on besides the recipe, such as the number of processes

    def save(self, state: RunState) -> None:
        """Write the state."""
        tensors = {f"network.{name}": value.detach() for name, value in state.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in state.average.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in state.stopping.state.items()}
        for index, slots in state.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{slot}": value for slot, value in slots.items()}
        metadata = {
            "step": str(state.step),
            "config_hash": self.config_hash,
            "setup": self.setup,
            "stopping": json.dumps(state.stopping.to_json()),
            "since_log": json.dumps([state.losses, state.measured]),
        }
        content = save({name: value.contiguous() for name, value in tensors.items()}, metadata)
        atomic_write(self.path, lambda stream: stream.write(content), durable=True)

    def restore(self, state: RunState) -> None:
        """Restore a state; without a checkpoint it is not changed.

        ModelError if the checkpoint is damaged, or belongs to another recipe or setup.
        """
        if not self.path.exists():
            return
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{self.path}: not a readable checkpoint ({error}); remove it to restart the run"
            ) from error
        if metadata.get("config_hash") != self.config_hash:
            raise ModelError(
                f"{self.path}: made by another recipe ({metadata.get('config_hash')}, now {self.config_hash}); "
                "choose another train.out, or remove the folder to restart"
            )
        if metadata["setup"] != self.setup:
            raise ModelError(
                f"{self.path}: made by {metadata['setup']}, now {self.setup}; resume with the same, so that every "
                "sample is still used equally often, or remove the folder to restart"
            )
        state.network.load_state_dict(_below("network.", tensors), strict=True)
        state.average.load_state_dict(_below("average.", tensors), strict=True)
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimiser.", tensors).items():
            index, slot = name.split(".", 1)
            slots.setdefault(int(index), {})[slot] = value
        groups = state.optimiser.state_dict()["param_groups"]
        state.optimiser.load_state_dict({"state": slots, "param_groups": groups})
        state.stopping.restore(json.loads(metadata["stopping"]), _below("best.", tensors))
        state.losses, state.measured = json.loads(metadata["since_log"])
        state.step = int(metadata["step"])


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


@contextmanager
def run_folder(out: Path) -> Iterator[None]:
    """Lock the folder of a run: create it if it is missing, and remove leftovers of a killed run.

    Does nothing when nested, and in all but the first process of a run. OutputError if another run writes there, or it
    cannot be written.
    """
    key = out.resolve(), threading.get_ident()
    if key in _entered or any(os.environ.get(rank, "0") != "0" for rank in _RANKS):
        yield
        return
    with writing_into(out):
        out.mkdir(parents=True, exist_ok=True)
        with FolderLock(out, "train"):
            for folder in (out, out / "model"):
                remove_abandoned(folder)
            _entered.add(key)
            try:
                yield
            finally:
                _entered.discard(key)


_entered: set[tuple[Path, int]] = set()
_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
"""Environment variables with the number of this process; all are 0 in the first."""

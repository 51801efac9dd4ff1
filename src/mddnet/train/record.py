"""The record of a run on disk: checkpoints to resume from, and the log.

A checkpoint is one safetensors file, written aside and renamed, so that at any moment either the old one or the new
one is whole.
"""

from __future__ import annotations

import csv
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mddnet.errors import ModelError
from mddnet.io.atomic import atomic_write, write_csv
from mddnet.io.folder_lock import FolderLock
from mddnet.io.part_file import remove_abandoned, writing_into
from mddnet.train.early_stopping import EarlyStopping
from mddnet.train.optim import MovingAverage

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.csv"


def save_checkpoint(
    folder: Path,
    step: int,
    config_hash: str,
    setup: str,
    network: torch.nn.Module,
    average: MovingAverage,
    optimiser: torch.optim.Optimizer,
    stopping: EarlyStopping,
    since_log: SinceLog,
) -> None:
    """Write all that a run needs to go on after ``step`` finished steps."""
    tensors: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        tensors[f"network.{name}"] = value.detach().contiguous()
    for name, value in average.state.items():
        tensors[f"average.{name}"] = value.contiguous()
    for index, slots in optimiser.state_dict()["state"].items():
        for slot, value in slots.items():
            tensors[f"optimiser.{index}.{slot}"] = value.contiguous()
    for name, value in stopping.state.items():
        tensors[f"best.{name}"] = value.contiguous()
    metadata = {
        "step": str(step),
        "config_hash": config_hash,
        "setup": setup,
        **stopping.to_metadata(),
        **since_log.to_metadata(),
    }
    atomic_write(folder / CHECKPOINT, lambda stream: stream.write(save(tensors, metadata)), durable=True)


def load_checkpoint(
    folder: Path,
    config_hash: str,
    setup: str,
    network: torch.nn.Module,
    average: MovingAverage,
    optimiser: torch.optim.Optimizer,
    stopping: EarlyStopping,
    since_log: SinceLog,
) -> int:
    """Restore a run and return the number of its finished steps; 0 if the folder holds no checkpoint.

    Args:
        folder: of the run.
        config_hash: of its recipe.
        setup: what the order of its data follows from beside the recipe, such as the number of processes.
        network: takes the weights.
        average: takes their moving average.
        optimiser: takes its own state.
        stopping: takes what was measured.
        since_log: takes what the next line of the log is about.

    Raises:
        ModelError: if the checkpoint is damaged, or belongs to another recipe or setup.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a readable checkpoint ({error}); remove it to start the run anew") from error
    if metadata.get("config_hash") != config_hash:
        raise ModelError(
            f"{path}: made by another recipe ({metadata.get('config_hash')}, now {config_hash}); "
            "choose another train.out, or remove the folder to start anew"
        )
    before = metadata.get("setup", "1 process")
    if before != setup:
        raise ModelError(
            f"{path}: made by {before}, now {setup}; go on with the same, so that every set still comes as often as "
            "any other, or remove the folder to start anew"
        )
    network.load_state_dict(_below("network.", tensors), strict=True)
    for name, value in _below("average.", tensors).items():
        average.state[name].copy_(value)
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _below("optimiser.", tensors).items():
        index, slot = name.split(".", 1)
        state.setdefault(int(index), {})[slot] = value
    stopping.restore(metadata, _below("best.", tensors))
    since_log.restore(metadata)
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(metadata["step"])


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


@dataclass(slots=True)
class SinceLog:
    """What happened since the last line of the log and goes into the next, whichever process writes that.

    Attributes:
        losses: values of each term of the loss, one per step.
        measured: what was measured on held-out places.
    """

    losses: dict[str, list[float]] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget it: it has been logged."""
        self.losses, self.measured = {}, {}

    def to_metadata(self) -> dict[str, str]:
        """As the strings that a safetensors file takes."""
        return {"since_log": json.dumps({"losses": self.losses, "measured": self.measured})}

    def restore(self, metadata: Mapping[str, str]) -> None:
        """Go on from :meth:`to_metadata`; a checkpoint of an earlier version says nothing."""
        found = json.loads(metadata.get("since_log", "{}"))
        self.losses, self.measured = dict(found.get("losses", {})), dict(found.get("measured", {}))


@contextmanager
def run_folder(out: Path) -> Iterator[None]:
    """The folder of a run, which this process alone writes: made if it is missing, rid of what a killed run left.

    Entered again inside, it does nothing; so it does in the other processes of a run of several.

    Raises:
        OutputError: if another run writes there, or it cannot be written.
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
"""Variables in which a launcher says which process of a run this is; the first is 0 in all of them."""


class TrainLog:
    """One CSV line per logged step, kept consistent with the checkpoint when a run resumes."""

    def __init__(self, folder: Path, resumed_step: int) -> None:
        self.path = folder / LOG
        kept: list[dict[str, str]] = []
        if self.path.exists() and resumed_step > 0:
            with self.path.open(newline="") as file:
                kept = [row for row in csv.DictReader(file) if int(row["step"]) <= resumed_step]
        self._rows: list[dict[str, str]] = kept
        self._rewrite()

    def _rewrite(self) -> None:
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        write_csv(self.path, columns, self._rows)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add a line."""
        self._rows.append({"step": str(step), **{name: f"{value:.6g}" for name, value in values.items()}})
        self._rewrite()

"""Write trained weights: ``model.safetensors`` and ``config.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from mddnet.config import Recipe
from mddnet.io.atomic import atomic_write, atomic_write_text
from mddnet.model.folder import CONFIG_FILE, CONVENTIONS, MODEL_FORMAT, WEIGHTS_FILE
from mddnet.model.network import INPUT_MULTIPLE
from mddnet.version import __version__

INPUT_LONG_SIDE = 512
SMALLEST_HALF = 64
"""Tensors with fewer values stay float32: they take little space, and scales and shifts need the precision."""


def save_weights(folder: Path, recipe: Recipe, state: Mapping[str, Tensor], steps: int, half: bool = False) -> None:
    """Write a model folder for further training, evaluation and export.

    ``state`` is the state dict of a network after so many ``steps``; with ``half``, it is stored as float16.
    """
    write_weights(folder, state, half)
    config = {
        "format": MODEL_FORMAT,
        "conventions": CONVENTIONS,
        "name": recipe.name,
        "version": __version__,
        "input": {"long_side": INPUT_LONG_SIDE, "multiple": INPUT_MULTIPLE},
        "defocus_cap_px": recipe.model.defocus_cap_px,
        "network": recipe.model.model_dump(mode="json"),
        "recipe": recipe.config_hash,
        "steps": steps,
    }
    write_config(folder, config)


def write_weights(folder: Path, state: Mapping[str, Tensor], half: bool) -> None:
    """Write ``model.safetensors`` of a model folder; with ``half``, large tensors as float16."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (value.half() if half and value.is_floating_point() and value.numel() >= SMALLEST_HALF else value)
        for name, value in state.items()
    }
    tensors = {name: value.cpu().contiguous() for name, value in tensors.items()}
    atomic_write(folder / WEIGHTS_FILE, lambda stream: stream.write(save(tensors)))


def write_config(folder: Path, config: Mapping[str, object]) -> None:
    """Write ``config.json`` of a model folder."""
    atomic_write_text(folder / CONFIG_FILE, json.dumps(config, indent=1) + "\n")

"""Trained weights on disk: ``model.safetensors`` and ``config.json``, loaded strictly."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from mddnet.config import ModelConfig, Recipe
from mddnet.errors import ModelError
from mddnet.io.atomic import atomic_write, atomic_write_text
from mddnet.model.folder import (
    CONFIG_FILE,
    CONVENTIONS,
    MODEL_FORMAT,
    WEIGHTS_FILE,
    model_folder,
    read_config,
    shipped_root,
)
from mddnet.model.network import INPUT_MULTIPLE, MDDNet
from mddnet.version import __version__

INPUT_LONG_SIDE = 512


def save_weights(folder: Path, recipe: Recipe, state: Mapping[str, Tensor], steps: int, half: bool = False) -> None:
    """Write a model folder from which training, evaluation and export go on.

    Args:
        folder: target folder, made if absent.
        recipe: the recipe that the weights come from.
        state: state dict of the network.
        steps: training steps behind the weights.
        half: store the weights as float16 (they are computed with in float32 all the same).
    """
    write_weights(folder, state, half)
    config = {
        "format": MODEL_FORMAT,
        "conventions": CONVENTIONS,
        "name": recipe.name,
        "version": __version__,
        "input": {"long_side": INPUT_LONG_SIDE, "multiple": INPUT_MULTIPLE},
        "defocus_cap_px": recipe.model.largest_defocus_px,
        "network": recipe.model.model_dump(mode="json"),
        "recipe": recipe.config_hash,
        "steps": steps,
    }
    write_config(folder, config)


def write_weights(folder: Path, state: Mapping[str, Tensor], half: bool) -> None:
    """Write ``model.safetensors`` of a model folder, made if absent; as float16 where ``half``."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (value.half() if half and value.is_floating_point() else value).cpu().contiguous()
        for name, value in state.items()
    }
    atomic_write(folder / WEIGHTS_FILE, lambda stream: stream.write(save(tensors)))


def write_config(folder: Path, config: Mapping[str, object]) -> None:
    """Write ``config.json`` of a model folder."""
    text = json.dumps(config, indent=1) + "\n"
    atomic_write_text(folder / CONFIG_FILE, text)


def load_network(reference: str | os.PathLike[str]) -> MDDNet:
    """The network of a model, in evaluation mode, float32.

    Args:
        reference: a shipped name, a folder, a ``.zip`` or ``hf://owner/name``, as for ``mddnet.load``.

    Raises:
        ModelError: if there is no such model, a file is missing or damaged, it is of another version of the format, or
            the weights are not exactly those that the configuration asks for.
    """
    folder = model_folder(reference, weights=True)
    config = read_config(folder)
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        way_out = (
            "install mddnet from a checkout"
            if folder.parent == shipped_root()
            else "take the folder that mddnet train wrote"
        )
        raise ModelError(f"{weights}: no such file, and only {WEIGHTS_FILE} has weights to go on from: {way_out}")
    try:
        network_config = ModelConfig.model_validate({**config["network"], "pretrained": False})
        tensors = load_file(weights)
    except (OSError, ValueError, KeyError, TypeError, ValidationError, SafetensorError) as error:
        raise ModelError(f"{folder}: not a readable model ({error}); expected what mddnet train writes") from error
    network = MDDNet(network_config)
    try:
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}, strict=True)
    except RuntimeError as error:
        raise ModelError(f"{weights}: weights do not fit {CONFIG_FILE} ({error})") from error
    return network.eval()

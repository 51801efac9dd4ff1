"""Trained weights on disk: ``model.safetensors`` and ``config.json``, loaded strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from mddnet.config import ModelConfig, Recipe
from mddnet.errors import ModelError
from mddnet.model.network import INPUT_MULTIPLE, MDDNet
from mddnet.sets.store import atomic_write
from mddnet.version import __version__

MODEL_FORMAT = 1
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
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (value.half() if half and value.is_floating_point() else value).cpu().contiguous()
        for name, value in state.items()
    }
    atomic_write(folder / "model.safetensors", lambda stream: stream.write(save(tensors)))
    config = {
        "format": MODEL_FORMAT,
        "name": recipe.name,
        "version": __version__,
        "input": {"long_side": INPUT_LONG_SIDE, "multiple": INPUT_MULTIPLE},
        "defocus_cap_px": recipe.model.largest_defocus_px,
        "network": recipe.model.model_dump(mode="json"),
        "recipe": recipe.config_hash,
        "steps": steps,
    }
    write_config(folder, config)


def write_config(folder: Path, config: Mapping[str, object]) -> None:
    """Write ``config.json`` of a model folder."""
    text = json.dumps(config, indent=1) + "\n"
    atomic_write(folder / "config.json", lambda stream: stream.write(text.encode()))


def load_network(folder: Path) -> MDDNet:
    """The network of a model folder, in evaluation mode, float32.

    Raises:
        ModelError: if a file is missing or damaged, or the weights are not those of the configuration.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        network_config = ModelConfig.model_validate({**config["network"], "pretrained": False})
        if config["format"] != MODEL_FORMAT:
            raise ModelError(
                f"{folder / 'config.json'}: format {config['format']!r}; this version reads {MODEL_FORMAT}: "
                "install the version named in its field 'version', or export the model again"
            )
        tensors = load_file(folder / "model.safetensors")
    except (OSError, ValueError, KeyError, TypeError, ValidationError, SafetensorError) as error:
        raise ModelError(f"{folder}: not a readable model ({error}); expected what mddnet train writes") from error
    network = MDDNet(network_config)
    try:
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}, strict=True)
    except RuntimeError as error:
        raise ModelError(f"{folder / 'model.safetensors'}: weights do not fit config.json ({error})") from error
    return network.eval()

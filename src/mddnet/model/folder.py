"""Find a model by name, path or hub id, and read its configuration: a folder or one .zip with fixed file names.

This module is used for prediction too, so it does not import PyTorch.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from mddnet.errors import ModelError
from mddnet.io.json_fields import display, read_json_object
from mddnet.model.archive import unpacked
from mddnet.model.hub import HUB_PREFIX, hub_folder
from mddnet.version import __version__

MODEL_FORMAT = 2
"""Layout of the folder, fields of its configuration, outputs of its graph. Format 1 had a network of two passes."""
CONVENTIONS = 1  # version of the units and signs of inputs and outputs, defined in CONVENTIONS.md
CONFIG_FILE = "config.json"
GRAPH_FILE = "model.onnx"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "card.md"
MODEL_FILES = (CONFIG_FILE, CARD_FILE, GRAPH_FILE, WEIGHTS_FILE)
"""The files of a model. Other files in the folder are ignored, and are not unpacked from an archive."""
NO_WEIGHTS = (CONFIG_FILE, CARD_FILE, GRAPH_FILE)


def shipped_models() -> list[str]:
    """Names of the models in the package."""
    root = shipped_root()
    return sorted(folder.name for folder in root.iterdir() if (folder / CONFIG_FILE).is_file()) if root.is_dir() else []


def shipped_root() -> Path:
    """Folder of the models in the package."""
    return Path(str(files("mddnet"))) / "models"


def model_folder(reference: str | os.PathLike[str], *, weights: bool = False) -> Path:
    """Find the folder of a model; its content is not checked.

    Args:
        reference: name of a shipped model; a folder, or a file in it; a ``.zip``, which is unpacked until the program
            ends; or ``hf://owner/name`` (``hf://owner/name@revision``), which is downloaded once and cached.
        weights: whether to download the training weights of a model on the hub as well.

    ModelError if there is no such model, or it cannot be downloaded or unpacked.
    """
    known = shipped_models()
    if reference in known:
        return shipped_root() / str(reference)
    if isinstance(reference, str) and reference.startswith(HUB_PREFIX):
        return hub_folder(reference, MODEL_FILES if weights else NO_WEIGHTS)
    path = Path(reference)
    if path.is_file():
        return unpacked(path, MODEL_FILES) if path.suffix.lower() == ".zip" else path.parent
    if path.is_dir():
        return path
    names = ", ".join(known) or "none"
    raise ModelError(
        f"{os.fspath(reference)}: no such model; expected a shipped model ({names}) or a folder with {CONFIG_FILE} "
        f"and {GRAPH_FILE}, a .zip of one, or {HUB_PREFIX}OWNER/NAME"
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Read the configuration of a model folder.

    ModelError if it cannot be read, or has another format or other conventions; the message explains whether to upgrade
    mddnet or to export the model again.
    """
    path = folder / CONFIG_FILE
    config = read_json_object(path, remedy(folder), ModelError)
    for name, known, found in (
        ("format", MODEL_FORMAT, config.get("format")),
        ("conventions", CONVENTIONS, config.get("conventions", 1)),
    ):
        if type(found) is int and found == known:
            continue
        made_by = f"made by mddnet {str(config.get('version', 'of an unknown version'))[:40]}"
        if type(found) is int and found > known:
            fix = "pip install --upgrade mddnet, or in a checkout: git pull"
        else:
            fix = "the network has changed: train the model again and export it (mddnet train, mddnet export)"
        raise ModelError(
            f"{path}: {name} {display(found)}, {made_by}; this version of mddnet reads {name} {known} (it is "
            f"{__version__}): {fix}"
        )
    return config


def remedy(folder: Path) -> str:
    """How to fix a folder that lacks a file."""
    if folder.parent == shipped_root():
        return "the installation is damaged: pip install --force-reinstall mddnet, or in a checkout: git restore src"
    return f"expected a folder with {CONFIG_FILE} and {GRAPH_FILE}, as `mddnet export` writes it"

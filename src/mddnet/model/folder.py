"""Where a model lies and what it is made of: a folder or one .zip with fixed file names, found by name, path or hub id.

Nothing here imports PyTorch: prediction finds its models here, too.
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

MODEL_FORMAT = 1
"""Layout of the folder and fields of its configuration."""
CONVENTIONS = 1
"""Units and signs of what the graph takes and gives, as CONVENTIONS.md says them."""
CONFIG_FILE = "config.json"
GRAPH_FILE = "model.onnx"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "card.md"
MODEL_FILES = (CONFIG_FILE, CARD_FILE, GRAPH_FILE, WEIGHTS_FILE)
"""All that a model is made of. Other files beside them are left alone, and are not read out of an archive."""
NO_WEIGHTS = (CONFIG_FILE, CARD_FILE, GRAPH_FILE)


def shipped_models() -> list[str]:
    """Names of the models that lie in the package."""
    root = shipped_root()
    return sorted(folder.name for folder in root.iterdir() if (folder / CONFIG_FILE).is_file()) if root.is_dir() else []


def shipped_root() -> Path:
    """The folder of the models that lie in the package."""
    return Path(str(files("mddnet"))) / "models"


def model_folder(reference: str | os.PathLike[str], *, weights: bool = False) -> Path:
    """The folder of a model; what is in it is not looked at.

    Args:
        reference: name of a shipped model; a folder, or a file in it; a ``.zip``, which is unpacked until the program
            ends; or ``hf://owner/name`` (``hf://owner/name@revision``), which is fetched once and kept.
        weights: whether the weights to train on from are wanted, too: of a hub, what is not wanted is not fetched.

    Raises:
        ModelError: if there is no such model, or it cannot be fetched or unpacked.
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
    """The configuration of a model folder, made for this version of mddnet.

    Raises:
        ModelError: if it cannot be read, or is of another format or of other conventions; the message says whether to
            upgrade mddnet or to export the model again.
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
            way_out = "pip install --upgrade mddnet"
        else:
            way_out = "export the model again with this version (mddnet export)"
        raise ModelError(
            f"{path}: {name} {display(found)}, {made_by}; this version of mddnet reads {name} {known} (it is "
            f"{__version__}): {way_out}"
        )
    return config


def remedy(folder: Path) -> str:
    """What to do about a folder that lacks a file."""
    if folder.parent == shipped_root():
        return "the installation is damaged: pip install --force-reinstall mddnet"
    return f"expected a folder with {CONFIG_FILE} and {GRAPH_FILE}, as `mddnet export` writes it"

"""Model folders: ``config.json`` (what the network takes and gives), ``model.onnx`` and ``card.md``.

The graph's input is ``image``, float32 (B, 3, H, W), sRGB-encoded in [0, 1], H and W multiples of ``input.multiple``.
Its outputs are (B, 1, H, W): ``inv_depth`` in [0, 1], relative, larger is nearer; ``defocus_px`` >= 0, CoC diameter in
pixels of the input; ``sign_logit``, positive behind the plane of focus.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from mddnet.errors import ModelError

MODEL_FORMAT = 1
CONFIG_FILE = "config.json"
GRAPH_FILE = "model.onnx"
INPUT_NAME = "image"
OUTPUT_NAMES = ("inv_depth", "defocus_px", "sign_logit")


@dataclass(frozen=True, slots=True)
class ModelDir:
    """A model folder whose configuration was read.

    Attributes:
        folder: where it lies.
        name: name of the model.
        version: of the configuration, then of the weights: the first 8 hex digits of the graph's SHA-256, as in
            ``0.1.0+1a2b3c4d``.
        long_side: an image is made smaller to at most this many pixels on its long side.
        multiple: both sides of the network's input are multiples of this.
        defocus_cap_px: largest CoC diameter that the network can answer, in pixels of its input.
    """

    folder: Path
    name: str
    version: str
    long_side: int
    multiple: int
    defocus_cap_px: float

    @property
    def graph(self) -> Path:
        """The ONNX file."""
        return self.folder / GRAPH_FILE


def shipped_models() -> list[str]:
    """Names of the models that lie in the package."""
    root = _shipped_root()
    return sorted(folder.name for folder in root.iterdir() if (folder / CONFIG_FILE).is_file()) if root.is_dir() else []


def open_model_dir(name_or_path: str | os.PathLike[str]) -> ModelDir:
    """Find a model by the name of a shipped one or by its folder, and read its configuration.

    Raises:
        ModelError: if there is no such model, or it is incomplete, damaged, or of another format.
    """
    folder = _find(name_or_path)
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not readable ({error}); {_remedy(folder)}") from error
    if not isinstance(config, dict) or config.get("format") != MODEL_FORMAT:
        found = config.get("format") if isinstance(config, dict) else config
        raise ModelError(
            f"{path}: format {found!r}; this version of mddnet reads format {MODEL_FORMAT}: export the model again"
        )
    try:
        model = ModelDir(
            folder=folder,
            name=str(config["name"]),
            version=str(config["version"]),
            long_side=int(config["input"]["long_side"]),
            multiple=int(config["input"]["multiple"]),
            defocus_cap_px=float(config["defocus_cap_px"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: {error!r}; expected the fields of an exported model: export it again") from error
    if not (0 < model.multiple <= model.long_side and model.defocus_cap_px > 0):
        raise ModelError(
            f"{path}: input {config['input']}, defocus_cap_px {model.defocus_cap_px}; expected positive numbers and a "
            "long_side of at least one multiple: export the model again"
        )
    if not model.graph.is_file():
        raise ModelError(f"{model.graph}: no such file; {_remedy(folder)}")
    # Two models of one version differ if their weights do: results of the one are not those of the other.
    with model.graph.open("rb") as stream:
        weights = hashlib.file_digest(stream, "sha256").hexdigest()[:8]
    return replace(model, version=f"{model.version}+{weights}")


def _shipped_root() -> Path:
    return Path(str(files("mddnet"))) / "models"


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    known = shipped_models()
    if name_or_path in known:
        return _shipped_root() / str(name_or_path)
    path = Path(name_or_path)
    folder = path.parent if path.is_file() else path
    if folder.is_dir():
        return folder
    names = ", ".join(known) or "none"
    raise ModelError(
        f"{os.fspath(name_or_path)}: no such model; expected a shipped model ({names}) or a folder with {CONFIG_FILE} "
        f"and {GRAPH_FILE}"
    )


def _remedy(folder: Path) -> str:
    if folder.parent == _shipped_root():
        return "the installation is damaged: pip install --force-reinstall mddnet"
    return f"expected a folder with {CONFIG_FILE} and {GRAPH_FILE}, as `mddnet export` writes it"

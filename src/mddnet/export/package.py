"""Export a complete model: graph, configuration, weights and card, as a folder or one .zip."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from safetensors.torch import load_file

from mddnet.export.onnx import export_onnx
from mddnet.export.precision import Precision
from mddnet.io.atomic import atomic_write
from mddnet.model.archive import pack
from mddnet.model.checkpoint import write_weights
from mddnet.model.folder import CARD_FILE, MODEL_FILES, WEIGHTS_FILE, model_folder


def export_model(
    reference: str | os.PathLike[str],
    out: Path,
    half: bool = True,
    name: str | None = None,
    precision: Precision = "fp32",
    weights: bool = True,
) -> Path:
    """Write a trained model in the format that ``mddnet.load`` takes; other settings: :func:`~.onnx.export_onnx`.

    Args:
        reference: a model with weights, as for ``MDDNet.from_pretrained``.
        out: target folder, whose card.md is kept if there is one; or a ``.zip``.
        weights: whether to include the weights for further training.

    Returns:
        ``out``.

    ModelError if the model cannot be read, lacks a task, or cannot run in that precision.
    """
    source = model_folder(reference, weights=True)
    if out.suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory(prefix="mddnet-") as folder:
            _export(source, Path(folder), half, name, precision, weights)
            out.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(out, lambda stream: pack(Path(folder), stream, MODEL_FILES))
    else:
        _export(source, out, half, name, precision, weights)
    return out


def _export(source: Path, out: Path, half: bool, name: str | None, precision: Precision, weights: bool) -> None:
    export_onnx(source, out, half, name, precision)
    if out.resolve() == source.resolve():
        return
    if weights:
        write_weights(out, load_file(source / WEIGHTS_FILE), half)
    card = source / CARD_FILE
    if card.is_file() and not (out / CARD_FILE).exists():
        text = card.read_bytes()
        atomic_write(out / CARD_FILE, lambda stream: stream.write(text))

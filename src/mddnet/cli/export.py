"""``mddnet export``: from trained weights to the model folder that prediction loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def export(
    model: Path, /, *, out: Annotated[Path, Parameter(name=["--out", "-o"])], half: bool = True, name: str | None = None
) -> int:
    """Write a trained model as ONNX, ready for mddnet predict.

    The target folder gets model.onnx (any batch; any height and width that are multiples of 32) and config.json.

    Parameters
    ----------
    model
        Folder of trained weights: the folder `model` of a run, with model.safetensors and config.json.
    out
        Target folder; a card.md that lies in it stays.
    half
        Store the weights as float16, which halves the file; the computation is float32 in any case.
    name
        Name that the model states of itself; by default that of its recipe.
    """
    from mddnet.export.onnx import export_onnx

    path = export_onnx(model, out, half, name)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0

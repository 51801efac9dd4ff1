"""``mddnet export``: from trained weights to the model folder that prediction loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def export(
    model: Path,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    half: bool = True,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    name: str | None = None,
) -> int:
    """Write a trained model as ONNX, ready for mddnet predict.

    The target folder gets model.onnx (any batch, height and width) and config.json, which states the opset.

    Parameters
    ----------
    model
        Folder of trained weights: the folder `model` of a run, with model.safetensors and config.json.
    out
        Target folder; a card.md that lies in it stays.
    half
        Store the weights of an fp32 model as float16, which halves the file; it computes in float32 all the same.
    precision
        What it computes in. fp16 is for GPUs, int8 makes the file smaller still; neither is faster on every processor.
        How far their maps are from those of fp32 is measured and printed.
    name
        Name that the model states of itself; by default that of its recipe.
    """
    import json

    from mddnet.export.onnx import export_onnx

    path = export_onnx(model, out, half, name, precision)
    stated = json.loads((out / "config.json").read_text(encoding="utf-8"))["onnx"]
    line = f"{path}: {path.stat().st_size / 1e6:.1f} MB, opset {stated['opset']}, {precision}"
    if "differences" in stated:
        d = stated["differences"]
        line += (
            f"; from fp32, on made-up pictures: defocus {d['defocus_px_mean']:.2f} px on average (at most "
            f"{d['defocus_px_largest']:.2f}), inverse depth {d['inv_depth_mean']:.4f} of 1, same side of the plane of "
            f"focus at {d['same_side_share']:.1%} of the blurred pixels"
        )
    print(line)
    return 0

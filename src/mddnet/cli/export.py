"""``mddnet export``: from trained weights to the model that prediction loads."""

from __future__ import annotations

from typing import Literal

from mddnet.cli.flags import OutModel


def export(
    model: str,
    /,
    *,
    out: OutModel,
    half: bool = True,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    name: str | None = None,
    weights: bool = True,
) -> int:
    """Write a trained model as ONNX, ready for mddnet predict and for others.

    The result has model.onnx (any batch, height and width), config.json, the weights for further training, and the
    card.

    Args:
        model: Trained weights: the folder `model` of a run, or another model with model.safetensors.
        out: Target folder, whose card.md is kept if there is one; or a name that ends in .zip, for one file.
        half: Store the weights as float16, which halves the files; an fp32 model still computes in float32.
        precision: Number format of the computation. fp16 is for GPUs, int8 makes the file even smaller; neither is
            faster on every processor. The differences of their maps from those of fp32 are measured and printed.
        name: Name of the model; by default that of its recipe.
        weights: Include model.safetensors, for further training. Prediction does not need it.
    """
    from mddnet.export.onnx import export_model
    from mddnet.model.folder import CARD_FILE, GRAPH_FILE, model_folder, read_config

    path = export_model(model, out, half, name, precision, weights)
    folder = model_folder(path)
    stated = read_config(folder)["onnx"]
    graph = folder / GRAPH_FILE
    line = f"{path}: {GRAPH_FILE} of {graph.stat().st_size / 1e6:.1f} MB, opset {stated['opset']}, {precision}"
    if "differences" in stated:
        d = stated["differences"]
        line += (
            f"; difference from fp32 on synthetic images: defocus {d['defocus_px_mean']:.2f} px on average (at most "
            f"{d['defocus_px_largest']:.2f}), inverse depth {d['inv_depth_mean']:.4f} of its deviation, same sign at "
            f"{d['same_sign_share']:.1%} of the blurred pixels"
        )
    print(line)
    if not (folder / CARD_FILE).is_file():
        print(f"no {CARD_FILE}: before you share the model, write one that states the training data and their licences")
    return 0

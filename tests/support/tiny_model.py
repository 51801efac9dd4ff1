"""A model whose graph obeys the lens law by construction: u is the red channel, u_focus 0.5, kappa 20 px."""

from __future__ import annotations

import json
from pathlib import Path

CONFIG = {
    "format": 1,
    "name": "tiny",
    "version": "7",
    "input": {"long_side": 512, "multiple": 32},
    "defocus_cap_px": 40.0,
    "outputs": ["inv_depth", "defocus_px", "sign_logit"],
}


def write_tiny_model(folder: Path) -> None:
    """Write the model into an empty folder; the package onnx makes its graph."""
    import onnx

    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        node("Slice", ["image", "zero", "one", "one"], ["inv_depth"]),
        node("Sub", ["u_focus", "inv_depth"], ["behind"]),
        node("Mul", ["behind", "kappa"], ["sign_logit"]),
        node("Abs", ["sign_logit"], ["defocus_px"]),
    ]
    constants = [
        onnx.helper.make_tensor("zero", onnx.TensorProto.INT64, [1], [0]),
        onnx.helper.make_tensor("one", onnx.TensorProto.INT64, [1], [1]),
        onnx.helper.make_tensor("u_focus", onnx.TensorProto.FLOAT, [1], [0.5]),
        onnx.helper.make_tensor("kappa", onnx.TensorProto.FLOAT, [1], [20.0]),
    ]
    size = ["batch", None, "height", "width"]
    graph = onnx.helper.make_graph(
        nodes,
        "tiny",
        [value("image", onnx.TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [value(name, onnx.TensorProto.FLOAT, size) for name in ("inv_depth", "defocus_px", "sign_logit")],
        constants,
    )
    # Slice takes axes as its fourth input: starts [0], ends [1], axes [1].
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "card.md").write_text("A test's model.\n", encoding="utf-8")

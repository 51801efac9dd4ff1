"""A model whose graph obeys the lens law by construction: u is the red channel, u_focus 0.5, kappa 20 px."""

from __future__ import annotations

import json
from pathlib import Path

CONFIG = {
    "format": 2,
    "name": "tiny",
    "version": "7",
    "input": {"long_side": 512, "multiple": 32},
    "defocus_cap_px": 40.0,
}
MAPS = ("inv_depth", "inv_depth_log_sigma", "defocus_px", "defocus_log_sigma", "sign_logit")


def write_tiny_model(folder: Path) -> None:
    """Write the model into an empty folder; the package onnx makes its graph."""
    import onnx

    node, value, constant = onnx.helper.make_node, onnx.helper.make_tensor_value_info, onnx.helper.make_tensor
    number, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    nodes = [
        node("Slice", ["image", "zero", "one", "one"], ["red"]),
        node("AveragePool", ["red"], ["inv_depth"], kernel_shape=[4, 4], strides=[4, 4]),
        node("Sub", ["u_focus", "inv_depth"], ["behind"]),
        node("Mul", ["behind", "kappa"], ["sign_logit"]),
        node("Abs", ["sign_logit"], ["defocus_px"]),
        node("Mul", ["behind", "nothing"], ["zeros"]),
        node("Add", ["zeros", "log_sigma"], ["inv_depth_log_sigma"]),
        node("Add", ["zeros", "log_sigma"], ["defocus_log_sigma"]),
        node("ReduceMean", ["image", "rows_and_columns"], ["colour"], keepdims=0),
        node("Slice", ["colour", "zero", "one", "one"], ["mean_red"]),
        node("Concat", ["colour", "mean_red"], ["four"], axis=1),
        node("Mul", ["four", "nothing"], ["camera"]),
    ]
    constants = [
        constant("zero", whole, [1], [0]),
        constant("one", whole, [1], [1]),
        constant("rows_and_columns", whole, [2], [2, 3]),
        constant("u_focus", number, [1], [0.5]),
        constant("kappa", number, [1], [20.0]),
        constant("nothing", number, [1], [0.0]),
        constant("log_sigma", number, [1], [-2.0]),
    ]
    size = ["batch", None, "rows", "columns"]
    graph = onnx.helper.make_graph(
        nodes,
        "tiny",
        [value("image", number, ["batch", 3, "height", "width"])],
        [*(value(name, number, size) for name in MAPS), value("camera", number, ["batch", 4])],
        constants,
    )
    # Slice takes axes as its fourth input: starts [0], ends [1], axes [1].
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "card.md").write_text("A test's model.\n", encoding="utf-8")

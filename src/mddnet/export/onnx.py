"""Export to ONNX: any batch, height and width (multiples of 32), weights stored as float16, computed in float32."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from mddnet.errors import ModelError
from mddnet.model.checkpoint import load_network, write_config
from mddnet.model.network import MDDNet
from mddnet.sets.store import atomic_write

OPSET = 18
OUTPUTS = ("inv_depth", "defocus_px", "sign_logit")
SMALLEST_HALF = 64
"""Tensors with fewer values than this stay float32: they weigh nothing, and scales and shifts like precision."""


class _AllMaps(nn.Module):
    """The network with exactly the three outputs of a model folder."""

    def __init__(self, network: MDDNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps = self.network(image)
        return maps.inv_depth, maps.defocus_px, maps.sign_logit


def store_weights_as_half(graph: onnx.ModelProto) -> None:
    """Replace float32 initialisers by float16 ones followed by a Cast, in place.

    A runtime folds the Cast when it loads the graph, so the file halves and the arithmetic stays float32.
    """
    casts, kept = [], []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALLEST_HALF:
            kept.append(tensor)
            continue
        limit = float(np.finfo(np.float16).max)
        kept.append(numpy_helper.from_array(np.clip(values, -limit, limit).astype(np.float16), f"{tensor.name}_half"))
        casts.append(helper.make_node("Cast", [f"{tensor.name}_half"], [tensor.name], to=TensorProto.FLOAT))
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(kept)
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def export_onnx(model_folder: Path, out: Path, half: bool = True, name: str | None = None) -> Path:
    """Write ``model.onnx`` and ``config.json`` of a trained model folder into ``out``.

    Args:
        model_folder: folder with ``model.safetensors`` and ``config.json``.
        out: target folder; other files in it (a card) stay.
        half: store weights as float16.
        name: name that the model states of itself; None keeps that of its recipe.

    Returns:
        Path of the ONNX file.

    Raises:
        ModelError: if the model cannot be read or lacks a task.
    """
    network = load_network(model_folder)
    if network.config.tasks != "both" or not network.has_sign:
        raise ModelError(
            f"{model_folder}: an ablation (tasks {network.config.tasks!r}, sign {network.config.sign}); "
            'prediction needs all three outputs: train with model.tasks = "both" and model.sign = true'
        )
    out.mkdir(parents=True, exist_ok=True)
    example = torch.rand(2, 3, 64, 96)
    sizes = {0: torch.export.Dim("batch"), 2: 32 * torch.export.Dim("rows"), 3: 32 * torch.export.Dim("columns")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _AllMaps(network).eval(),
            (example,),
            dynamo=True,
            input_names=["image"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"image": sizes},
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    if half:
        store_weights_as_half(graph)
    onnx.checker.check_model(graph)
    atomic_write(out / "model.onnx", lambda stream: stream.write(graph.SerializeToString()))
    config = json.loads((model_folder / "config.json").read_text(encoding="utf-8"))
    write_config(out, {**config, "name": name or config["name"]})
    return out / "model.onnx"

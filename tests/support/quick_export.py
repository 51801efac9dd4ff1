"""A replacement of the exporter in tests of other things: torch's older one takes seconds, not a minute."""

from __future__ import annotations

import io
import warnings

import onnx
import torch

from mddnet.export.onnx import MAPS, OPSET, OUTPUTS, accept_any_size, fold_padding
from mddnet.model.network import INPUT_MULTIPLE, MDDNet


def quick_export_graph(network: MDDNet) -> onnx.ModelProto:
    """What ``mddnet.export.onnx.export_graph`` gives, by tracing."""
    stream = io.BytesIO()
    axes = {name: {0: "batch", 2: "rows", 3: "columns"} for name in ("image", *MAPS)} | {OUTPUTS[-1]: {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.rand(2, 3, 2 * INPUT_MULTIPLE, 3 * INPUT_MULTIPLE),),
            stream,
            dynamo=False,
            input_names=["image"],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            dynamic_axes=axes,
        )
    graph = fold_padding(onnx.load_from_string(stream.getvalue()))
    accept_any_size(graph, INPUT_MULTIPLE)
    return graph

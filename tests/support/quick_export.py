"""A replacement of the exporter in tests of other things: torch's older one takes seconds, not a minute."""

from __future__ import annotations

import io
import warnings

import onnx
import torch

from mddnet.export.onnx import OPSET, OUTPUTS, InferenceModule, accept_any_size
from mddnet.model.network import INPUT_MULTIPLE, MDDNet


def quick_export_graph(network: MDDNet) -> onnx.ModelProto:
    """What ``mddnet.export.onnx.export_graph`` gives, by tracing."""
    stream = io.BytesIO()
    axes = {name: {0: "batch", 2: "rows", 3: "columns"} for name in ("image", *OUTPUTS)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            InferenceModule(network).eval(),
            (torch.rand(2, 3, 2 * INPUT_MULTIPLE, 3 * INPUT_MULTIPLE),),
            stream,
            dynamo=False,
            input_names=["image"],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            dynamic_axes=axes,
        )
    graph = onnx.load_from_string(stream.getvalue())
    # weights that both passes of the network share are forwarded by Identity nodes
    weights = {tensor.name for tensor in graph.graph.initializer}
    handed_on = {n.output[0]: n.input[0] for n in graph.graph.node if n.op_type == "Identity" and n.input[0] in weights}
    kept = [node for node in graph.graph.node if not (node.op_type == "Identity" and node.output[0] in handed_on)]
    del graph.graph.node[:]
    graph.graph.node.extend(kept)
    for node in graph.graph.node:
        node.input[:] = [handed_on.get(name, name) for name in node.input]
        if "/statistics/" in node.name:  # the new exporter notes the modules that a node comes from
            node.metadata_props.add(key="pkg.torch.onnx.class_hierarchy", value="ChromaticStatistics")
    accept_any_size(graph, INPUT_MULTIPLE)
    return graph

"""Export to ONNX: any batch, height and width; weights stored as float16, computed in float32, float16 or int8.

A complete model is a folder or one .zip with graph, configuration, weights and card.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.parser import parse_node
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.rules.common import fuse_pad_into_conv_rule
from safetensors.torch import load_file
from torch import Tensor, nn

from mddnet.errors import ModelError
from mddnet.export.precision import Precision, converted, differences
from mddnet.io.atomic import atomic_write
from mddnet.model.archive import pack
from mddnet.model.checkpoint import SMALLEST_HALF, write_config, write_weights
from mddnet.model.folder import CARD_FILE, GRAPH_FILE, MODEL_FILES, WEIGHTS_FILE, model_folder, read_config
from mddnet.model.network import INPUT_MULTIPLE, Maps, MDDNet
from mddnet.types import MAP_STRIDE

OPSET = 18
OUTPUTS = Maps._fields
MAPS = OUTPUTS[:-1]  # outputs that are maps; the last one is the camera


def store_weights_as_half(graph: onnx.ModelProto) -> None:
    """Replace float32 initialisers by float16 ones followed by a Cast, in place.

    A runtime folds the Cast when it loads the graph: half the file size, and computation in float32.
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


def fold_padding(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Make the zero padding before a convolution an attribute of the convolution: it then costs no pass."""
    return rewrite(graph, [fuse_pad_into_conv_rule])


def accept_any_size(graph: onnx.ModelProto, multiple: int) -> None:
    """Let a graph that needs height and width to be multiples accept any size, in place.

    The image is padded with its last row and column to the next multiple, and the maps are cropped to those of its
    size, ceil(H / 4) and ceil(W / 4).
    """
    image = graph.graph.input[0]
    sizes = [dim.dim_value or dim.dim_param for dim in image.type.tensor_type.shape.dim]
    constants = {
        "zeros": [0, 0],
        "no_pads": [0] * 6,  # of all four axes at the begin and two at the end: some runtimes know no axes of Pad
        "row_and_column": [2, 3],
        "multiple": [multiple],
        "stride": [MAP_STRIDE],
        "rest": [MAP_STRIDE - 1],
    }
    for node in graph.graph.node:
        node.input[:] = [f"{image.name}_padded" if name == image.name else name for name in node.input]
        node.output[:] = [f"{name}_padded" if name in MAPS else name for name in node.output]
        # one output may feed another
        node.input[:] = [f"{name}_padded" if name in MAPS else name for name in node.input]
    before = (
        f"size = Shape <start: int = 2, end: int = 4> ({image.name})",
        "size_negative = Neg (size)",
        "size_missing = Mod (size_negative, size_multiple)",
        "size_pads = Concat <axis: int = 0> (size_no_pads, size_missing)",
        f'{image.name}_padded = Pad <mode: string = "edge"> ({image.name}, size_pads)',
    )
    after = (
        "size_more = Add (size, size_rest)",
        "size_maps = Div (size_more, size_stride)",
        *(f"{name} = Slice ({name}_padded, size_zeros, size_maps, size_row_and_column)" for name in MAPS),
    )
    nodes = [*map(parse_node, before), *graph.graph.node, *map(parse_node, after)]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    graph.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, dtype=np.int64), f"size_{name}") for name, value in constants.items()
    )
    shapes = {image.name: [sizes[0], 3, "height", "width"], OUTPUTS[-1]: [sizes[0], 4]}
    for value in (image, *graph.graph.output):
        shape = shapes.get(value.name, [sizes[0], 1, "map_height", "map_width"])
        value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, shape))


def export_graph(network: MDDNet) -> onnx.ModelProto:
    """The float32 graph of a network with all outputs: any batch, height and width."""
    # height or width 1 of the coarsest level would become a constant
    example = torch.rand(2, 3, 2 * INPUT_MULTIPLE, 3 * INPUT_MULTIPLE)
    rows, columns = (INPUT_MULTIPLE * torch.export.Dim(name) for name in ("rows", "columns"))
    graph = traced(network, example, OUTPUTS, {0: torch.export.Dim("batch"), 2: rows, 3: columns})
    graph = fold_padding(graph)
    accept_any_size(graph, INPUT_MULTIPLE)
    return graph


def traced(module: nn.Module, example: Tensor, outputs: Sequence[str], sizes: Mapping[int, Any]) -> onnx.ModelProto:
    """Export a module of one input, named ``image``, in evaluation mode as a float32 graph.

    ``sizes`` are the dimensions of the input that may vary, each with its ``torch.export.Dim``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            input_names=["image"],
            output_names=list(outputs),
            dynamic_shapes={"image": dict(sizes)},
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def export_onnx(
    model: Path, out: Path, half: bool = True, name: str | None = None, precision: Precision = "fp32"
) -> Path:
    """Write ``model.onnx`` and ``config.json`` of a trained model folder into ``out``; return the path of the graph.

    Args:
        model: folder with ``model.safetensors`` and ``config.json``.
        out: target folder; other files in it, such as a card, are kept.
        half: store the weights of a float32 graph as float16.
        name: name of the model; None keeps that of its recipe.
        precision: number format of the computation. ``fp16`` halves the memory on a GPU; ``int8`` quantises weights,
            and activations dynamically. The differences from float32 are written to ``config.json``.

    ModelError if the model cannot be read, lacks a task, or cannot run in that precision.
    """
    network = MDDNet.from_pretrained(model)
    config = network.config
    if config.tasks != "both" or not (config.sign and config.camera):
        raise ModelError(
            f"{model}: an ablation (tasks {config.tasks!r}, sign {config.sign}, camera {config.camera}); prediction "
            'needs all outputs: train with model.tasks = "both", model.sign = true and model.camera = true'
        )
    out.mkdir(parents=True, exist_ok=True)
    graph = export_graph(network)
    stated: dict[str, Any] = {"opset": OPSET, "precision": precision}
    if precision != "fp32":
        reference, graph = graph, converted(graph, precision)
        stated["differences"] = differences(reference, graph)
    elif half:
        store_weights_as_half(graph)
    onnx.checker.check_model(graph)
    atomic_write(out / GRAPH_FILE, lambda stream: stream.write(graph.SerializeToString()))
    facts = read_config(model)
    write_config(out, {**facts, "name": name or facts["name"], "onnx": stated})
    return out / GRAPH_FILE


def export_model(
    reference: str | os.PathLike[str],
    out: Path,
    half: bool = True,
    name: str | None = None,
    precision: Precision = "fp32",
    weights: bool = True,
) -> Path:
    """Write a trained model in the format that ``mddnet.load`` takes, and return ``out``.

    ``reference`` is a model with weights, as for ``MDDNet.from_pretrained``; ``out`` a folder, whose card.md is kept if
    there is one, or a ``.zip``; ``weights`` includes those for further training. The rest is as of :func:`export_onnx`.
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

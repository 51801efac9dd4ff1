"""A depth probe as an ONNX file, with the description that ``mddnet label`` and ``mddnet evaluate --with`` read."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch

from mddnet.export.onnx import OPSET, store_weights_as_half
from mddnet.model.layout import STRIDE
from mddnet.sets.store import atomic_write, atomic_write_text
from mddnet.train.depth_probe import LONG_SIDE_PX, DepthProbe

DESCRIPTION = f"""name = "depth-probe"
quantity = "inv_depth"
long_side = {LONG_SIDE_PX}
multiple = {STRIDE}
"""


def export_probe(probe: DepthProbe, out: Path) -> None:
    """Write ``out`` (``NAME.onnx``) and its description ``NAME.toml``; the weights are stored as float16.

    Raises:
        OutputError: if they cannot be written.
    """
    # no side may be 1, which would be taken for a constant
    example = torch.rand(1, 3, 10 * STRIDE, 14 * STRIDE)
    rows, columns = (STRIDE * torch.export.Dim(name) for name in ("rows", "columns"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            probe.eval(),
            (example,),
            dynamo=True,
            input_names=["image"],
            output_names=["inv_depth"],
            dynamic_shapes={"image": {2: rows, 3: columns}},
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    store_weights_as_half(graph)
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(out, lambda stream: stream.write(graph.SerializeToString()))
    atomic_write_text(out.with_suffix(".toml"), DESCRIPTION)

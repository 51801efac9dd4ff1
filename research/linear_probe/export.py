"""A depth probe as an ONNX file, with the description that ``mddnet label`` reads."""

from __future__ import annotations

from pathlib import Path

import torch
from research.linear_probe.features import STRIDE
from research.linear_probe.fit import LONG_SIDE_PX, DepthProbe

from mddnet.export.onnx import store_weights_as_half, traced
from mddnet.io.atomic import atomic_write, atomic_write_text

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
    # height or width 1 would become a constant
    example = torch.rand(1, 3, 10 * STRIDE, 14 * STRIDE)
    rows, columns = (STRIDE * torch.export.Dim(name) for name in ("rows", "columns"))
    graph = traced(probe, example, ["inv_depth"], {2: rows, 3: columns})
    store_weights_as_half(graph)
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(out, lambda stream: stream.write(graph.SerializeToString()))
    atomic_write_text(out.with_suffix(".toml"), DESCRIPTION)

"""The network as a Core ML program, where coremltools is installed; it converts anywhere and predicts on macOS only."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
coremltools = pytest.importorskip("coremltools", reason="optional: pip install coremltools")

from mddnet.export.onnx import OUTPUTS  # noqa: E402
from mddnet.model.network import MDDNet  # noqa: E402

pytestmark = pytest.mark.slow


def test_network_converts_to_core_ml(tmp_path: Path) -> None:
    network = MDDNet.from_pretrained("small")
    example = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(network, (example,)).run_decompositions({})
    model = coremltools.convert(
        program,
        inputs=[coremltools.TensorType("image", example.shape)],
        outputs=[coremltools.TensorType(name) for name in OUTPUTS],
    )
    model.save(str(tmp_path / "mddnet.mlpackage"))
    spec = coremltools.models.MLModel(str(tmp_path / "mddnet.mlpackage"), skip_model_load=True).get_spec()
    assert [(i.name, list(i.type.multiArrayType.shape)) for i in spec.description.input] == [("image", [1, 3, 64, 128])]
    assert [o.name for o in spec.description.output] == list(OUTPUTS)
    kept = sum(path.stat().st_size for path in (tmp_path / "mddnet.mlpackage").rglob("weight.bin"))
    assert kept == pytest.approx(2 * sum(weights.numel() for weights in network.parameters()), rel=0.02)  # float16
    if sys.platform == "darwin":
        answers = model.predict({"image": example.numpy()})
        with torch.no_grad():
            maps = network(example)
        np.testing.assert_allclose(answers["defocus_px"], maps.defocus_px.numpy(), atol=0.2)

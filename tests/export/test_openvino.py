"""The exported graph in OpenVINO on this processor, where OpenVINO is installed: the maps of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

openvino = pytest.importorskip("openvino", reason="optional: pip install openvino")
onnxruntime = pytest.importorskip("onnxruntime")

from mddnet.model.folder import GRAPH_FILE, shipped_root  # noqa: E402


@pytest.fixture(scope="module")
def graph() -> Path:
    return shipped_root() / "small" / GRAPH_FILE


@pytest.fixture(scope="module")
def compiled(graph: Path) -> openvino.CompiledModel:
    # OpenVINO would use bfloat16 on processors that have it
    return openvino.compile_model(str(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.mark.parametrize("size", [(1, 64, 128), (2, 96, 64), (1, 160, 224)])
def test_openvino_equals_onnx_runtime(graph: Path, compiled, size: tuple[int, int, int]) -> None:
    batch, height, width = size
    image = np.random.default_rng(0).random((batch, 3, height, width), dtype=np.float32)
    answers = compiled(image)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    names = ["inv_depth", "defocus_px", "sign_logit"]
    for name, expected in zip(names, session.run(names, {"image": image}), strict=True):
        assert answers[name].shape == expected.shape == (batch, 1, height // 4, width // 4)
        np.testing.assert_allclose(answers[name], expected, atol=2e-3, rtol=1e-3)

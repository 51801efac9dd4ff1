"""Export: parity with torch on odd sizes, the halved file, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from mddnet.config import Recipe  # noqa: E402
from mddnet.errors import ModelError  # noqa: E402
from mddnet.export.onnx import export_onnx  # noqa: E402
from mddnet.model.checkpoint import load_network, save_weights  # noqa: E402
from mddnet.model.network import MDDNet  # noqa: E402

SIZES = [(32, 32), (64, 96), (96, 64), (32, 512), (416, 288)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    recipe = Recipe.model_validate({"name": "trial", "model": {"pretrained": False}})
    torch.manual_seed(0)
    save_weights(folder, recipe, MDDNet(recipe.model).state_dict(), steps=0)
    return folder


def _largest_difference(trained: Path, graph: Path) -> float:
    session = onnxruntime.InferenceSession(str(graph))
    network = load_network(trained)
    worst = 0.0
    for n, (height, width) in enumerate(SIZES):
        image = torch.rand(1 + n % 2, 3, height, width)
        with torch.no_grad():
            expected = network(image)
        for a, b in zip(expected[:3], session.run(None, {"image": image.numpy()}), strict=True):
            worst = max(worst, float(np.abs(a.numpy() - b).max()))
    return worst


def test_any_batch_height_and_width_agree_with_torch(trained: Path, tmp_path: Path) -> None:
    graph = export_onnx(trained, tmp_path, half=False)
    assert _largest_difference(trained, graph) <= 1e-4
    assert json.loads((tmp_path / "config.json").read_text()) == json.loads((trained / "config.json").read_text())


def test_half_storage_halves_the_file_and_hardly_moves_the_maps(trained: Path, tmp_path: Path) -> None:
    whole = export_onnx(trained, tmp_path / "whole", half=False)
    half = export_onnx(trained, tmp_path / "half")
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    assert half.stat().st_size <= 20e6
    assert _largest_difference(trained, half) <= 0.1  # the CoC, in pixels, is the largest of the numbers


def test_the_model_can_be_given_a_name(trained: Path, tmp_path: Path) -> None:
    export_onnx(trained, tmp_path, name="other")
    assert json.loads((tmp_path / "config.json").read_text())["name"] == "other"


def test_an_ablation_is_refused(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {
            "name": "depth-only",
            "model": {
                "pretrained": False,
                "tasks": "depth",
                "soft_connection": False,
                "sign": False,
                "law_path": False,
            },
            "loss": {"defocus": 0, "defocus_gradient": 0, "sign": 0, "lens_law": 0},
        }
    )
    save_weights(tmp_path, recipe, MDDNet(recipe.model).state_dict(), steps=0)
    with pytest.raises(ModelError, match="ablation"):
        export_onnx(tmp_path, tmp_path / "out")

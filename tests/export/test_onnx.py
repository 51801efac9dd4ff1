"""Export: parity with torch on odd sizes, smaller variants of the graph, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

import torch.nn.functional as F  # noqa: E402
from tests.support.quick_export import quick_export_graph  # noqa: E402

from mddnet.config import Recipe  # noqa: E402
from mddnet.errors import ModelError  # noqa: E402
from mddnet.export.onnx import OUTPUTS, export_onnx  # noqa: E402
from mddnet.export.precision import differences  # noqa: E402
from mddnet.model.checkpoint import save_weights  # noqa: E402
from mddnet.model.folder import shipped_root  # noqa: E402
from mddnet.model.network import INPUT_MULTIPLE, MDDNet  # noqa: E402

SIZES = [(1, 1), (31, 33), (64, 64), (63, 129), (97, 45), (150, 211), (65, 511), (317, 101), (200, 131), (257, 255)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    recipe = Recipe.model_validate({"name": "trial", "model": {"pretrained": False}})
    torch.manual_seed(0)
    network = MDDNet(recipe.model)
    for parameter in network.parameters():
        parameter.data += 1e-3 * torch.randn_like(parameter)  # what starts as zero has a share in the maps, too
    save_weights(folder, recipe, network.state_dict(), steps=0)
    return folder


@pytest.fixture(scope="module")
def whole(trained: Path) -> onnx.ModelProto:
    return quick_export_graph(MDDNet.from_pretrained(trained))


@pytest.fixture
def exported_before(whole: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(network: MDDNet) -> onnx.ModelProto:
        graph = onnx.ModelProto()
        graph.CopyFrom(whole)
        return graph

    monkeypatch.setattr("mddnet.export.onnx.export_graph", copy)


def _largest_difference(trained: Path, graph: Path) -> float:
    session = onnxruntime.InferenceSession(str(graph))
    network = MDDNet.from_pretrained(trained)
    worst = 0.0
    for n, (height, width) in enumerate(SIZES):
        image = torch.rand(1 + n % 2, 3, height, width)
        padded = F.pad(image, (0, -width % INPUT_MULTIPLE, 0, -height % INPUT_MULTIPLE), mode="replicate")
        with torch.no_grad():
            expected = network.infer(padded)
        for a, b in zip(expected[:3], session.run(None, {"image": image.numpy()}), strict=True):
            assert b.shape == (len(image), 1, height, width)
            worst = max(worst, float(np.abs(a[..., :height, :width].numpy() - b).max()))
    return worst


@pytest.mark.slow
def test_any_batch_height_and_width_agree_with_torch(trained: Path, tmp_path: Path) -> None:
    graph = export_onnx(trained, tmp_path, half=False)
    assert _largest_difference(trained, graph) <= 1e-4
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.pop("onnx") == {"opset": 18, "precision": "fp32"}
    assert config == json.loads((trained / "config.json").read_text())
    assert onnx.load(graph).opset_import[0].version == 18


@pytest.mark.slow
def test_sizes_that_are_not_multiples_are_padded_and_cropped(trained: Path, exported_before, tmp_path: Path) -> None:
    assert _largest_difference(trained, export_onnx(trained, tmp_path, half=False)) <= 1e-4


@pytest.mark.slow
def test_half_storage_halves_file_with_nearly_same_maps(trained: Path, exported_before, tmp_path: Path) -> None:
    whole = export_onnx(trained, tmp_path / "whole", half=False)
    half = export_onnx(trained, tmp_path / "half")
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    assert half.stat().st_size <= 20e6
    assert _largest_difference(trained, half) <= 0.1  # the CoC, in pixels, is the largest of the numbers


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "size", "px"), [("fp16", 0.6, 0.1), ("int8", 0.4, 1.0)])
def test_other_precisions_run_on_cpu_with_similar_maps(
    trained: Path, exported_before, tmp_path: Path, precision, size, px
) -> None:
    whole = export_onnx(trained, tmp_path / "whole", half=False)
    other = export_onnx(trained, tmp_path / precision, precision=precision)
    assert other.stat().st_size < size * whole.stat().st_size
    stated = json.loads((tmp_path / precision / "config.json").read_text())["onnx"]
    assert stated["precision"] == precision and stated["differences"]["defocus_px_mean"] < px
    image = np.random.default_rng(0).random((2, 3, 45, 70), dtype=np.float32)
    for values in onnxruntime.InferenceSession(str(other)).run(None, {"image": image}):
        assert values.shape == (2, 1, 45, 70) and values.dtype == np.float32 and np.isfinite(values).all()


@pytest.mark.slow
def test_graph_that_cannot_run_is_refused(whole: onnx.ModelProto) -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(whole)
    del broken.graph.node[5]
    with pytest.raises(ModelError, match="cannot run the graph"):
        differences(whole, broken)


@pytest.mark.slow
def test_model_name_can_be_set(trained: Path, exported_before, tmp_path: Path) -> None:
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


def test_shipped_weights_and_graph_give_same_maps() -> None:
    """Tensors of less than 64 values are float32 in the graph, and were rounded to float16 in the stored weights."""
    shipped = shipped_root() / "small"
    if not (shipped / "model.safetensors").is_file():
        pytest.skip("the weights to train on from are not in the package")
    network, graph = MDDNet.from_pretrained(shipped), onnx.load(shipped / "model.onnx")
    stored = {t.name.removeprefix("network."): onnx.numpy_helper.to_array(t) for t in graph.graph.initializer}
    state = network.state_dict()
    network.load_state_dict(state | {name: torch.tensor(stored[name]) for name in state if name in stored})
    image = np.random.default_rng(0).random((1, 3, 128, 192), dtype=np.float32)
    before = onnxruntime.InferenceSession(str(shipped / "model.onnx")).run(list(OUTPUTS), {"image": image})
    with torch.no_grad():
        maps = network.infer(torch.from_numpy(image))
    # the defocus curve is folded into constants of the graph: here it is rounded
    for now, then, atol in zip(maps, before, (1e-4, 2e-3, 1e-4), strict=False):
        np.testing.assert_allclose(now.numpy(), then, rtol=0, atol=atol)

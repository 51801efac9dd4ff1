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
from mddnet.export.onnx import MAPS, OUTPUTS, export_onnx, fold_padding  # noqa: E402
from mddnet.export.precision import differences  # noqa: E402
from mddnet.model.checkpoint import save_weights  # noqa: E402
from mddnet.model.folder import shipped_root  # noqa: E402
from mddnet.model.network import INPUT_MULTIPLE, MDDNet  # noqa: E402
from mddnet.types import MAP_STRIDE  # noqa: E402

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
            expected = network(padded)
        maps = session.run(list(MAPS), {"image": image.numpy()})
        rows, columns = -(-height // MAP_STRIDE), -(-width // MAP_STRIDE)
        for a, b in zip(expected[:-1], maps, strict=True):
            assert b.shape == (len(image), 1, rows, columns)
            worst = max(worst, float(np.abs(a[..., :rows, :columns].numpy() - b).max()))
        (camera,) = session.run([OUTPUTS[-1]], {"image": image.numpy()})
        worst = max(worst, float(np.abs(expected.camera.numpy() - camera).max()))
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
    for values in onnxruntime.InferenceSession(str(other)).run(list(MAPS), {"image": image}):
        assert values.shape == (2, 1, 12, 18) and values.dtype == np.float32 and np.isfinite(values).all()


@pytest.mark.parametrize(
    ("mode", "users", "folded"), [("constant", 1, True), ("edge", 1, False), ("constant", 2, True)]
)
def test_zero_padding_becomes_a_part_of_the_convolution(mode: str, users: int, folded: bool) -> None:
    helper, rng = onnx.helper, np.random.default_rng(0)
    numbers = {"amounts": np.array([0, 0, 1, 0, 0, 0, 2, 1]), "weight": rng.random((4, 3, 3, 3), dtype=np.float32)}
    nodes = [helper.make_node("Pad", ["image", "amounts"], ["padded"], mode=mode)]
    nodes += [
        helper.make_node("Conv", ["padded", "weight"], [f"out{n}"], strides=[2, 2], pads=[0] * 4) for n in range(users)
    ]
    graph = helper.make_graph(
        nodes,
        "padded convolution",
        [helper.make_tensor_value_info("image", 1, [1, 3, 9, 10])],
        [helper.make_tensor_value_info(f"out{n}", 1, None) for n in range(users)],
        [onnx.numpy_helper.from_array(value, name) for name, value in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    image = rng.random((1, 3, 9, 10), dtype=np.float32)
    before = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": image})
    model = fold_padding(model)
    assert ("Pad" not in {node.op_type for node in model.graph.node}) == folded
    after = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": image})
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.slow
def test_graph_that_cannot_run_is_refused(whole: onnx.ModelProto) -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(whole)
    del broken.graph.node[5]
    with pytest.raises(ModelError, match="cannot run"):
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
            },
            "loss": {"defocus": 0, "defocus_gradient": 0, "sign": 0, "lens_law": 0, "defocus_uncertainty": 0},
        }
    )
    save_weights(tmp_path, recipe, MDDNet(recipe.model).state_dict(), steps=0)
    with pytest.raises(ModelError, match="ablation"):
        export_onnx(tmp_path, tmp_path / "out")


def test_shipped_weights_and_graph_give_same_maps() -> None:
    shipped = shipped_root() / "small"
    if not (shipped / "model.safetensors").is_file():
        pytest.skip("the weights to train on from are not in the package")
    photo = pytest.importorskip("skimage.data").astronaut()[:384]
    image = photo.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    graph = onnxruntime.InferenceSession(str(shipped / "model.onnx")).run(list(OUTPUTS), {"image": image})
    with torch.no_grad():
        network = MDDNet.from_pretrained(shipped)(torch.from_numpy(image))
    for ours, theirs in zip(network, graph, strict=True):
        # both are stored in half precision, the graph after the batch norms were folded into the convolutions
        spread = max(float(ours.std()), 0.1)
        difference = np.abs(ours.numpy() - theirs)
        assert difference.mean() < 1e-2 * spread and np.quantile(difference, 0.999) < 0.1 * spread

"""Networks in ONNX files, on graphs that the tests make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mddnet.errors import ModelError
from mddnet.evaluate.baselines.onnx_model import EXAMPLE, OnnxModel, read_description


def write_graph(path: Path, *, halved: bool = False, two_outputs: bool = False) -> None:
    """A graph that estimates with the first channel of its input (1, 3, H, W), at half the size if asked to."""
    onnx = pytest.importorskip("onnx", reason="making a graph needs the package onnx (extra train)")
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    stride = 2 if halved else 1
    slices: dict[str, list[int]] = {
        "starts": [0, 0, 0],
        "ends": [1, 2**30, 2**30],
        "axes": [1, 2, 3],
        "steps": [1, stride, stride],
    }
    nodes = [node("Slice", ["pixels", *slices], ["map"])]
    outputs = ["map"]
    if two_outputs:
        nodes.append(node("Neg", ["map"], ["negative"]))
        outputs.append("negative")
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "first_channel",
        [value("pixels", kind, [1, 3, "h", "w"])],
        [value(name, kind, [1, 1, None, None]) for name in outputs],
        [onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [3], v) for name, v in slices.items()],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), path)


def described(tmp_path: Path, text: str, **graph: Any) -> OnnxModel:
    path = tmp_path / "peer.onnx"
    write_graph(path, **graph)
    (tmp_path / "peer.toml").write_text(text, encoding="utf-8")
    return OnnxModel(path, threads=1)


@pytest.fixture
def photo() -> np.ndarray:
    pixels = np.zeros((60, 90, 3), dtype=np.uint8)
    pixels[..., 0] = np.linspace(0, 255, 90).round()
    pixels[..., 2] = 51
    return pixels


def test_the_map_comes_back_at_the_size_of_the_photo(tmp_path: Path, photo: np.ndarray) -> None:
    baseline = described(tmp_path, 'name = "red"\nquantity = "inv_depth"\nmultiple = 32\n', halved=True)
    assert baseline.name == "red" and baseline.quantities == ("inv_depth",)
    found = baseline.infer(photo).inv_depth
    assert found.shape == (60, 90) and found.dtype == np.float32
    # padding to 64 x 96 is cut away again: red rises from 0 to 1 over the photo's own width
    np.testing.assert_allclose(found[30, 4:-4], np.linspace(0, 1, 90)[4:-4], atol=0.02)


def test_lengths_are_converted_to_pixels_of_the_photo(tmp_path: Path, photo: np.ndarray) -> None:
    baseline = described(tmp_path, 'name = "blue"\nquantity = "sigma_px"\nlong_side = 45\nchannels = "bgr"\n')
    # blue is 0.2 of an input half as large
    np.testing.assert_allclose(baseline.infer(photo).defocus_px, 4 * 0.4, atol=0.01)
    fixed = described(tmp_path, 'name = "blue"\nquantity = "blur_probability"\nsize = [30, 30]\nchannels = "bgr"\n')
    np.testing.assert_allclose(fixed.infer(photo).blur_score, 0.2, atol=0.01)


def test_the_input_is_normalised(tmp_path: Path, photo: np.ndarray) -> None:
    text = 'name = "x"\nquantity = "blur_score"\nmean = [0.5, 0, 0]\nstd = [0.25, 1, 1]\noutput = "negative"\n'
    found = described(tmp_path, text, two_outputs=True).infer(photo).blur_score
    np.testing.assert_allclose(found[0, [0, -1]], [2.0, -2.0], atol=1e-5)


def test_the_example_is_a_description(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(EXAMPLE, encoding="utf-8")
    said = read_description(tmp_path / "a.toml")
    assert said.quantity == "inv_depth" and said.long_side == 518 and said.multiple == 14


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\n', "quantity"),
        ('name = "x"\nquantity = "disparity"\n', "quantity"),
        ('name = "x"\nquantity = "inv_depth"\nlongside = 4\n', "longside"),
        ('name = "x"\nquantity = "inv_depth"\nsize = [64, 64]\nlong_side = 64\n', "size .*long_side 64:"),
        ('name = "x"\nquantity = "inv_depth"\nstd = [0, 1, 1]\n', "positive"),
        ("name = ", "not TOML"),
    ],
)
def test_a_wrong_description_is_reported(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "peer.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=rf"peer\.toml.*{message}"):
        read_description(path)


def test_missing_and_damaged_files_are_reported(tmp_path: Path, photo: np.ndarray) -> None:
    path = tmp_path / "peer.onnx"
    write_graph(path, two_outputs=True)
    with pytest.raises(ModelError, match=r"(?s)peer\.toml.*quantity"):
        OnnxModel(path)
    with pytest.raises(ModelError, match=r"map, negative.*output"):
        described(tmp_path, 'name = "x"\nquantity = "inv_depth"\n', two_outputs=True)
    path.write_bytes(b"no graph")
    with pytest.raises(ModelError, match="not a graph"):
        OnnxModel(path)
    flat = described(tmp_path, 'name = "x"\nquantity = "inv_depth"\nlayout = "nhwc"\n')
    with pytest.raises(ModelError, match=r"peer\.onnx"):
        flat.infer(photo)

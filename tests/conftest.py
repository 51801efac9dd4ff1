"""Fixtures that all tests share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.rig_simulator.rig import Truth

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True, slots=True)
class SmallRig:
    """A simulated capture.

    Attributes:
        folder: the capture folder.
        truth: what the rig cannot know.
    """

    folder: Path
    truth: Truth


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real captures beside the project; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real captures at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose graph obeys the lens law by construction: u is the red channel, u_focus 0.5, kappa 20 px."""
    onnx = pytest.importorskip("onnx", reason="making a graph needs the package onnx (extra train)")
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        node("Slice", ["image", "zero", "one", "one"], ["inv_depth"]),
        node("Sub", ["u_focus", "inv_depth"], ["behind"]),
        node("Mul", ["behind", "kappa"], ["sign_logit"]),
        node("Abs", ["sign_logit"], ["defocus_px"]),
    ]
    constants = [
        onnx.helper.make_tensor("zero", onnx.TensorProto.INT64, [1], [0]),
        onnx.helper.make_tensor("one", onnx.TensorProto.INT64, [1], [1]),
        onnx.helper.make_tensor("u_focus", onnx.TensorProto.FLOAT, [1], [0.5]),
        onnx.helper.make_tensor("kappa", onnx.TensorProto.FLOAT, [1], [20.0]),
    ]
    size = ["batch", None, "height", "width"]
    graph = onnx.helper.make_graph(
        nodes,
        "tiny",
        [value("image", onnx.TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [value(name, onnx.TensorProto.FLOAT, size) for name in ("inv_depth", "defocus_px", "sign_logit")],
        constants,
    )
    # Slice takes axes as its fourth input: starts [0], ends [1], axes [1].
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    config = {
        "format": 1,
        "name": "tiny",
        "version": "7",
        "input": {"long_side": 512, "multiple": 32},
        "defocus_cap_px": 40.0,
        "outputs": ["inv_depth", "defocus_px", "sign_logit"],
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "card.md").write_text("A test's model.\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def small_rig(tmp_path_factory: pytest.TempPathFactory) -> SmallRig:
    """A capture of the simulated rig, and what is true of it."""
    from tests.rig_simulator.rig import capture
    from tests.rig_simulator.small import SETTINGS, small_scene

    folder = tmp_path_factory.mktemp("rig") / "table"
    return SmallRig(folder, capture(small_scene(), folder, SETTINGS))

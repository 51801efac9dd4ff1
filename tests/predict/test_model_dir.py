"""Model folders: found, read, and refused with the way out."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import mddnet
from mddnet.errors import ModelError
from mddnet.model import folder as module
from mddnet.model.folder import shipped_models
from mddnet.predict.model_dir import open_model_dir


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


def changed(folder: Path, **changes: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def test_a_folder_or_the_graph_in_it(tiny_model: Path) -> None:
    for path in (tiny_model, str(tiny_model), tiny_model / "model.onnx"):
        model = open_model_dir(path)
        weights = hashlib.sha256((tiny_model / "model.onnx").read_bytes()).hexdigest()[:8]
        assert (model.name, model.version, model.long_side, model.multiple) == ("tiny", f"7+{weights}", 512, 32)
        assert model.defocus_cap_px == 40.0 and model.graph == tiny_model / "model.onnx"


def test_shipped_models_are_found_by_name(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tiny_model, tmp_path / "models" / "pocket")
    (tmp_path / "models" / "no_model").mkdir()
    monkeypatch.setattr(module, "shipped_root", lambda: tmp_path / "models")
    assert shipped_models() == ["pocket"]
    assert mddnet.load("pocket").name == "tiny"
    with pytest.raises(ModelError, match=r"smal: no such model; .*\(pocket\)"):
        mddnet.load("smal")
    (tmp_path / "models" / "pocket" / "model.onnx").unlink()
    with pytest.raises(ModelError, match="damaged: pip install"):
        mddnet.load("pocket")


def test_missing_parts(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model"):
        mddnet.load(tmp_path / "nowhere")
    (copy / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx: no such file; .*config\.json"):
        mddnet.load(copy)
    (copy / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json: not readable"):
        mddnet.load(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 3}, r"format 3, .*mddnet 7; .*format 2 .*pip install --upgrade"),
        ({"format": 1}, r"format 1, .*mddnet 7; .*format 2 .*train the model"),
        ({"format": 0}, r"format 0, .*train the model"),
        ({"format": True}, r"format True.*train the model"),
        ({"conventions": 2}, r"conventions 2, .*mddnet 7.*conventions 1.*pip install --upgrade mddnet"),
        ({"input": {"multiple": 32}}, "long_side"),
        ({"input": 512}, "expected the fields"),
        ({"input": {"long_side": 512, "multiple": 0}}, "expected positive numbers"),
        ({"defocus_cap_px": None}, "expected the fields"),
        ({"defocus_cap_px": -1}, "expected positive numbers"),
    ],
)
def test_a_configuration_that_does_not_fit(copy: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        mddnet.load(changed(copy, **changes))


@pytest.mark.parametrize("text", ["[1]", "not json", ""])
def test_a_configuration_that_is_none(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        mddnet.load(copy)


def test_a_damaged_graph(copy: Path) -> None:
    data = (copy / "model.onnx").read_bytes()
    for damaged in (b"", b"no graph", data[: len(data) // 2]):
        (copy / "model.onnx").write_bytes(damaged)
        with pytest.raises(ModelError, match=r"(?s)model\.onnx: .*export"):
            mddnet.load(copy)


def test_a_graph_with_other_outputs(copy: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(copy / "model.onnx")
    del graph.graph.output[2]
    onnx.save(graph, copy / "model.onnx")
    with pytest.raises(ModelError, match=r"expected image and inv_depth, inv_depth_log_sigma"):
        mddnet.load(copy)

"""``mddnet export``: a complete model as a folder or .zip, for prediction and further training, with its card."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
onnx = pytest.importorskip("onnx")

from tests.support.quick_export import quick_export_graph  # noqa: E402

import mddnet  # noqa: E402
from mddnet.cli.main import main  # noqa: E402
from mddnet.config import Recipe  # noqa: E402
from mddnet.model.checkpoint import save_weights  # noqa: E402
from mddnet.model.network import MDDNet  # noqa: E402

FILES = ["card.md", "config.json", "model.onnx", "model.safetensors"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "model"
    config = {
        "pretrained": False,
        "encoder": "resnet10t",
        "decoder_channels": [16, 16, 16],
    }
    recipe = Recipe.model_validate({"name": "trial", "model": config})
    torch.manual_seed(0)
    save_weights(folder, recipe, MDDNet(recipe.model).state_dict(), steps=0)
    (folder / "card.md").write_text("trained on nothing, CC0\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def graph(trained: Path) -> onnx.ModelProto:
    return quick_export_graph(MDDNet.from_pretrained(trained))


@pytest.fixture(autouse=True)
def exported_before(graph: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(network: MDDNet) -> onnx.ModelProto:
        other = onnx.ModelProto()
        other.CopyFrom(graph)
        return other

    monkeypatch.setattr("mddnet.export.onnx.export_graph", copy)


@pytest.mark.slow
def test_folder_and_zip_give_the_same_model(trained: Path, tmp_path: Path, capsys) -> None:
    folder, archive = tmp_path / "mine", tmp_path / "to" / "mine.zip"
    for out in (folder, archive):
        assert main(["export", str(trained), "-o", str(out)]) == 0
        assert "opset 18, fp32" in capsys.readouterr().out
    assert sorted(p.name for p in folder.iterdir()) == FILES
    with zipfile.ZipFile(archive) as opened:
        assert sorted(opened.namelist()) == FILES
        assert all(opened.read(name) == (folder / name).read_bytes() for name in FILES)
    photo = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    one, other = (mddnet.load(path).predict(photo) for path in (folder, archive))
    np.testing.assert_array_equal(one.defocus_px, other.defocus_px)
    assert (folder / "model.safetensors").stat().st_size < 0.6 * (trained / "model.safetensors").stat().st_size
    assert MDDNet.from_pretrained(archive).config == MDDNet.from_pretrained(trained).config
    config = json.loads((folder / "config.json").read_text())
    assert (config["format"], config["conventions"], config["network"]["encoder"]) == (2, 1, "resnet10t")


@pytest.mark.slow
def test_existing_card_is_kept_and_missing_one_is_reported(trained: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "card.md").write_text("by hand\n")
    assert main(["export", str(trained), "-o", str(out), "--no-weights", "--no-half"]) == 0
    assert (out / "card.md").read_text() == "by hand\n" and not (out / "model.safetensors").exists()
    assert "no card.md" not in capsys.readouterr().out
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((trained / name).read_bytes())
    assert main(["export", str(bare), "-o", str(bare)]) == 0
    assert "no card.md" in capsys.readouterr().out
    # what lay there is the original, and is not made coarser
    assert (bare / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_a_model_without_weights_cannot_be_exported(tiny_model: Path, tmp_path: Path, capsys) -> None:
    assert main(["export", str(tiny_model), "-o", str(tmp_path / "out")]) == 1
    assert "model.safetensors: no such file" in capsys.readouterr().err
    assert main(["export", "nowhere", "-o", str(tmp_path / "out")]) == 1
    assert "no such model" in capsys.readouterr().err

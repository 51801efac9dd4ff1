"""``mddnet train --data``: from a folder of scenes to a model that ``mddnet.load`` takes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from safetensors.torch import load_file  # noqa: E402
from tests.support.made_scenes import make_scene  # noqa: E402
from tests.support.quick_export import quick_export_graph  # noqa: E402

import mddnet  # noqa: E402
from mddnet.cli.main import main  # noqa: E402
from mddnet.io.folder_lock import KERNEL_LOCKS, FolderLock  # noqa: E402

TINY = [
    *("--set", "data.crop=[64,64]"),
    *("--set", "data.batch_size=2"),
    *("--set", "data.workers=0"),
    *("--set", "train.threads=1"),
]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mddnet.export.onnx.export_graph", quick_export_graph)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own") / "scenes"
    for i in range(3):
        make_scene(root, "focal_stacks", f"s{i}", f"place_{i}", i + 1)
    return root


@pytest.mark.slow
def test_folder_of_scenes_becomes_a_model(scenes, tmp_path, quick, capsys) -> None:
    out = tmp_path / "my_model"
    assert main(["train", "--data", str(scenes), "--from", "small", "-o", str(out), "--steps", "1", *TINY]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "held out: 1 of 3 locations" in said and "held-out locations, before > after training" in said
    model = mddnet.load(out / "model")
    prediction = model.predict(np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8))
    assert prediction.defocus_px.shape == (70, 90)
    assert json.loads((out / "model" / "config.json").read_text())["onnx"]["opset"] == 18
    assert "made by the tests" in (out / "model" / "card.md").read_text()
    with (out / "held_out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["place"] for row in rows} >= {"mean"} and {row["measure"] for row in rows} >= {"sign", "coc_mae_px"}
    # the run's folder is a start like any other, and its recipe a recipe
    again = tmp_path / "again"
    assert main(["train", "--data", str(scenes), "--from", str(out), "-o", str(again), "--steps", "1", *TINY]) == 0
    (out / "model" / "card.md").unlink()
    assert main(["train", str(out / "recipe.toml")]) == 0
    card = (out / "model" / "card.md").read_text()
    assert "made by the tests" in card and "Not evaluated yet: run `mddnet evaluate`" in card


def test_check_does_not_train(scenes, tmp_path, capsys) -> None:
    assert main(["train", "--data", str(scenes), "--check", "-o", str(tmp_path / "none")]) == 0
    assert "focal_stacks" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_run_resumes_to_the_same_weights(scenes, tmp_path, quick) -> None:
    def command(out: Path) -> list[str]:
        settings = [*TINY, "--set", "train.save_every=1", "--set", "train.validate_every=2"]
        return ["train", "--data", str(scenes), "--from", "small", "-o", str(out), "--steps", "4", *settings]

    killed, whole = tmp_path / "killed" / "run", tmp_path / "whole" / "run"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-m", "mddnet", *command(killed)], env=environment) as process:
        for _ in range(1200):
            if (killed / "checkpoint.safetensors").exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        process.kill()
    assert (killed / "checkpoint.safetensors").exists() and not (killed / "model" / "model.onnx").exists()
    for out in (killed, whole):
        assert main(command(out)) == 0
    one, other = (load_file(out / "model" / "model.safetensors") for out in (killed, whole))
    assert all(torch.allclose(one[name].float(), other[name].float(), atol=1e-5) for name in one)
    assert (killed / "held_out.csv").read_text() == (whole / "held_out.csv").read_text()


@pytest.mark.skipif(not KERNEL_LOCKS, reason="no file locks here")
def test_second_run_into_a_folder_is_refused_before_writing(scenes, tmp_path, capsys) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "recipe.toml").write_text("of the first run")
    with FolderLock(out, "train"):
        assert main(["train", "--data", str(scenes), "--from", "small", "-o", str(out), "--steps", "1", *TINY]) == 1
    assert "another process is writing there (mddnet train)" in capsys.readouterr().err
    assert (out / "recipe.toml").read_text() == "of the first run"
    assert [path.name for path in out.iterdir()] == ["recipe.toml"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "a.toml", "--data", "scenes"],
        ["train", "a.toml", "--from", "small"],
        ["train", "--data", "scenes"],
        ["train", "--data", "scenes", "-o", "out", "--steps", "0"],
    ],
)
def test_wrong_usage_exits_with_2(arguments, capsys) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert ("at least 1" if "--steps" in arguments else "mddnet train: ") in said


def test_a_split_that_is_no_file_is_refused(capsys) -> None:
    assert main(["train", "--data", "scenes", "-o", "out", "--split", "nowhere.csv"]) == 2
    said = capsys.readouterr().err
    assert "nowhere.csv" in said and "--split" in said.replace("\n", "")


def test_unusable_data_is_reported(scenes, tmp_path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    cases = [
        (tmp_path / "empty", "small", [], "mddnet build"),
        (tmp_path / "nowhere", "small", [], "no such folder"),
        (scenes, str(tmp_path / "nowhere"), [], "expected a shipped model"),
        (scenes, str(tmp_path / "empty"), [], "no weights for training"),
        (scenes, "small", ["--set", "train.out=elsewhere"], "use -o"),
    ]
    for folder, start, more, expected in cases:
        assert main(["train", "--data", str(folder), "--from", start, "-o", str(tmp_path / "out"), *more]) == 1
        assert expected in capsys.readouterr().err


def test_run_on_other_scenes_is_refused(scenes, tmp_path, capsys) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "checkpoint.safetensors").write_bytes(b"")
    (out / "scenes.csv").write_text("scene,place,split\nfocal_stacks/other,there,train\n")
    assert main(["train", "--data", str(scenes), "--from", "small", "-o", str(out), *TINY]) == 1
    assert "started on 1 scenes" in capsys.readouterr().err

"""``mddnet evaluate`` from end to end, on a scene and a pair that the test makes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mddnet.cli.main import main
from mddnet.scenes.store import write_image, write_inv_depth, write_scene_json
from mddnet.types import FrameRecord, SceneRecord


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """A data folder and a scene folder; the model of ``tiny_model`` reads inverse depth off the red channel."""
    rng = np.random.default_rng(0)
    inv_depth = np.linspace(0.1, 0.9, 128, dtype=np.float32)[None, :].repeat(96, axis=0)
    photo = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    photo[..., 0] = np.rint(255 * inv_depth)
    folder = tmp_path / "scenes" / "stereo" / "table"
    folder.mkdir(parents=True)
    write_image(folder / "sharp.png", photo)
    write_image(folder / "frame.png", photo)
    write_inv_depth(folder / "inv_depth.png", inv_depth, "relative")
    frames = [FrameRecord("frame.png", 0.5, 20.0)]
    record = SceneRecord(
        "table", "stereo/table", "stereo", "made by a test", "Apache-2.0", "rendered", "relative", frames,
        "sharp.png", "inv_depth.png",
    )  # fmt: skip
    write_scene_json(folder, record)
    pair = tmp_path / "data" / "pairs" / "one"
    pair.mkdir(parents=True)
    Image.fromarray(photo).save(pair / "A.png")
    Image.fromarray(np.full_like(photo, 128)).save(pair / "B.png")
    (tmp_path / "data" / "split.csv").write_text("place,split\nstereo/table,dev\n")
    return tmp_path


def run(captures: Path, model: Path, *more: str) -> int:
    folders = ["--scenes", str(captures / "scenes"), "--data", str(captures / "data"), "-o", str(captures / "out")]
    return main(["evaluate", str(model), *folders, *more])


@pytest.mark.slow
def test_the_tables_are_written_and_printed(
    captures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(captures, tiny_model, "--speed") == 0
    data = json.loads((captures / "out" / "evaluation.json").read_text())
    assert data["model"].startswith("tiny 7") and data["split"] == "dev" and not data["failures"]
    assert data["headline"]["stereo.depth_ordinal"] == data["headline"]["stereo.depth_ordinal_rotated"] == 1.0
    assert data["headline"]["stereo.defocus_ordinal"] == 1.0 and data["headline"]["stereo.sign_accuracy"] == 1.0
    assert data["headline"]["stereo.u_focus_error"] < 0.02 and data["headline"]["speed.network_ms"] > 0
    assert "## Stereo: depth" in (captures / "out" / "evaluation.md").read_text()
    printed = capsys.readouterr().out
    assert "Stereo: defocus order" in printed and "Focal stacks: This split has no captures" in printed


def test_only_the_named_parts_are_measured(captures: Path, tiny_model: Path) -> None:
    assert run(captures, tiny_model, "--only", "pairs") == 0
    data = json.loads((captures / "out" / "evaluation.json").read_text())
    assert set(data["kinds"]) == {"pairs"} and data["coc_slope"] is None and len(data["kinds"]["pairs"]["frames"]) == 1


def test_a_damaged_scene_is_reported_and_the_exit_code_is_1(
    captures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (captures / "scenes" / "stereo" / "table" / "sharp.png").write_bytes(b"no image")
    assert run(captures, tiny_model, "--only", "stereo,pairs") == 1
    assert "sharp.png" in capsys.readouterr().err
    assert json.loads((captures / "out" / "evaluation.json").read_text())["headline"]["pairs.near_far_accuracy"] >= 0


@pytest.mark.slow
def test_methods_are_compared_in_one_table(
    captures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [
        "--only",
        "stereo,pairs",
        "--baseline",
        "tenengrad",
        "--baseline",
        str(tiny_model),
        "--blur-threshold",
        "2",
    ]
    assert run(captures, tiny_model, *flags, "--alignment", "scale") == 0
    data = json.loads((captures / "out" / "evaluation.json").read_text())
    # the version names the weights, too
    other = next(name for name in data["baselines"] if name.startswith("tiny 7"))
    assert data["baselines"] == {"tenengrad": ["blur_score"], other: ["defocus_px", "inv_depth"]}
    assert (
        data["options"]["blur_threshold_px"] == 2.0 and data["options"]["alignment"] == "robust scale in inverse depth"
    )
    macro, baselines = data["kinds"]["stereo"]["macro"], data["kinds"]["stereo"]["baselines"]
    assert baselines[other]["macro"]["coc_mae_px"] == pytest.approx(macro["coc_mae_px"])
    assert 0 <= data["kinds"]["pairs"]["baselines"]["tenengrad"]["macro"]["blur_ap"] <= 1
    assert macro["ause_coc"] >= 0 and len(data["kinds"]["stereo"]["confidence"]["coc"]["macro"]["error"]) == 10
    printed = capsys.readouterr().out
    assert "Stereo: defocus side by side" in printed and "Stereo: confidence" in printed


def test_a_missing_method_is_reported(captures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(captures, tiny_model, "--baseline", "zhou-sim") == 1
    assert "zhou-sim" in capsys.readouterr().err
    assert run(captures, tiny_model, "--baseline", "laplacian", "--baseline", "laplacian") == 2


@pytest.mark.slow
def test_a_data_set_is_measured_and_what_is_missing_is_reported(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="the extra report")
    rng = np.random.default_rng(0)
    for folder, number in (("rgb", 1), ("rgb", 2), ("depth", 1)):
        (tmp_path / folder).mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
        if folder == "depth":
            pixels = rng.integers(256, 10_000, (96, 128)).astype(np.uint16)
        Image.fromarray(pixels).save(tmp_path / folder / f"{number:010d}.png")
    of_dataset = ["--dataset", "kitti", "--root", str(tmp_path), "-o", str(tmp_path / "out")]
    assert main(["evaluate", str(tiny_model), *of_dataset, "--baseline", str(tiny_model), "--align-in", "depth"]) == 1
    said = capsys.readouterr()
    assert "0000000002.png" in said.err and "missing" in said.err
    assert "Licence" in said.out and "side by side" in said.out
    data = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert data["options"]["layout_unverified"] is False and data["options"]["alignment"].endswith("in depth")
    assert 0 <= data["headline"]["kitti.delta1"] <= 1 and len(data["kinds"]["kitti"]["baselines"]) == 1
    for name in ("evaluation.md", "report.html", "comparison.jpg"):
        assert (tmp_path / "out" / name).stat().st_size > 500, name
    of_dataset[1] = "kiti"
    assert main(["evaluate", str(tiny_model), *of_dataset]) == 1
    assert "kitti?" in capsys.readouterr().err


def test_json_and_tables_need_no_report_extra(
    captures: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mddnet.evaluate.report", None)
    assert run(captures, tiny_model, "--only", "pairs") == 0
    assert {path.name for path in (captures / "out").iterdir()} == {"evaluation.json", "evaluation.md"}


@pytest.mark.parametrize(
    "flags",
    [
        ["--dataset", "syndof"],
        ["--dataset", "syndof", "--root", "x", "--only", "pairs"],
        ["--dataset", "syndof", "--root", "x", "--cap", "-1"],
        ["--dataset", "syndof", "--root", "x", "--limit", "0"],
        ["--dataset", "syndof", "--root", "x", "--speed"],
        ["--root", "x"],
        ["--scenes", "x"],
        ["--scenes", "x", "--data", "x", "--cap", "5"],
    ],
)
def test_wrong_usage_with_data_sets_is_2(tmp_path: Path, flags: list[str]) -> None:
    assert main(["evaluate", "no_model", *flags, "-o", str(tmp_path / "out")]) == 2


@pytest.mark.parametrize(
    "flags",
    [
        ["--only", "stacks"],
        ["--only", ","],
        ["--frames", "0"],
        ["--threads", "0"],
        ["--blur-threshold", "0"],
        ["--alignment", "median"],
        ["--scenes-per-location", "0"],
    ],
)
def test_wrong_usage_is_2(captures: Path, flags: list[str]) -> None:
    assert run(captures, captures / "no_model", *flags) == 2


def test_missing_folders_and_models_are_reported(
    captures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(captures, captures / "no_model") == 1
    assert "no_model" in capsys.readouterr().err
    (captures / "data" / "split.csv").unlink()
    assert run(captures, tiny_model) == 1
    assert "split.csv" in capsys.readouterr().err

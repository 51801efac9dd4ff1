"""``mddnet evaluate`` from end to end, on a scene and a pair that the test makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mddnet.cli.main import main
from mddnet.evaluate.alteration import ALTERATIONS
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


def test_an_altered_evaluation_says_so_and_sees_other_photos(captures: Path, tiny_model: Path) -> None:
    assert run(captures, tiny_model, "--only", "stereo", "--alter", "grey") == 0
    data = json.loads((captures / "out" / "evaluation.json").read_text())
    assert "altered: grey" in data["model"]
    # this model reads depth off the red channel, which grey leaves a third of
    assert data["headline"]["stereo.depth_ordinal"] < 0.9
    assert run(captures, tiny_model, "--only", "stereo", "--alter", "blue") == 2


def test_the_study_of_cues_is_written_and_printed(
    captures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # only real blur is asked: the scene of this test becomes a light field
    (captures / "scenes" / "stereo").rename(captures / "scenes" / "light_fields")
    assert run(captures, tiny_model, "--cues") == 0
    data = json.loads((captures / "out" / "cues.json").read_text())
    assert set(data["agreements"]) == set(ALTERATIONS)
    # this model reads depth off the red channel, wherever it is
    assert data["evaluations"]["mirrored"]["headline"]["light_fields.depth_ordinal"] > 0.99
    assert data["agreements"]["turned-90"]["rank_correlation"] > 0.99
    printed = capsys.readouterr().out
    assert "Light fields: cues taken away" in printed and "How far the answers stay" in printed
    assert run(captures, tiny_model, "--cues", "--alter", "grey") == 2


def test_the_tables_are_written_and_printed(
    captures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(captures, tiny_model, "--speed") == 0
    data = json.loads((captures / "out" / "evaluation.json").read_text())
    assert data["model"].startswith("tiny 7") and data["split"] == "dev" and not data["failures"]
    assert data["headline"]["stereo.depth_ordinal"] == data["headline"]["stereo.depth_ordinal_turned"] == 1.0
    assert data["headline"]["stereo.defocus_ordinal"] == 1.0 and data["headline"]["stereo.sign_accuracy"] == 1.0
    assert data["headline"]["stereo.u_focus_error"] < 0.02 and data["headline"]["speed.network_ms"] > 0
    assert "## Stereo: depth" in (captures / "out" / "evaluation.md").read_text()
    printed = capsys.readouterr().out
    assert "Stereo: defocus order" in printed and "Focal stacks: No scene of this kind" in printed


def test_only_the_named_parts_are_measured(captures: Path, tiny_model: Path) -> None:
    assert run(captures, tiny_model, "--only", "pairs") == 0
    data = json.loads((captures / "out" / "evaluation.json").read_text())
    assert data["kinds"] == {} and data["coc_slope"] is None and len(data["pairs"]["rows"]) == 1


def test_a_damaged_scene_is_named_and_the_exit_code_is_1(
    captures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (captures / "scenes" / "stereo" / "table" / "sharp.png").write_bytes(b"no image")
    assert run(captures, tiny_model, "--only", "stereo,pairs") == 1
    assert "sharp.png" in capsys.readouterr().err
    assert json.loads((captures / "out" / "evaluation.json").read_text())["headline"]["pairs.mean"] >= 0


def test_other_methods_stand_side_by_side(captures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--only", "stereo,pairs", "--with", "tenengrad", "--with", str(tiny_model), "--blur-threshold", "2"]
    assert run(captures, tiny_model, *flags, "--alignment", "scale") == 0
    data = json.loads((captures / "out" / "evaluation.json").read_text())
    # the version names the weights, too
    other = next(name for name in data["peers"] if name.startswith("tiny 7"))
    assert data["peers"] == {"tenengrad": ["blur_score"], other: ["defocus_px", "inv_depth"]}
    assert (
        data["options"]["blur_threshold_px"] == 2.0 and data["options"]["alignment"] == "robust scale in inverse depth"
    )
    macro, peers = data["kinds"]["stereo"]["macro"], data["kinds"]["stereo"]["peers"]
    assert peers[other]["macro"]["coc_mae_px"] == pytest.approx(macro["coc_mae_px"])
    assert 0 <= data["pairs"]["peers"]["tenengrad"]["detection"]["blur_ap"] <= 1
    assert macro["ause_coc"] >= 0 and len(data["kinds"]["stereo"]["confidence"]["coc"]["macro"]["error"]) == 10
    printed = capsys.readouterr().out
    assert "Stereo: defocus side by side" in printed and "Stereo: confidence" in printed


def test_a_method_that_is_not_there_is_named(
    captures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(captures, tiny_model, "--with", "zhou-sim") == 1
    assert "zhou-sim" in capsys.readouterr().err
    assert run(captures, tiny_model, "--with", "laplacian", "--with", "laplacian") == 2


def test_a_public_set_is_measured_and_what_is_missing_is_named(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for name in ("image", "gt"):
        (tmp_path / name).mkdir()
    for number in (1, 2):
        photo = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
        Image.fromarray(photo).save(tmp_path / "image" / f"out_of_focus{number:04d}.jpg")
    mask = np.zeros((96, 128), np.uint8)
    mask[:, 64:] = 255
    Image.fromarray(mask).save(tmp_path / "gt" / "out_of_focus0001.png")
    of_set = ["--set", "cuhk", "--root", str(tmp_path), "-o", str(tmp_path / "out")]
    assert main(["evaluate", str(tiny_model), *of_set, "--with", "laplacian", "--align-in", "depth"]) == 1
    said = capsys.readouterr()
    assert "out_of_focus0002.jpg: its mask gt/NAME.png is missing" in said.err
    assert "Unverified" in said.out and "side by side" in said.out
    data = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert data["options"]["layout_unverified"] is True and data["options"]["alignment"].endswith("in depth")
    assert 0 <= data["headline"]["cuhk.blur_f"] <= 1 and data["kinds"]["cuhk"]["peers"]["laplacian"]["macro"]
    for name in ("evaluation.md", "report.html", "sheet.jpg"):
        assert (tmp_path / "out" / name).stat().st_size > 500, name
    of_set[1] = "cuk"
    assert main(["evaluate", str(tiny_model), *of_set]) == 1
    assert "no such set; cuhk? expected one of" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        ["--set", "cuhk"],
        ["--set", "cuhk", "--root", "x", "--only", "pairs"],
        ["--set", "cuhk", "--root", "x", "--cap", "-1"],
        ["--set", "cuhk", "--root", "x", "--limit", "0"],
        ["--set", "cuhk", "--root", "x", "--cues"],
        ["--root", "x"],
        ["--scenes", "x"],
        ["--scenes", "x", "--data", "x", "--cap", "5"],
    ],
)
def test_wrong_usage_with_sets_is_2(tmp_path: Path, flags: list[str]) -> None:
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
        ["--cues", "--with", "laplacian"],
    ],
)
def test_wrong_usage_is_2(captures: Path, flags: list[str]) -> None:
    assert run(captures, captures / "no_model", *flags) == 2


def test_missing_folders_and_models_are_named(
    captures: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(captures, captures / "no_model") == 1
    assert "no_model" in capsys.readouterr().err
    (captures / "data" / "split.csv").unlink()
    assert run(captures, tiny_model) == 1
    assert "split.csv" in capsys.readouterr().err

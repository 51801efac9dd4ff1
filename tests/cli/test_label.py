"""``mddnet label`` from end to end: photos and a photographed scene, labelled, gone on with, and built."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mddnet.captures.rgbd import list_pseudo
from mddnet.cli.main import main
from mddnet.errors import CaptureError
from mddnet.evaluate.label import depth_codes, plan_labels
from mddnet.scenes.store import read_scene, write_image, write_inv_depth, write_scene_json
from mddnet.types import FrameRecord, SceneRecord


def picture(seed: int, mirrored: bool = False) -> np.ndarray:
    """Noise whose red channel, which the tiny model reads depth off, rises from left to right."""
    pixels = np.random.default_rng(seed).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    ramp = np.linspace(20, 230, 128).round().astype(np.uint8)
    pixels[..., 0] = ramp[::-1] if mirrored else ramp
    return pixels


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data root with three photos, one of which shows no depth."""
    (tmp_path / "photos").mkdir()
    for name, pixels in (("a", picture(0)), ("b", picture(1)), ("flat", np.full((96, 128, 3), 99, np.uint8))):
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "photos/manifest.csv").write_text(
        "file,source,licence\n" + "".join(f"photos/{name}.png,walk,CC0\n" for name in ("a", "b", "flat"))
    )
    return tmp_path


def photographed(root: Path, rotated: bool) -> None:
    folder = root / "focal_stacks" / ("wrong" if rotated else "right")
    folder.mkdir(parents=True)
    write_image(folder / "sharp.png", picture(2))
    write_image(folder / "frame.png", picture(2))
    depth = np.linspace(1, 0, 128) if rotated else np.linspace(0, 1, 128)
    write_inv_depth(folder / "inv_depth.png", depth.astype(np.float32)[None].repeat(96, 0), "relative")
    record = SceneRecord(
        folder.name, "room", "focal_stack", "made by a test", "Apache-2.0", "real", "relative",
        [FrameRecord("frame.png", 0.5, 9.0)], "sharp.png", "inv_depth.png",
    )  # fmt: skip
    write_scene_json(folder, record)


def run(data: Path, model: Path, *more: str) -> int:
    return main(["label", str(data), "--teacher", str(model), "-o", str(data / "out"), *more])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_labels_are_written_listed_and_built(data: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data, tiny_model) == 0
    said = capsys.readouterr().out
    assert "2 of 3 photos labelled (0 kept), 1 rejected, 1 by range" in said
    root = data / "out/pseudo"
    first, second = rows(root / "manifest.csv")
    assert (first["rgb"], first["place"], first["licence"]) == ("walk/a.png", "photos/walk", "CC0")
    assert float(second["mirror"]) > 0.99 and "tiny" in first["teacher"]
    (refused,) = rows(root / "rejected.csv")
    assert refused["photo"] == "flat" and refused["reason"] == "range 0: one depth throughout"
    frame = list_pseudo(root)[0]
    depth = frame.read_inv_depth()
    assert frame.unit == "relative" and np.corrcoef(depth.mean(axis=0), np.arange(128))[0, 1] > 0.99

    pytest.importorskip("cv2", reason="building needs the extra build")
    assert main(["build", str(data / "out"), "-o", str(data / "scenes")]) == 0
    record = read_scene(data / "scenes/pseudo/walk_a")
    assert (record.provenance, record.unit, record.location) == ("pseudo", "relative", "photos/walk")
    assert len(record.frames) == 3 and record.licence == "CC0"


def test_the_same_command_goes_on_where_it_stopped(
    data: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mddnet.evaluate.label as module

    asked: list[int] = []
    whole = module.pseudo_label

    def counted(*arguments: object) -> object:
        if len(asked) == 1:
            raise KeyboardInterrupt
        asked.append(1)
        return whole(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(module, "pseudo_label", counted)
        assert run(data, tiny_model) == 130
    assert [row["rgb"] for row in rows(data / "out/pseudo/manifest.csv")] == ["walk/a.png"]
    capsys.readouterr()
    assert run(data, tiny_model) == 0
    assert "2 of 3 photos labelled (1 kept)" in capsys.readouterr().out
    # what a stopped run has not come to is still there
    (data / "out/pseudo/walk/depth/a.png").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(module, "pseudo_label", counted)  # which stops at once by now
        assert run(data, tiny_model) == 130
    assert [row["rgb"] for row in rows(data / "out/pseudo/manifest.csv")] == ["walk/b.png"]
    assert [row["photo"] for row in rows(data / "out/pseudo/rejected.csv")] == ["flat"]
    assert run(data, tiny_model) == 0
    capsys.readouterr()
    # other checks, or another photo, and it is asked anew
    assert run(data, tiny_model, "--middle", "0.5") == 0
    assert "(0 kept)" in capsys.readouterr().out
    Image.fromarray(picture(7)).save(data / "photos/b.png")
    assert run(data, tiny_model, "--middle", "0.5") == 0
    assert "(1 kept)" in capsys.readouterr().out


def test_real_blur_is_heard(data: Path, tiny_model: Path) -> None:
    photographed(data / "scenes", rotated=False)
    photographed(data / "scenes", rotated=True)
    out = data / "labels"
    assert main(["label", str(data / "scenes"), "--teacher", str(tiny_model), "-o", str(out)]) == 0
    (kept,), (refused,) = rows(out / "pseudo/manifest.csv"), rows(out / "pseudo/rejected.csv")
    assert kept["rgb"] == "focal_stacks/right.png" and float(kept["law"]) > 0.99 and kept["place"] == "room"
    assert refused["photo"] == "wrong" and refused["reason"].startswith("law 0.0")


def test_a_damaged_photo_is_reported_and_the_others_are_predicted(
    data: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "photos/a.png").write_bytes(b"no picture")
    assert run(data, tiny_model) == 1
    captured = capsys.readouterr()
    assert "walk/a: " in captured.err and "a.png" in captured.err and "1 of 3 photos labelled" in captured.out


@pytest.mark.parametrize(
    ("flags", "said"),
    [(["--mirror", "2"], "2.0 for --mirror. Expected a share"), (["--limit", "0"], "0 for --limit")],
)
def test_wrong_flags(
    data: Path, tiny_model: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tiny_model, *flags) == 2
    assert said in " ".join(capsys.readouterr().err.replace('"', "").replace("│", " ").split())  # boxes wrap the text


def test_a_teacher_without_depth_and_a_source_without_photos(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, Path("laplacian")) == 1
    assert "laplacian: estimates blur_score; expected inv_depth or depth_m" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaptureError, match=r"no scene .*scene\.json"):
        plan_labels([tmp_path / "empty"])


def test_names_of_a_manifest_lead_nowhere_else(data: Path, tiny_model: Path) -> None:
    manifest = data / "photos/manifest.csv"
    manifest.write_text("file,source,licence\nphotos/a.png,../../../up,CC0\n")
    assert run(data, tiny_model) == 0
    (row,) = rows(data / "out/pseudo/manifest.csv")
    assert (data / "out/pseudo" / row["rgb"]).is_file() and ".." not in Path(row["rgb"]).parts
    Image.fromarray(picture(3)).save(data / "photos/a b.png")
    manifest.write_text("file,source,licence\nphotos/a b.png,walk,CC0\nphotos/a_b.png,walk,CC0\n")
    Image.fromarray(picture(4)).save(data / "photos/a_b.png")
    with pytest.raises(CaptureError, match="a_b is taken"):
        plan_labels([data])


def test_a_missing_label_is_recreated_and_an_invalid_one_is_removed(
    data: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tiny_model) == 0
    folder = data / "out/pseudo/walk"
    (folder / "depth/a.png").unlink()
    assert run(data, tiny_model) == 0
    assert "2 of 3 photos labelled (1 kept)" in capsys.readouterr().out and (folder / "depth/a.png").is_file()
    Image.fromarray(np.full((96, 128, 3), 50, np.uint8)).save(data / "photos/a.png")
    assert run(data, tiny_model) == 0
    assert not (folder / "a.png").exists() and not (folder / "depth/a.png").exists()
    assert [row["rgb"] for row in rows(data / "out/pseudo/manifest.csv")] == ["walk/b.png"]


def test_codes_by_hand() -> None:
    codes = depth_codes(np.array([[np.nan, 0.0, 0.5, 1.0]], dtype=np.float32))
    assert codes.tolist() == [[0, 1, 32768, 65535]]


def test_a_limit_is_spread_over_the_source(data: Path) -> None:
    assert [task.name for task in plan_labels([data], 2)] == ["a", "flat"]
    assert [task.name for task in plan_labels([data])] == ["a", "b", "flat"]


def test_notes_hold_what_the_label_depends_on(data: Path, tiny_model: Path) -> None:
    run(data, tiny_model)
    note = json.loads((data / "out/pseudo/walk/depth/a.json").read_text())
    assert set(note) == {"teacher", "checks", "photo", "scene", "reason", "measures"}


def test_every_real_photo_is_planned(shared_data: Path) -> None:
    tasks = plan_labels([shared_data])
    assert len(tasks) == 1101 and all(task.location == f"photos/{task.source}" and task.licence for task in tasks)
    assert len(plan_labels([shared_data], 100)) == 100

"""``mddnet predict``, through the function that the command calls."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.photo.test_video import write_video

from mddnet.cli.main import main
from mddnet.io.part_file import StagedFiles
from mddnet.predict import folder
from mddnet.predict.folder import find_photos
from mddnet.predict.prediction import Prediction
from mddnet.predict.predictor import Model
from mddnet.types import Photo


def picture(height: int = 48, width: int = 64) -> Image.Image:
    """Red rises from left to right over a checkerboard."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0] = np.linspace(0, 255, width).round()
    pixels[::2, ::2, 1] = 200
    return Image.fromarray(pixels)


def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photos that are predicted from now on; two are worked on at once, so in any order."""
    seen: list[str] = []
    predict = Model.predict

    def predict_and_note(self: Model, photo: Photo, **settings: Any) -> Prediction:
        assert photo.path is not None
        seen.append(photo.path.name)
        return predict(self, photo, **settings)

    monkeypatch.setattr(Model, "predict", predict_and_note)
    return seen


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with an image of every kind that the issue of bad input names; three of the files cannot be used."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rgb = picture()
    rgb.save(folder / "plain.jpg", quality=95)
    rgb.convert("L").save(folder / "grey.png")
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    rgb.quantize(64).save(folder / "palette.gif")
    rgb.convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(np.asarray(rgb)[:, :, 0].astype(np.uint16) * 257).save(folder / "deep.png")
    tifffile.imwrite(folder / "deep_rgb.tif", np.asarray(rgb).astype(np.uint16) * 257, photometric="rgb")
    exif = Image.Exif()
    exif[0x0112] = 99
    exif.get_ifd(0x8769).update({0x920A: -50.0, 0x829D: (28, 0)})
    rgb.save(folder / "liar.jpg", exif=exif)
    (folder / "words.jpg").write_text("no image at all")
    (folder / "cut.jpg").write_bytes((folder / "plain.jpg").read_bytes()[:700])
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    (folder / "notes.txt").write_text("not even named like a photo")
    return folder


GOOD = {"plain", "grey", "cmyk", "palette", "alpha", "deep", "deep_rgb", "liar"}


def test_bad_files_are_reported_and_the_others_predicted(
    photos: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    missing = tmp_path / "missing.jpg"
    assert main(["predict", str(missing), str(photos), "-o", str(out), "--model", str(tiny_model)]) == 1
    assert {path.stem for path in out.glob("*.json")} == GOOD
    for stem in GOOD:
        signed = tifffile.imread(out / f"{stem}.signed_defocus_px.tiff")
        assert signed.shape == (48, 64) and np.isfinite(signed).all()
        assert json.loads((out / f"{stem}.json").read_text())["complete"] is True
    said = capsys.readouterr()
    assert "words.jpg: not an image" in said.err
    assert "cut.jpg: " in said.err and "truncated" in said.err
    assert "dot.png: 1 x 1 px is too small: expected at least 32 px" in said.err
    assert "missing.jpg: no such file" in said.err
    assert "4 of the inputs failed" in said.err
    assert sum(f"{photos}{os.sep}" in line and "->" in line for line in said.out.splitlines()) == len(GOOD)
    assert "orientation 99 ignored" in said.out and "focal length" in said.out


def test_one_photo(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(90, 120).save(tmp_path / "cup.png")
    arguments = ["predict", str(tmp_path / "cup.png"), "-o", str(tmp_path / "out"), "--model", str(tiny_model)]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "quality unknown" in said.out and "depth is relative" in said.out and "(5 files)" in said.out
    assert "u_focus" not in said.out and len(list((tmp_path / "out").iterdir())) == 5
    assert main([*arguments, "--verbose"]) == 0
    assert "120 x 90 px, inverse depth [relative], u_focus 0.5" in capsys.readouterr().out


def test_a_terminal_gets_a_progress_bar(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        picture().save(tmp_path / f"{name}.png")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert main(["predict", str(tmp_path), "-o", str(tmp_path / "out"), "--model", str(tiny_model)]) == 0
    said = capsys.readouterr()
    assert "2/2" in said.err and said.out.count(" -> ") == 2


def test_the_lens_flags_give_metres_and_are_echoed(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(90, 120).save(tmp_path / "cup.png")
    arguments = ["predict", str(tmp_path / "cup.png"), "-o", str(tmp_path / "out"), "--model", str(tiny_model)]
    lens = ["--focal-mm", "50", "--f-number", "2", "--pixel-um", "5"]
    assert main([*arguments, *lens]) == 0
    assert "depth counts from the plane of focus" in capsys.readouterr().out
    assert main([*arguments, *lens, "--focus-m", "10"]) == 0
    said = capsys.readouterr().out
    assert "depth in metres: in focus at 9.95 m, sharp from 9.91 m to 9.99 m" in said and "(7 files)" in said
    facts = json.loads((tmp_path / "out" / "cup.json").read_text())
    assert facts["lens"] == {"focal_mm": 50, "f_number": 2, "pixel_um": 5, "focus_m": 10}
    assert tifffile.imread(tmp_path / "out" / "cup.depth_m.tiff").min() > 0
    assert main([*arguments, *lens, "--focus-m", "inf"]) == 0
    assert "in focus at infinity" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "message"),
    [("nowhere", "no such model; expected a shipped model"), ("empty", "config.json: not readable")],
)
def test_a_missing_model(tmp_path: Path, model: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    picture().save(tmp_path / "cup.png")
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(tmp_path / "cup.png"), "-o", str(tmp_path), "--model", str(tmp_path / model)]) == 1
    assert message in capsys.readouterr().err


def test_a_damaged_model(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture().save(tmp_path / "cup.png")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((tiny_model / "config.json").read_bytes())
    (broken / "model.onnx").write_bytes(b"rubbish")
    assert main(["predict", str(tmp_path / "cup.png"), "-o", str(tmp_path), "--model", str(broken)]) == 1
    assert "model.onnx: not a graph" in capsys.readouterr().err


def test_photos_of_one_stem_and_a_second_run(tiny_model: Path, tmp_path: Path) -> None:
    inputs = []
    for name in ("a/cup.png", "b/cup.png", "a/cup.bmp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        picture().save(path)
        inputs.append(str(path))
    arguments = ["predict", *inputs, "-o", str(tmp_path / "out"), "--model", str(tiny_model)]
    assert main(arguments) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert {name.partition(".")[0] for name in before} == {"cup", "cup_2", "cup_3"}
    assert main(arguments) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_resume_skips_existing_results(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png"):
        picture().save(tmp_path / name)
    arguments = ["predict", str(tmp_path), "-o", str(tmp_path / "out"), "--model", str(tiny_model), "--resume"]
    seen = watched(monkeypatch)
    assert main(arguments) == 0 and sorted(seen) == ["a.png", "b.png"]
    assert main(arguments) == 0 and len(seen) == 2
    assert capsys.readouterr().out.count("done before") == 2
    # Neither a newer date of the same content nor an older one of another is believed.
    os.utime(tmp_path / "a.png", (4e9, 4e9))
    picture(50, 70).save(tmp_path / "b.png")
    os.utime(tmp_path / "b.png", (1e9, 1e9))
    assert main(arguments) == 0 and seen[2:] == ["b.png"]
    assert main([*arguments, "--focal-mm", "35"]) == 0 and sorted(seen[3:]) == ["a.png", "b.png"]
    assert main([*arguments, "--focal-mm", "35", "--refine"]) == 0 and sorted(seen[5:]) == ["a.png", "b.png"]


def test_resume_does_not_take_the_results_of_other_weights(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture().save(tmp_path / "a.png")
    onnx = pytest.importorskip("onnx")
    other = Path(shutil.copytree(tiny_model, tmp_path / "other"))
    graph = onnx.load(other / "model.onnx")
    next(tensor for tensor in graph.graph.initializer if tensor.name == "kappa").float_data[0] = 30.0
    onnx.save(graph, other / "model.onnx")
    arguments = ["predict", str(tmp_path / "a.png"), "-o", str(tmp_path / "out"), "--resume", "--model"]
    seen = watched(monkeypatch)
    assert main([*arguments, str(tiny_model)]) == 0 and len(seen) == 1
    assert main([*arguments, str(other)]) == 0 and len(seen) == 2
    assert main([*arguments, str(other)]) == 0 and len(seen) == 2


def test_an_interrupted_run_continues(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {*"abcdefgh"}
    for name in names:
        picture().save(tmp_path / f"{name}.png")
    out = tmp_path / "out"
    arguments = ["predict", str(tmp_path), "-o", str(out), "--model", str(tiny_model), "--resume"]
    write = StagedFiles.write

    def stopped(staged: StagedFiles, path: Path, content: Any) -> Path:
        if path.name == "b.signed_defocus_px.tiff":
            raise KeyboardInterrupt  # as Ctrl-C does, in the middle of the second photo
        return write(staged, path, content)

    monkeypatch.setattr(StagedFiles, "write", stopped)
    assert main(arguments) == 130
    assert "interrupted" in capsys.readouterr().err
    done = {facts.stem for facts in out.glob("?.json") if json.loads(facts.read_text())["complete"]}
    # Photos after the second may be done: those that were given to other threads before. The last is never among them.
    assert "a" in done and not done & {"b", "h"}
    assert not (out / "h.json").exists() and not list(out.glob(".*"))
    monkeypatch.setattr(StagedFiles, "write", write)
    seen = watched(monkeypatch)
    assert main(arguments) == 0 and set(seen) == {f"{name}.png" for name in names - done}
    assert "a.png: done before" in capsys.readouterr().out
    assert all(json.loads((out / f"{name}.json").read_text())["complete"] for name in names)


def test_photos_of_one_name_are_numbered_in_order_whichever_is_written_first(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        picture().save(tmp_path / name / "cup.png")
    write, second_done = folder.save, Event()

    def save_late(prediction: Prediction, *arguments: Any, **detail: Any) -> dict[str, Path]:
        assert prediction.photo.path is not None
        if prediction.photo.path.parent.name == "a":
            assert second_done.wait(30)
        files = write(prediction, *arguments, **detail)
        second_done.set()
        return files

    monkeypatch.setattr(folder, "save", save_late)
    photos = [str(tmp_path / name / "cup.png") for name in "ab"]
    assert main(["predict", *photos, "-o", str(tmp_path / "out"), "--model", str(tiny_model)]) == 0
    sources = [json.loads((tmp_path / "out" / name).read_text())["source"] for name in ("cup.json", "cup_2.json")]
    assert sources == photos


def test_photos_are_found_in_folders_and_by_patterns_and_once_each(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", ".hidden.png", "cup.preview.png", "cup.inv_depth.tiff", "x.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "cup.json").write_text('{"mddnet_prediction": 1, "source": "cup.jpg", "complete": false}')
    (tmp_path / "folder.png").mkdir()
    found, failures = find_photos(
        [str(tmp_path / "b.JPG"), str(tmp_path), str(tmp_path / "*.png"), str(tmp_path / "x.txt")]
    )
    assert [path.name for path in found] == ["b.JPG", "a.png", "cup.preview.png", "x.txt"] and failures == []
    (tmp_path / "none").mkdir()
    found, failures = find_photos([str(tmp_path / "none"), str(tmp_path / "*.webp")])
    assert found == [] and "no photo in this folder" in failures[0] and "no file matches" in failures[1]


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "cup[1].png").write_bytes(b"")
    found, failures = find_photos([str(tmp_path / "cup[1].png")])
    assert [path.name for path in found] == ["cup[1].png"] and failures == []


def test_a_real_pair_of_photos(shared_data: Path, tiny_model: Path, tmp_path: Path) -> None:
    pair = sorted((shared_data / "pairs").iterdir())[0]
    assert main(["predict", str(pair), "-o", str(tmp_path), "--model", str(tiny_model)]) == 0
    assert len(list(tmp_path.glob("*.preview.png"))) == len([p for p in pair.iterdir() if p.suffix == ".jpg"])


def test_a_list_from_standard_input_and_json_output(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture().save(tmp_path / "a b.png")
    picture(50, 70).save(tmp_path / "c.png")
    (tmp_path / "bad.png").write_text("no image")
    names = [str(tmp_path / name) for name in ("a b.png", "bad.png", "c.png")]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join([*names, ""]).encode())))
    out = tmp_path / "out"
    assert main(["predict", "--list", "-", "-o", str(out), "--model", str(tiny_model), "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["photo"] for line in lines] == names
    assert "bad.png" in lines[1]["error"] and "error" not in lines[0]
    assert lines[2]["width_px"] == 70 and (out / lines[2]["files"]["signed_defocus_px"]).exists()
    (tmp_path / "list.txt").write_text(names[2] + "\n")
    assert (
        main(["predict", names[0], "--list", str(tmp_path / "list.txt"), "-o", str(out), "--model", str(tiny_model)])
        == 0
    )
    assert sum("depth is relative" in line for line in capsys.readouterr().out.splitlines()) == 2
    assert main(["predict", "--list", str(tmp_path / "none.txt"), "-o", str(out)]) == 2
    assert main(["predict", "-o", str(out)]) == 2


def test_formats_are_written_and_a_resumed_run_wants_them_all(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save(tmp_path / "cup.png")
    out = tmp_path / "out"
    flags = ["predict", str(tmp_path / "cup.png"), "-o", str(out), "--model", str(tiny_model), "--resume"]
    assert main([*flags, "--formats", "png, npy"]) == 0
    assert (out / "cup.inv_depth.png").exists() and (out / "cup.inv_depth.npy").exists()
    assert not (out / "cup.inv_depth.tiff").exists()
    capsys.readouterr()
    assert main([*flags, "--formats", "npy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["complete"] is True  # done before, and said in the same words
    assert main(flags) == 0
    assert (out / "cup.inv_depth.tiff").exists() and "done before" not in capsys.readouterr().out
    assert main([*flags, "--formats", "tiff,jpeg"]) == 2


def test_masks_and_points_are_formats_too(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture().save(tmp_path / "cup.png")
    out = tmp_path / "out"
    flags = ["predict", str(tmp_path / "cup.png"), "-o", str(out), "--model", str(tiny_model), "--resume"]
    assert main([*flags, "--formats", "mask,ply,glb"]) == 0
    names = {"cup.defocus_mask.tiff", "cup.points.ply", "cup.points.glb", "cup.preview.png", "cup.json"}
    assert {path.name for path in out.iterdir()} == names
    capsys.readouterr()
    assert main([*flags, "--formats", "ply"]) == 0 and "done before" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    assert main([*flags, "--formats", "exr"]) == 1
    assert 'pip install "mddnet[formats]"' in capsys.readouterr().err


def test_a_camera_that_stores_jpeg_and_raw_gives_one_photo(tmp_path: Path) -> None:
    for name in ("one.jpg", "one.NEF", "two.cr2", "three.heic", "clip.mp4"):
        (tmp_path / name).write_bytes(b"")
    found, failures = find_photos([str(tmp_path)])
    assert [path.name for path in found] == ["one.jpg", "three.heic", "two.cr2"] and failures == []
    found, _ = find_photos([str(tmp_path / "one.NEF"), str(tmp_path / "clip.mp4")])  # what is named is taken
    assert [path.name for path in found] == ["one.NEF", "clip.mp4"]


def test_linear_samples(tmp_path: Path, tiny_model: Path) -> None:
    light = np.full((48, 64, 3), 0.2, np.float32)
    tifffile.imwrite(tmp_path / "light.tif", light, photometric="rgb")
    flags = ["predict", str(tmp_path / "light.tif"), "-o", str(tmp_path / "out"), "--model", str(tiny_model)]
    assert main([*flags, "--linear"]) == 0
    # The inverse depth is the red channel: sRGB of 0.2 is 124 / 255.
    u = tifffile.imread(tmp_path / "out" / "light.inv_depth.tiff")
    assert np.abs(u - 124 / 255).max() < 0.01


def check_film(path: Path, frames: int) -> None:
    """A film of previews with different frames of one size."""
    av = pytest.importorskip("av", reason="reading it back needs the extra formats")
    with av.open(str(path)) as film:
        shown = [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(film.streams.video[0])]
    assert len(shown) == frames and shown[0].shape[1] > 700
    assert all(np.abs(a - b).max() > 40 for a, b in pairwise(shown))


def test_a_video_frame_by_frame_with_one_range(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [np.asarray(picture(96, 128)) // (4 - i) for i in range(4)]  # brighter, hence nearer, from frame to frame
    write_video(tmp_path / "clip.mkv", frames, "ffv1")
    out = tmp_path / "out"
    flags = ["predict", str(tmp_path / "clip.mkv"), "-o", str(out), "--model", str(tiny_model), "--resume", "--json"]
    assert main(flags) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["facts"] for line in lines] == [f"clip.{i:06d}.json" for i in range(4)]
    assert {line["photo"] for line in lines} == {str(tmp_path / "clip.mkv")}
    ranges = [line["preview_range"] for line in lines]
    assert all(item == ranges[0] for item in ranges) and ranges[0]["fixed"] is True
    highest = [float(tifffile.imread(out / f"clip.{i:06d}.inv_depth.tiff").max()) for i in range(4)]
    assert highest == pytest.approx([frame.max() / 255 for frame in (f[:, :, 0] for f in frames)], abs=0.02)
    assert ranges[0]["high"] > 0.9
    check_film(out / "clip.preview.mp4", 4)
    facts = json.loads((out / "clip.json").read_text())
    assert (facts["complete"], facts["frames"], facts["rate_hz"]) == (True, 4, 10)
    (out / "clip.preview.mp4").unlink()
    seen = watched(monkeypatch)
    assert main(flags) == 0 and seen == []
    check_film(out / "clip.preview.mp4", 4)  # made again
    assert [json.loads(line)["facts"] for line in capsys.readouterr().out.splitlines()] == [
        line["facts"] for line in lines
    ]


def test_a_video_cut_short_is_reported_and_its_frames_are_kept(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    frames = [random.integers(0, 255, (96, 128, 3), dtype=np.uint8) for _ in range(8)]
    write_video(tmp_path / "clip.mkv", frames, "ffv1")
    data = (tmp_path / "clip.mkv").read_bytes()
    (tmp_path / "clip.mkv").write_bytes(data[: len(data) // 2])
    assert main(["predict", str(tmp_path / "clip.mkv"), "-o", str(tmp_path / "out"), "--model", str(tiny_model)]) == 1
    assert "clip.mkv: " in capsys.readouterr().err
    assert 1 <= len(list((tmp_path / "out").glob("clip.*.json"))) <= 4


def test_the_camera_or_its_sensor_gives_metres(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(480, 720).save(tmp_path / "a.png")
    out = tmp_path / "out"
    run = ["predict", str(tmp_path / "a.png"), "-o", str(out), "--model", str(tiny_model), "--resume"]
    lens = ["--focal-mm", "50", "--f-number", "1.8", "--focus-m", "2"]
    assert main([*run, *lens]) == 0
    assert "the pixel pitch (--pixel-um, --camera or --sensor)" in capsys.readouterr().out
    assert main([*run, *lens, "--sensor", "36x24"]) == 0
    assert json.loads((out / "a.json").read_text())["lens"]["pixel_um"] == pytest.approx(50.0)
    assert main([*run, *lens, "--camera", "Canon EOS 600D"]) == 0
    assert json.loads((out / "a.json").read_text())["lens"]["pixel_um"] == pytest.approx(22300 / 720)
    assert "are" not in capsys.readouterr().err
    seen = watched(monkeypatch)
    assert main([*run, *lens, "--camera", "Canon EOS 600D"]) == 0 and seen == []
    assert main([*run, *lens, "--sensor", "24x16"]) == 0 and seen == ["a.png"]


@pytest.mark.parametrize(
    "flags", [["--camera", "Canon EOS 601D"], ["--sensor", "big"], ["--sensor", "36x24", "--pixel-um", "6"]]
)
def test_a_wrong_camera_is_a_usage_error(tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "a.jpg", "-o", str(tmp_path), *flags]) == 2
    assert flags[0] in capsys.readouterr().err


def test_without_out_the_results_are_in_mddnet_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    picture().save("cup.png")
    assert main(["predict", "cup.png"]) == 0
    assert (tmp_path / "mddnet_out" / "cup.preview.png").is_file()
    assert str(Path("mddnet_out") / "cup.*") in capsys.readouterr().out


def test_without_photos_two_examples_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict"]) == 2
    assert capsys.readouterr().err.count("  mddnet predict photo") == 2
    assert main([]) == 0
    assert capsys.readouterr().out.count("  mddnet predict photo") == 2


def test_detail_of_the_files_is_chosen_and_resumed(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(480, 720).save(tmp_path / "a.png")
    out = tmp_path / "out"
    run = ["predict", str(tmp_path / "a.png"), "-o", str(out), "--model", str(tiny_model), "--resume"]
    seen = watched(monkeypatch)
    assert main(run) == 0 and seen == ["a.png"]
    small = (out / "a.inv_depth.tiff").stat().st_size
    assert main([*run, "--preview-only"]) == 0 and len(seen) == 1  # it is there already
    assert main([*run, "--full"]) == 0 and len(seen) == 2
    assert (out / "a.inv_depth.tiff").stat().st_size > 4 * 480 * 720 > small
    assert main([*run, "--full"]) == 0 and len(seen) == 2
    assert main([*run, "--maps-at", "network"]) == 0 and len(seen) == 3
    assert max(tifffile.imread(out / "a.inv_depth.tiff").shape) < 720
    (out / "a.preview.png").unlink()
    assert main([*run, "--preview-only"]) == 0 and len(seen) == 4
    assert sorted(path.name for path in out.iterdir()) == ["a.json", "a.preview.png"]
    assert main(run) == 0 and len(seen) == 5
    capsys.readouterr()
    assert main([*run, "--preview-only", "--full"]) == 2
    assert "--preview-only: no maps are written" in capsys.readouterr().err


def test_a_film_that_cannot_be_written_is_an_error_and_the_frames_stay(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [np.asarray(picture(96, 128))] * 3
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_video(tmp_path / name / "clip.mkv", frames, "ffv1")
    out = tmp_path / "out"
    flags = ["predict", *(str(tmp_path / name / "clip.mkv") for name in "ab"), "-o", str(out), "--preview-only"]
    with monkeypatch.context() as patch:

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "no space left on device")

        patch.setattr("mddnet.predict.preview_film.write_film", full)
        assert main([*flags, "--model", str(tiny_model)]) == 1
    assert "no film of the previews" in capsys.readouterr().err
    assert len(list(out.glob("clip.*.preview.png"))) == 6 and not list(out.glob("*.mp4"))
    # Later, each of two videos of one name has a film of its own.
    assert main([*flags, "--model", str(tiny_model), "--resume"]) == 0
    assert {path.name for path in out.glob("*.mp4")} == {"clip.preview.mp4", "clip_2.preview.mp4"}
    assert capsys.readouterr().out.count("film of 3 previews") == 2

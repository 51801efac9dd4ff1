"""``mddnet refocus``, through the function that the command calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mddnet.cli.main import main
from mddnet.photo.video import frame_count
from mddnet.predict import predictor, refocus
from mddnet.types import UInt8Array


@pytest.fixture(autouse=True)
def renderer() -> None:
    """Skip without the packages of the renderer."""
    pytest.importorskip("cv2", reason="refocusing needs OpenCV (extra build)")
    pytest.importorskip("scipy", reason="refocusing needs SciPy (extra build)")


def picture(f_number: float | None = None) -> tuple[Image.Image, dict[str, Any]]:
    """Far and out of focus on the left, in focus on the right, with noise; and the arguments to save it."""
    pixels = np.repeat(np.random.default_rng(0).integers(0, 256, (64, 96, 1), dtype=np.uint8), 3, axis=2)
    pixels[:, :, 0] = 40
    pixels[:, 48:, 0] = 128
    exif = Image.Exif()
    if f_number is not None:
        exif.get_ifd(0x8769)[0x829D] = f_number
    return Image.fromarray(pixels), {"exif": exif}


@pytest.fixture
def cup(tmp_path: Path) -> Path:
    """A photo without EXIF."""
    image, _ = picture()
    image.save(tmp_path / "cup.png")
    return tmp_path / "cup.png"


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command with the tiny model, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: main(["refocus", *map(str, arguments), "--model", str(tiny_model)])


def contrast(path: Path, columns: slice) -> float:
    return float(np.asarray(Image.open(path).convert("RGB"))[:, columns, 1].std())


def test_one_photo_with_a_strength(run: Any, cup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cup, "--strength", 3) == 0
    result = tmp_path / "mddnet_out" / "cup.refocused.png"
    assert [path.name for path in result.parent.iterdir()] == ["cup.refocused.png"]
    assert contrast(result, slice(0, 30)) < 0.3 * contrast(cup, slice(0, 30))
    assert contrast(result, slice(66, 96)) > 0.9 * contrast(cup, slice(66, 96))
    said = capsys.readouterr()
    assert "96 x 64 px, 3 times the blur" in said.out and said.err == ""


def test_an_aperture_by_exif_or_by_flag(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, options = picture(5.6)
    image.save(tmp_path / "a.jpg", **options)
    assert run(tmp_path / "a.jpg", "--aperture", 2.8) == 0 and "2 times the blur" in capsys.readouterr().out
    assert run(tmp_path / "a.jpg", "--aperture", 2.8, "--f-number", 11.2) == 0
    assert "4 times the blur" in capsys.readouterr().out
    assert run(tmp_path / "a.jpg", "--aperture", 11.2, "--format", "tiff") == 0
    assert "not possible from one photo" in capsys.readouterr().out
    assert {path.suffix for path in (tmp_path / "mddnet_out").iterdir()} == {".png", ".tiff"}


def test_an_unknown_f_number_fails_before_the_network_runs_and_others_follow(
    run: Any, cup: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    image, options = picture(4)
    (tmp_path / "b").mkdir()
    image.save(tmp_path / "b" / "cup.jpg", **options)
    (tmp_path / "bad.jpg").write_text("no image")
    (tmp_path / "clip.mp4").write_text("no image")
    inputs = (cup, tmp_path / "bad.jpg", tmp_path / "clip.mp4", tmp_path / "missing.jpg", tmp_path / "b" / "cup.jpg")
    assert run(*inputs, "--aperture", 2, "-o", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert said.out.count("->") == 1 and len(said.err.strip().splitlines()) == 4
    assert "f-number" in said.err and "clip.mp4: a video" in said.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cup_2.refocused.png"]

    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("the network is not needed")

    monkeypatch.setattr(predictor, "load", load)
    assert run(cup, "--aperture", 2) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "nothing to change"),
        (["--aperture", "2", "--strength", "2"], "one of them"),
        (["--strength", "40"], "0.05 to 20"),
        (["--strength", "-1"], "positive"),
        (["--focus", "0.5"], "x,y"),
        (["--focus", "a,b"], "x,y"),
        (["--focus", "40,30"], "fractions"),
        (["--focus", "nan,0.5"], "fractions"),
        (["--strength", "2", "--blades", "2"], "blades"),
        (["--strength", "2", "--cat-eye", "1"], "cat_eye"),
        (["--strength", "2", "--format", "gif"], "png"),
        (["--sweep", "a.avi"], ".mp4"),
        (["--sweep", "missing/a.mp4"], "folder"),
        (["--sweep", "a.mp4", "--focus", "0.5,0.5"], "one of them"),
        (["cup.png", "--sweep", "a.mp4"], "2 photos"),
    ],
)
def test_wrong_usage_before_the_network_runs(
    arguments: list[str], expected: str, run: Any, cup: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = cup.with_name("other.png")
    other.write_bytes(cup.read_bytes())
    assert run(other, *arguments) == 2
    assert expected in capsys.readouterr().err
    assert sorted(path.name for path in cup.parent.iterdir()) == ["cup.png", "other.png"]


def test_no_photo_is_wrong_usage(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--strength", 2) == 2 and "no photo" in capsys.readouterr().err


def test_a_film(run: Any, cup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av", reason="reading it back needs the extra formats")
    monkeypatch.setattr("mddnet.cli.refocus.SWEEP_FRAMES", 6)
    assert run(cup, "--strength", 2, "--sweep", tmp_path / "cup.mp4") == 0
    assert frame_count(tmp_path / "cup.mp4") == 6 and not (tmp_path / "mddnet_out").exists()


def test_an_interrupted_film_leaves_no_file(
    run: Any, cup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def frames(*_: Any, **__: Any) -> Iterator[UInt8Array]:
        yield np.zeros((64, 96, 3), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(refocus, "focus_sweep", frames)
    assert run(cup, "--sweep", tmp_path / "cup.mp4") == 130
    assert [path.name for path in tmp_path.iterdir()] == ["cup.png"] and "interrupted" in capsys.readouterr().err


def test_a_missing_package_is_one_line(
    run: Any, cup: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(refocus, "find_spec", lambda name: None)
    assert run(cup, "--strength", 2) == 1
    assert "pip install" in capsys.readouterr().err


def test_a_missing_model_is_said_once(
    cup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.png").write_bytes(cup.read_bytes())
    assert main(["refocus", str(cup), "b.png", "--strength", "2", "--model", "none/here"]) == 1
    assert capsys.readouterr().err.count("none/here") == 1


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refocus", "--help"]) == 0
    assert "mddnet refocus photo.jpg --aperture 1.4" in capsys.readouterr().out

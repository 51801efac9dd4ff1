"""A disk that is full or cannot be written: an error that says what to do, and nothing that was whole is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.reliability.files import Files, byte_differences, files_of
from PIL import Image
from tests.reliability.conftest import SmallDisk

from mddnet.cli.main import main
from mddnet.predict.output import read_facts

cv2 = pytest.importorskip("cv2")

from tests.support.made_focal_stack import textured  # noqa: E402
from tests.support.made_scenes import make_scene_root  # noqa: E402

FULL = "no space left on device; free some space or choose another disk"
LOCKED = "read-only file system"


def write_photos(folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    for i in range(count):
        Image.fromarray(textured(96, 128, seed=i)).save(folder / f"photo_{i}.png")
    return folder


def write_sharp_photos(root: Path) -> Path:
    (root / "photos").mkdir(parents=True)
    lines = ["file,source,licence"]
    for i in range(3):
        Image.fromarray(textured(72, 96, seed=i)).save(root / "photos" / f"p{i}.jpg", quality=95)
        lines.append(f"photos/p{i}.jpg,made,none")
    (root / "photos" / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What a command printed; no line of it is a traceback."""
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert "Traceback" not in text
    return " ".join(text.split()).lower()


def complete(out: Path) -> Files:
    """The files of all results that call themselves complete."""
    found: Files = {}
    for path in out.glob("*.json"):
        facts = read_facts(path)
        assert facts is not None, path
        if facts.complete:
            found |= {name: content for name, content in files_of(out).items() if name.startswith(f"{path.stem}.")}
    return found


@pytest.mark.slow
def test_predict_on_a_full_disk(
    small_disk: SmallDisk, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = write_photos(tmp_path / "photos"), small_disk.folder / "out"
    command = ["predict", str(photos), "--model", str(tiny_model), "-o"]
    assert main([*command, str(tmp_path / "undisturbed")]) == 0
    undisturbed = files_of(tmp_path / "undisturbed")
    small_disk.resize(sum(map(len, undisturbed.values())) // 2048)  # half of what all need
    capsys.readouterr()
    assert main([*command, str(out)]) == 1
    assert f"{out.as_posix()}".lower() in (words := said(capsys)) and FULL in words
    first = complete(out)
    assert first and all(undisturbed[name] == content for name, content in first.items())
    assert not list(out.glob(".*"))
    # what is whole stays whole where another run, with more to write, finds no room
    assert main([*command, str(out), "--formats", "tiff,npy"]) == 1
    assert FULL in said(capsys)
    assert complete(out) == first and not list(out.glob(".*"))
    small_disk.resize(65536)
    assert main([*command, str(out), "--resume"]) == 0
    assert byte_differences(files_of(out), undisturbed) == []


@pytest.mark.slow
def test_build_on_a_full_disk(small_disk: SmallDisk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = write_sharp_photos(tmp_path / "data"), small_disk.folder / "out"
    assert main(["build", str(data), "-o", str(tmp_path / "undisturbed")]) == 0
    undisturbed = files_of(tmp_path / "undisturbed")
    small_disk.resize(sum(map(len, undisturbed.values())) // 2048)
    capsys.readouterr()
    assert main(["build", str(data), "-o", str(out)]) == 1
    assert FULL in said(capsys)
    scenes = [path.parent for path in out.glob("*/*/scene.json")]
    assert 0 < len(scenes) < 3
    for scene in scenes:
        mine = files_of(scene)
        assert mine == {n: undisturbed[f"{scene.relative_to(out).as_posix()}/{n}"] for n in mine} and len(mine) > 5
    assert {path.name for path in out.glob(".*")} <= {".build.lock"}
    small_disk.resize(65536)
    assert main(["build", str(data), "-o", str(out)]) == 0
    assert byte_differences(files_of(out), undisturbed) == []


def test_shards_on_a_full_disk(small_disk: SmallDisk, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    command = ["shards", str(root), "--split", str(split), "-o"]
    assert main([*command, str(tmp_path / "undisturbed")]) == 0
    undisturbed = files_of(tmp_path / "undisturbed")
    out = small_disk.folder / "out"
    small_disk.resize(len(undisturbed["train-000000.tar"]) // 2048)  # room for the smaller dev shard only
    capsys.readouterr()
    assert main([*command, str(out)]) == 1
    assert FULL in said(capsys)
    found = files_of(out)
    assert "SHA256SUMS" not in found and "train-000000.tar" not in found
    assert found.get("dev-000000.tar") == undisturbed["dev-000000.tar"]
    small_disk.resize(65536)
    assert main([*command, str(out)]) == 0
    assert byte_differences(files_of(out), undisturbed) == []


@pytest.mark.slow
def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(
    small_disk: SmallDisk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from benchmarks.reliability.kill_cases import write_recipe
    from safetensors.numpy import load

    recipe = write_recipe(tmp_path)

    def command(out: Path) -> list[str]:
        return ["train", str(recipe), "--accelerator", "cpu", "--set", f"train.out={out}", "--set", "data.workers=0"]

    undisturbed, out = tmp_path / "undisturbed", small_disk.folder / "run"
    assert main(command(undisturbed)) == 0
    checkpoint = (undisturbed / "checkpoint.safetensors").stat().st_size
    small_disk.resize(3 * checkpoint // 2048)  # one and a half of them
    capsys.readouterr()
    assert main(command(out)) == 1
    words = said(capsys)
    assert FULL in words and "checkpoint.safetensors" in words
    assert (out / "checkpoint.safetensors").stat().st_size > 0.9 * checkpoint
    assert not list(out.glob(".*")) and not (out / "model").exists()
    small_disk.resize(65536 * 4)
    assert main(command(out)) == 0
    assert "step 3 of 12" in said(capsys)
    assert (out / "log.csv").read_text() == (undisturbed / "log.csv").read_text()
    one, other = (load((run / "model" / "model.safetensors").read_bytes()) for run in (out, undisturbed))
    assert all(np.abs(one[name] - other[name]).max() <= 1e-5 for name in other)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["predict", "build", "shards", "train", "inspect"])
def test_a_folder_that_cannot_be_written(
    verb: str, small_disk: SmallDisk, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = small_disk.folder / "out"
    (small_disk.folder / "there").mkdir()
    (small_disk.folder / "there" / "before").write_bytes(b"whole")
    if verb in ("shards", "train", "inspect"):
        root, split = make_scene_root(tmp_path / "scenes")
    commands = {
        "predict": lambda out: [
            str(write_photos(tmp_path / f"photos {out.name}", 1)),
            "--model",
            str(tiny_model),
            "-o",
            str(out),
        ],
        "build": lambda out: [str(write_sharp_photos(tmp_path / f"data {out.name}")), "-o", str(out)],
        "shards": lambda out: [str(root), "--split", str(split), "-o", str(out)],
        "inspect": lambda out: [str(root), "--split", str(split), "-o", str(out / "report.html")],
    }
    if verb == "train":
        pytest.importorskip("torch")
        from benchmarks.reliability.kill_cases import write_recipe

        recipe = write_recipe(tmp_path)
        commands["train"] = lambda out: [str(recipe), "--accelerator", "cpu", "--set", f"train.out={out}"]
    before = files_of(small_disk.folder)
    small_disk.lock()
    for folder in (out, small_disk.folder / "there"):
        assert main([verb, *commands[verb](folder)]) == 1
        words = said(capsys)
        assert folder.as_posix().lower() in words and LOCKED in words and "choose another" in words
    assert files_of(small_disk.folder) == before


def test_a_limit_of_the_file_size_is_reported(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resource = pytest.importorskip("resource")
    photos, out = write_photos(tmp_path / "photos", 1), tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        code = main(["predict", str(photos), "--model", str(tiny_model), "-o", str(out)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    words = said(capsys)
    assert code == 1 and "file too large; raise the limit (ulimit -f)" in words
    assert complete(out) == {} and not list(out.glob(".*"))


@pytest.mark.slow
def test_captures_and_scenes_that_cannot_be_written_can_be_read(
    small_disk: SmallDisk, tiny_model: Path, tmp_path: Path
) -> None:
    photos, data = write_photos(small_disk.folder / "photos"), write_sharp_photos(small_disk.folder / "data")
    root, split = make_scene_root(small_disk.folder / "scenes")
    before = files_of(small_disk.folder)
    small_disk.lock()
    assert main(["predict", str(photos), "--model", str(tiny_model), "-o", str(tmp_path / "out")]) == 0
    assert main(["build", str(data), "-o", str(tmp_path / "built"), "--limit", "1"]) == 0
    assert main(["shards", str(root), "--split", str(split), "-o", str(tmp_path / "shards")]) == 0
    assert main(["inspect", str(root), "--split", str(split), "-o", str(tmp_path / "report.html")]) == 0
    assert files_of(small_disk.folder) == before

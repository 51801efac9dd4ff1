"""A batch of `mddnet predict` whose inputs, names, lists and terminal are not as expected."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from tests.cli.test_predict import picture, watched

from mddnet.cli.main import main
from mddnet.predict import folder
from mddnet.predict.folder import find_photos
from mddnet.predict.prediction import Prediction
from mddnet.predict.predictor import Model

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="such names and files exist on Linux only")
LINKS = pytest.mark.skipif(sys.platform == "win32", reason="Windows makes symbolic links for administrators only")
NOT_UTF_8 = os.fsdecode(b"a\xe9.png")
JAPANESE = "日本.png"


def saved(path: Path) -> Path:
    """A small photo at that path, whatever its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture().save(path, format="PNG")
    return path


def shell(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """`mddnet` in a process of its own, with its output as bytes."""
    command = [sys.executable, "-m", "mddnet", *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, timeout=120, check=False)


def predict(model: Path, *arguments: str | Path) -> int:
    """Exit code of `mddnet predict` with that model."""
    return main(["predict", "--model", str(model), *map(str, arguments)])


@LINUX
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_names_that_the_terminal_cannot_show(tmp_path: Path, tiny_model: Path, encoding: str) -> None:
    for name in (NOT_UTF_8, JAPANESE, "z.png"):
        saved(tmp_path / "in" / name)
    arguments = ["predict", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--model", str(tiny_model)]
    done = shell(*arguments, PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and done.stderr == b"" and done.stdout.count(b" -> ") == 3
    assert b"a?.png" in done.stdout
    done = shell(*arguments, "--json", "--resume", PYTHONIOENCODING=encoding)
    photos = [json.loads(line)["photo"] for line in done.stdout.splitlines()]
    assert sorted(Path(photo).name for photo in photos) == sorted([NOT_UTF_8, JAPANESE, "z.png"])
    facts = json.loads((tmp_path / "out" / NOT_UTF_8).with_suffix(".json").read_text(encoding="utf-8"))
    assert facts["source"] == str((tmp_path / "in" / NOT_UTF_8).resolve())


@LINUX
def test_a_closed_pipe_ends_the_run_quietly(tmp_path: Path, tiny_model: Path) -> None:
    for number in range(4):
        saved(tmp_path / f"{number}.png")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "mddnet", "predict", str(tmp_path), "-o", str(tmp_path / "out")]
    done = subprocess.run([*command, "--model", str(tiny_model)], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@LINKS
@pytest.mark.parametrize("verb", ["predict", "build", "shards", "evaluate"])
@pytest.mark.parametrize("out", ["file", "file/below", "x" * 300, "loop/below"])
def test_a_folder_that_cannot_be_is_wrong_usage(
    tmp_path: Path, verb: str, out: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.setattr(Model, "__init__", lambda *_: pytest.fail("the network was loaded"))
    assert main([verb, str(saved(tmp_path / "a.png")), "-o", str(tmp_path / out)]) == 2
    said = "".join(line.strip("│ ") + " " for line in capsys.readouterr().err.splitlines())
    assert "expected a folder" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "file", "loop"]


@LINKS
def test_a_folder_may_be_new_or_a_link_to_one(tmp_path: Path, tiny_model: Path) -> None:
    photo = saved(tmp_path / "a.png")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert predict(tiny_model, photo, "-o", tmp_path / "link") == 0 and (tmp_path / "real" / "a.json").exists()
    assert predict(tiny_model, photo, "-o", tmp_path / "new" / "deep") == 0


@LINUX
def test_inputs_that_are_no_files_are_named_and_the_others_done(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop.png").symlink_to(tmp_path / "back.png")
    (tmp_path / "back.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    odd = [tmp_path / "loop.png", tmp_path / "pipe.png", tmp_path / ("l" * 300), Path("nul\0.png"), Path("/dev/null")]
    assert predict(tiny_model, *odd, saved(tmp_path / "z.png"), "-o", tmp_path / "out") == 1
    said = capsys.readouterr()
    reasons = ["loop.png': too many levels", "pipe.png: a pipe", "file name too long", "null byte", "/dev/null: a pipe"]
    assert all(reason in said.err for reason in reasons)
    assert said.out.count(" -> ") == 1
    # In a folder they are named, too, and not skipped.
    assert predict(tiny_model, tmp_path, "-o", tmp_path / "out", "--resume") == 1
    said = capsys.readouterr()
    assert all(f"{name}.png: " in said.err for name in ("loop", "back", "broken", "pipe"))
    assert "z.png: done before" in said.out


@LINUX
def test_names_near_the_longest(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for length in (200, 231, 232, 235, 251):
        saved(tmp_path / "in" / ("n" * length + ".png"))
    saved(tmp_path / "in" / ("日" * 75 + ".png"))
    saved(tmp_path / "in" / ("日" * 78 + ".png"))
    out = tmp_path / "out"
    assert predict(tiny_model, tmp_path / "in", "-o", out) == 1
    said = capsys.readouterr()
    assert said.out.count(" -> ") == 4
    assert [f"a name of {length} bytes" in said.err for length in (234, 235, 251)] == [True] * 3
    assert len(list(out.iterdir())) == 4 * 5


def test_an_unreadable_folder_or_file_is_named(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("closed/a.png", "open/b.png", "open/secret.png"):
        saved(tmp_path / name)
    iterdir, opened = Path.iterdir, io.FileIO

    def refusing(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    def refusing_file(path: object, *arguments: object) -> io.FileIO:
        if str(path).endswith("secret.png"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(Path, "iterdir", refusing)
    monkeypatch.setattr(io, "FileIO", refusing_file)
    for inputs in ([tmp_path / "closed", tmp_path / "open"], [tmp_path, "--recursive"]):
        assert predict(tiny_model, *inputs, "-o", tmp_path / "out") == 1
        said = capsys.readouterr()
        assert "closed" in said.err and "secret.png: not readable (permission denied)" in said.err
        assert "copy it again" not in said.err and said.out.count(" -> ") == 1


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), RecursionError("deep"), OSError("no reason")])
def test_no_error_of_one_photo_ends_the_batch(
    tmp_path: Path,
    tiny_model: Path,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in "abc":
        saved(tmp_path / f"{name}.png")
    save = folder.save

    def failing(prediction: Prediction, *arguments: object, **options: object) -> dict[str, Path]:
        if prediction.photo.path is not None and prediction.photo.path.name == "b.png":
            raise error
        return save(prediction, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(folder, "save", failing)
    assert predict(tiny_model, tmp_path, "-o", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert "b.png: " in said.err and str(error) in said.err and said.out.count(" -> ") == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_lists_of_windows(tmp_path: Path, encoding: str, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["cup\u2028of\x0ctea.png", f"caf\u00e9\x85{JAPANESE}"]
    changed = ending.join([given[0], "", " \x0c", given[1], ""]).encode(encoding)
    requested: list[str] = []
    monkeypatch.setattr(folder, "find_photos", lambda names, _: (requested.extend(names), ([], []))[1])
    monkeypatch.setattr("mddnet.cli.predict._predict_locally", lambda *_: iter(()))
    (tmp_path / "list.txt").write_bytes(changed)
    assert main(["predict", "--list", str(tmp_path / "list.txt"), "-o", str(tmp_path / "out")]) == 0
    assert requested == given
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(changed)))
    assert main(["predict", "--list", "-", "-o", str(tmp_path / "out")]) == 0
    assert requested == 2 * given


@LINUX
def test_a_list_of_names_that_are_not_utf_8(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path / NOT_UTF_8)
    lines = [os.fsencode(tmp_path / NOT_UTF_8), b"l" * 300, b"a\0b.png"]
    (tmp_path / "list.txt").write_bytes(b"\n".join(lines))
    assert predict(tiny_model, "--list", tmp_path / "list.txt", "-o", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert "file name too long" in said.err and "null byte" in said.err and said.out.count(" -> ") == 1


@pytest.mark.parametrize("damage", ["confidence removed", "preview removed", "cut", "one byte", "no checksums"])
def test_resume_checks_every_file(
    tmp_path: Path, tiny_model: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        saved(tmp_path / f"{name}.png")
    out = tmp_path / "out"
    arguments = [tmp_path, "-o", out, "--resume", "--formats", "tiff,ply"]
    seen = watched(monkeypatch)
    assert predict(tiny_model, *arguments) == 0 and len(seen) == 2
    if damage.endswith("removed"):
        next(out.glob(f"b.{damage.split()[0]}.*")).unlink()
    elif damage == "no checksums":
        facts = json.loads((out / "b.json").read_text())
        del facts["checksums"]
        (out / "b.json").write_text(json.dumps(facts))
    else:
        path = out / "b.signed_defocus_px.tiff"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data[:100] if damage == "cut" else data)
    assert predict(tiny_model, *arguments) == 0 and seen[2:] == ["b.png"]
    assert predict(tiny_model, *arguments) == 0 and len(seen) == 3


def test_own_photos_are_not_taken_for_results(tmp_path: Path, tiny_model: Path) -> None:
    for name in ("x.preview.png", "y.confidence.tiff", "z.png"):
        saved(tmp_path / name)
    (tmp_path / "y.json").write_text('{"made by": "others"}')
    assert [path.name for path in find_photos([str(tmp_path)])[0]] == ["x.preview.png", "y.confidence.tiff", "z.png"]
    for _ in range(2):  # results next to the photos are not taken for photos
        assert predict(tiny_model, tmp_path, "-o", tmp_path) == 0
        assert [path.name for path in find_photos([str(tmp_path)])[0]] == [
            "x.preview.png",
            "y.confidence.tiff",
            "z.png",
        ]
    facts = json.loads((tmp_path / "z.json").read_text())
    del facts["checksums"]
    (tmp_path / "z.json").write_text(json.dumps(facts | {"complete": False}))  # of an interrupted run
    assert len(find_photos([str(tmp_path)])[0]) == 3


@LINKS
def test_subfolders(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one/cup.png", "two/deep/cup.png", ".hidden/cup.png"):
        saved(tmp_path / "in" / name)
    (tmp_path / "in" / "two" / "back").symlink_to(tmp_path / "in")
    assert predict(tiny_model, tmp_path / "in", "-o", tmp_path / "out") == 1
    assert "--recursive" in capsys.readouterr().err
    assert predict(tiny_model, tmp_path / "in", "-o", tmp_path / "out", "--recursive") == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.json")) == ["cup.json", "cup_2.json"]
    found, failures = find_photos([str(tmp_path / "in")], recursive=True)
    assert [path.parent.name for path in found] == ["one", "deep"] and failures == []
    (tmp_path / "empty").mkdir()
    assert predict(tiny_model, tmp_path / "empty", "-o", tmp_path / "out") == 1
    assert "--recursive" not in capsys.readouterr().err


def test_warnings_of_libraries_do_not_reach_the_terminal(tmp_path: Path, tiny_model: Path) -> None:
    picture().save(tmp_path / "a.tif", description="x" * 100)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    entry = data.index(struct.pack("<HH", 270, 2))
    data[entry + 4 : entry + 8] = struct.pack("<I", 10**6)  # a tag that is longer than the file
    (tmp_path / "a.tif").write_bytes(data)
    header = struct.pack(">II5B", 12_000, 8_000, 8, 2, 0, 0, 0)  # above Pillow's limit, below ours; without pixels
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 9) + b"IDAT")
    done = shell("predict", str(tmp_path), "-o", str(tmp_path / "out"), "--model", str(tiny_model))
    assert done.returncode == 1 and b"b.png: " in done.stderr
    assert all(line.startswith(b"mddnet: ") for line in done.stderr.splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inspect", "scenes", "-o", "folder"], "a folder; expected a file"),
        (["inspect", "scenes", "-o", "file/page.html"], "a file; expected a folder"),
        (["export", "small", "-o", "file"], "a file; expected a folder"),
        (["export", "small", "-o", "folder.zip"], "a folder; expected a file"),
        (["export", "small", "-o", "file/model.zip"], "a file; expected a folder"),
        (["train", "--data", "scenes", "-o", "file"], "a file; expected a folder"),
        (["train", "--data", "scenes", "-o", "file/run"], "a file; expected a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_target_that_cannot_be_written_is_wrong_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "folder.zip", "scenes"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("")
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert words in " ".join((said.out + said.err).replace("│", " ").split())

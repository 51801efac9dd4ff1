"""Files are whole or not there; what a killed writer left is removed, what a running one writes is not."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from mddnet.errors import MddnetError, OutputError
from mddnet.io.atomic import atomic_write, atomic_write_text
from mddnet.io.folder_lock import KERNEL_LOCKS
from mddnet.io.part_file import PART_NAME, PartFile, remove_abandoned, writing_into

HOLDS_A_PART = """
import sys
from pathlib import Path
from mddnet.io.part_file import PartFile
part = PartFile(Path(sys.argv[1]))
part.stream.write(b"half")
part.stream.flush()
print(part.path.name, flush=True)
sys.stdin.read()
"""


def test_every_name_that_a_file_may_have_can_be_written(tmp_path: Path) -> None:
    for name in ("n" * 255, "日" * 85, "n" * 237 + "日" * 6):
        atomic_write(tmp_path / name, lambda stream: stream.write(b"whole"))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"] * 3
    part = PartFile(tmp_path / ("日" * 85))
    assert PART_NAME.fullmatch(part.path.name)  # found by the removal of abandoned ones
    part.discard()
    with pytest.raises(OutputError, match="shorter name"):
        atomic_write(tmp_path / ("n" * 256), lambda stream: stream.write(b"whole"))


def test_names_that_are_not_utf_8_are_escaped_in_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xe9.png")
    atomic_write_text(tmp_path / "a.json", json.dumps({"name": name}, ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": name}


def test_a_file_is_complete_or_unchanged(tmp_path: Path) -> None:
    target = tmp_path / "cup.tiff"
    target.write_bytes(b"before")

    def fails(stream: BinaryIO) -> None:
        stream.write(b"half")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        atomic_write(target, fails)
    assert target.read_bytes() == b"before"
    atomic_write(target, lambda stream: stream.write(b"after"), durable=True)
    assert target.read_bytes() == b"after"
    assert [path.name for path in tmp_path.iterdir()] == ["cup.tiff"]


def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    atomic_write(tmp_path / "mine", lambda stream: stream.write(b"x"))
    assert (tmp_path / "mine").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.skipif(not KERNEL_LOCKS, reason="no file locks here")
def test_parts_of_running_processes_stay_and_those_of_killed_ones_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".cup.tiff.part").write_bytes(b"not a name of ours")
    command = [sys.executable, "-c", HOLDS_A_PART, str(tmp_path / "cup.tiff")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        remove_abandoned(tmp_path)
        assert (tmp_path / name).read_bytes() == b"half"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    assert (tmp_path / name).exists()
    remove_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".cup.tiff.part"]


@pytest.mark.skipif(not KERNEL_LOCKS, reason="no file locks here")
def test_a_part_removed_by_a_concurrent_clean_up_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulates a clean-up by another process between creating and locking a part."""
    import mddnet.io.part_file as module

    calls: list[int] = []

    def try_lock(handle: int) -> str:
        calls.append(handle)
        if len(calls) == 1:
            next(tmp_path.glob(".*.part")).unlink()
        return "acquired"

    monkeypatch.setattr(module, "try_lock", try_lock)
    part = PartFile(tmp_path / "cup")
    part.stream.close()
    part.commit()
    assert len(calls) == 2 and (tmp_path / "cup").exists()


def test_handles_are_closed(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("no list of open files on this system")
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        atomic_write(tmp_path / "cup", lambda stream: stream.write(b"x"))
        with pytest.raises(ZeroDivisionError):
            atomic_write(tmp_path / "cup", lambda stream: 1 / 0)
    assert len(list(descriptors.iterdir())) == before


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "choose another folder"),
        (errno.EACCES, "choose another folder"),
        (errno.EFBIG, "ulimit -f"),
    ],
)
def test_refused_writes_state_the_fix(tmp_path: Path, number: int, expected: str) -> None:
    path = tmp_path / "cup.tiff"
    with pytest.raises(MddnetError, match=expected) as caught, writing_into(tmp_path):
        raise OSError(number, os.strerror(number), str(path))
    assert str(caught.value).startswith(str(path)) and isinstance(caught.value, OutputError)


def test_other_errors_are_not_changed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writing_into(tmp_path):
        (tmp_path / "none").read_bytes()
    with pytest.raises(PermissionError) as caught, writing_into(tmp_path):
        raise OSError(errno.EACCES, "Permission denied", str(tmp_path.parent / "elsewhere"))
    assert not isinstance(caught.value, OutputError)

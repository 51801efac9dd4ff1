"""One process at a time; the lock of a killed process is none, and a forked one does not hold it on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mddnet.errors import OutputError
from mddnet.io.folder_lock import KERNEL_LOCKS, FolderLock

pytestmark = pytest.mark.skipif(not KERNEL_LOCKS, reason="no file locks here")

HOLDS = """
import os, sys
from pathlib import Path
from mddnet.io.folder_lock import FolderLock
with FolderLock(Path(sys.argv[1]), "build"):
    if sys.argv[2] == "fork" and os.fork() == 0:
        print("held", flush=True)
        sys.stdin.read()  # outlives its parent
        os._exit(0)
    if sys.argv[2] != "fork":
        print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDS, str(folder), how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline().strip() == "held"
    return process


def test_a_second_lock_is_refused_and_the_first_leaves_no_file(tmp_path: Path) -> None:
    with FolderLock(tmp_path, "train"):
        with pytest.raises(OutputError, match=r"another .*\(mddnet train\)") as caught:
            FolderLock(tmp_path, "train").__enter__()
        assert str(caught.value).startswith(str(tmp_path))
        with FolderLock(tmp_path, "predict"):
            pass
    assert list(tmp_path.iterdir()) == []
    with FolderLock(tmp_path, "train"):
        pass


def test_the_lock_of_a_killed_process_does_not_block(tmp_path: Path) -> None:
    with holder(tmp_path, "alone") as process:
        with pytest.raises(OutputError):
            FolderLock(tmp_path, "build").__enter__()
        process.kill()
        process.wait(timeout=30)
        assert (tmp_path / ".build.lock").exists()
        with FolderLock(tmp_path, "build"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_forked_process_that_outlives_its_killed_parent_does_not_block(tmp_path: Path) -> None:
    with holder(tmp_path, "fork") as process:
        with pytest.raises(OutputError):
            FolderLock(tmp_path, "build").__enter__()
        process.kill()
        process.wait(timeout=30)
        with FolderLock(tmp_path, "build"):
            pass


def test_the_timeout_waits_for_the_other_process(tmp_path: Path) -> None:
    with holder(tmp_path, "alone") as process:
        started = time.monotonic()
        with pytest.raises(OutputError):
            FolderLock(tmp_path, "build", timeout_s=0.2).__enter__()
        assert time.monotonic() - started >= 0.2
        assert process.stdin is not None
        process.stdin.close()
        with FolderLock(tmp_path, "build", timeout_s=30):
            assert (tmp_path / ".build.lock").exists()


def test_a_lock_file_removed_by_its_holder_is_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulates a release between opening and locking, so that the locked file is no longer in the folder."""
    import mddnet.io.folder_lock as module

    original, calls = module.try_lock, []

    def try_lock(handle: int) -> str:
        calls.append(handle)
        if len(calls) == 1:
            (tmp_path / ".build.lock").unlink()
        return original(handle)

    monkeypatch.setattr(module, "try_lock", try_lock)
    with FolderLock(tmp_path, "build"):
        assert len(calls) == 2 and (tmp_path / ".build.lock").exists()
    assert not (tmp_path / ".build.lock").exists()


def test_a_file_system_without_locks_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mddnet.io.folder_lock as module

    class NoLocks:
        LOCK_EX = LOCK_NB = 0

        @staticmethod
        def flock(handle: int, flags: int) -> None:
            raise OSError(38, os.strerror(38))

    monkeypatch.setattr(module, "fcntl", NoLocks)
    with FolderLock(tmp_path, "build"), FolderLock(tmp_path, "build"):
        pass

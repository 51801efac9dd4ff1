"""Workers run in the current folder, and exit when their parent is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("joblib")

from mddnet.scenes.worker import in_processes

WAITS_FOR_WORKERS = """
import os, sys, time
from joblib import Parallel, delayed
def work(path):
    from mddnet.scenes.worker import become_worker
    become_worker()
    become_worker()
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(120)
Parallel(n_jobs=2, backend="loky")(delayed(work)(path) for path in sys.argv[1:])
"""


def named(path: Path) -> tuple[str, int]:
    """The absolute path, and the process."""
    return str(path.resolve()), os.getpid()


def test_reused_workers_change_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found.append(dict(in_processes(named, [(Path("a"),), (Path("b"),)], jobs=2)))
    for name, paths in zip(("first", "second"), found, strict=True):
        assert set(paths) == {str(tmp_path / name / "a"), str(tmp_path / name / "b")}
    assert set(found[0].values()) & set(found[1].values()), "no worker was used twice: the test shows nothing"


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc")
def test_workers_exit_when_their_parent_is_killed(tmp_path: Path) -> None:
    paths = [tmp_path / "one", tmp_path / "other"]
    with subprocess.Popen([sys.executable, "-c", WAITS_FOR_WORKERS, *map(str, paths)]) as process:
        for _ in range(1200):
            if all(path.is_file() and path.read_text() for path in paths):
                break
            time.sleep(0.05)
        workers = [int(path.read_text()) for path in paths]
        assert all(runs(pid) for pid in workers)
        process.kill()
    for _ in range(600):
        if not any(runs(pid) for pid in workers):
            return
        time.sleep(0.05)
    raise AssertionError("the workers still run after 30 s")

"""Two kills of every command; `make table-kills` kills each two hundred times."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytest.importorskip("torch")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes to fork on this system")
def test_commands_that_are_killed_end_as_if_they_were_not(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.reliability.kill_table", "--kills", "1", "--work", str(tmp_path)]
    command += [word for name in ("predict", "build", "shards", "train") for word in ("--only", name)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.count("| 1 | 1 |") == 4

"""The demo in a separate process, for tests over loopback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_S = 300

LAW_SERVER = """
import sys
from mddnet.demo.app import serve
from mddnet.demo.jobs import Jobs
from mddnet.demo.scratch import Scratch
from mddnet.demo.upload import Limits
from tests.support.made_law_model import LawModel
limits = Limits(megapixels=4, file_mb=8, queue=int(sys.argv[1]))
scratch = Scratch(200, 3600)
print(f"scratch={scratch.root}", flush=True)
try:
    serve(Jobs(LawModel(), limits, scratch), "127.0.0.1", 0)
finally:
    scratch.close()
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A page that runs: its address, its process, and the folder where it keeps files."""

    url: str
    process: subprocess.Popen[str]
    scratch: Path | None


@contextmanager
def served(*arguments: str) -> Iterator[Server]:
    """Run ``python ARGUMENTS`` until the page prints its address; stop it cleanly at the end.

    By SIGTERM: where tests run in the background, SIGINT may be ignored by all that they start.
    """
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    lines: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "http://" in line or not line:
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        assert ready.wait(START_S), "the page did not start"
        text = "".join(lines)
        found = re.search(r"http://[\d.]+:\d+", text)
        assert found, f"no address in: {text}"
        scratch = re.search(r"scratch=(\S+)", text)
        yield Server(found[0], process, Path(scratch[1]) if scratch else None)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

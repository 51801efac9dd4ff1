"""Provenance of a result file: version and commit of the code, machine, time."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from mddnet.cores import usable_cores
from mddnet.version import __version__

_CHECKOUT = Path(__file__).parents[3]


def provenance() -> dict[str, str]:
    """``version``, ``commit``, ``machine``, ``made_at`` (UTC); a commit that cannot be determined is "unknown"."""
    return {
        "version": __version__,
        "commit": commit(),
        "machine": machine(),
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def commit() -> str:
    """The commit of the code; ``"... and changes"`` if files of ``src`` differ from it."""
    if not (_CHECKOUT / ".git").exists():
        return "unknown (not run from a checkout)"
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + (" and changes" if _git("status", "--porcelain", "--untracked-files=no", "--", "src") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown (git is not installed)"


def machine() -> str:
    """Processor, usable cores and system, without the name of a host or user."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # not on every system
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return f"{model}, {usable_cores()} cores, {platform.system()}, Python {platform.python_version()}"


def provenance_line(made: Mapping[str, str], seconds: float) -> str:
    """The provenance as one line."""
    origin = f"mddnet {made['version']} at commit {made['commit']}, {made['made_at']}, on {made['machine']}"
    return f"Made by {origin}, in {seconds:.0f} s."


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_CHECKOUT), *arguments]
    return subprocess.check_output(command, stderr=subprocess.DEVNULL, encoding="utf-8", timeout=10).strip()

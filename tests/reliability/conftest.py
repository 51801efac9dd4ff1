"""Small disks and disks that cannot be written, where this machine lets the tests make some."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system in memory.

    Attributes:
        folder: where it is mounted.
    """

    folder: Path

    def resize(self, kib: int) -> None:
        """Give it that much room."""
        _mount("-o", f"remount,size={kib}k", str(self.folder))

    def lock(self) -> None:
        """Let nobody write any more."""
        _mount("-o", "remount,ro", str(self.folder))

    def unlock(self) -> None:
        """Let everybody write again."""
        _mount("-o", "remount,rw", str(self.folder))


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 64 MiB, which the test makes smaller."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not sys.platform.startswith("linux") or shutil.which("mount") is None:
        pytest.skip("a small disk is mounted on Linux only")
    if not _mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)):
        pytest.skip("no right to mount a small disk here")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)

"""Detection of scenes that a build replaces while they are read, so that frames and depth always match.

A build writes a new ``scene.json`` for every scene: its inode or modification time changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mddnet.errors import CaptureError


class ReplacedScene(CaptureError):
    """A scene that was replaced while it was read."""


@dataclass(frozen=True, slots=True)
class SceneStamp:
    """Identity of ``scene.json``: changes when a build replaces the scene."""

    inode: int
    changed_ns: int
    size: int


def scene_stamp(folder: Path) -> SceneStamp | None:
    """The stamp of the scene that is in a folder now, or None without a scene."""
    try:
        found = (folder / "scene.json").stat()
    except OSError:
        return None
    return SceneStamp(found.st_ino, found.st_mtime_ns, found.st_size)


def check_stamp(folder: Path, stamp: SceneStamp | None) -> None:
    """Raise ReplacedScene unless the scene in a folder still has this stamp."""
    if scene_stamp(folder) != stamp:
        raise ReplacedScene(f"{folder}: replaced by a build while it was in use; run the command again after the build")


@contextmanager
def unchanged_since(folder: Path, stamp: SceneStamp | None) -> Iterator[None]:
    """Check on exit, also after an error, that the scene still has this stamp; None disables the check.

    Raises:
        ReplacedScene: if the scene was replaced since, which may be the cause of any other error.
    """
    try:
        yield
    finally:
        if stamp is not None:
            check_stamp(folder, stamp)


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Check on exit that the scene was not replaced inside the context.

    Raises:
        ReplacedScene: if it was replaced, which may be the cause of any other error.
    """
    stamp = scene_stamp(folder)
    try:
        yield
    except (CaptureError, OSError):
        check_stamp(folder, stamp)
        raise
    check_stamp(folder, stamp)

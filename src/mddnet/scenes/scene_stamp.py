"""Detection of scenes that a build replaces while they are read, so that frames and depth always match.

A build writes a new ``scene.json`` for every scene: its inode or modification time changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mddnet.errors import CaptureError


class ReplacedScene(CaptureError):
    """A scene that was replaced while it was read."""


SceneStamp = tuple[int, int, int]  # inode, modification time and size of ``scene.json``


def scene_stamp(folder: Path) -> SceneStamp | None:
    """The stamp of the scene that is in a folder now, or None without a scene."""
    try:
        found = (folder / "scene.json").stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def check_stamp(folder: Path, stamp: SceneStamp | None) -> None:
    """Raise ReplacedScene unless the scene in a folder still has this stamp."""
    if scene_stamp(folder) != stamp:
        raise ReplacedScene(f"{folder}: replaced by a build while it was in use; run the command again after the build")


@contextmanager
def unchanged_since(folder: Path, stamp: SceneStamp | None) -> Iterator[None]:
    """Raise ReplacedScene on exit, also after an error that it may explain, unless the scene has this stamp or None."""
    try:
        yield
    finally:
        if stamp is not None:
            check_stamp(folder, stamp)


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Raise ReplacedScene on exit, also after an error that this may explain, if the scene was replaced meanwhile."""
    stamp = scene_stamp(folder)
    try:
        yield
    except (CaptureError, OSError):
        check_stamp(folder, stamp)
        raise
    check_stamp(folder, stamp)

"""Scenes that a build replaces while they are read: noticed, so that nobody gets frames of one and depth of the other.

A build writes ``scene.json`` anew for every scene that it puts into place: another file, or another time of change.
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
    """What tells a scene from one built into its folder later.

    Attributes:
        inode: number of the file ``scene.json``.
        changed_ns: time of its last change.
        size: its bytes.
    """

    inode: int
    changed_ns: int
    size: int


def scene_stamp(folder: Path) -> SceneStamp | None:
    """The stamp of the scene that lies in a folder now, or None where there is none."""
    try:
        found = (folder / "scene.json").stat()
    except OSError:
        return None
    return SceneStamp(found.st_ino, found.st_mtime_ns, found.st_size)


def check_stamp(folder: Path, stamp: SceneStamp | None) -> None:
    """Check that a folder holds the scene that it held before.

    Raises:
        ReplacedScene: if it does not.
    """
    if scene_stamp(folder) != stamp:
        raise ReplacedScene(
            f"{folder}: replaced by a build while it was in use; run the command again when the build is through"
        )


@contextmanager
def unchanged_since(folder: Path, stamp: SceneStamp | None) -> Iterator[None]:
    """What is read of a scene in this context is of the scene that had this stamp.

    Args:
        folder: the scene folder.
        stamp: of the scene when it was opened; None if that is not known, then nothing is checked.

    Raises:
        ReplacedScene: if it was replaced since, which may have been the reason of any other error.
    """
    try:
        yield
    finally:
        if stamp is not None:
            check_stamp(folder, stamp)


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """What is read of a scene in this context is all of one and the same scene.

    Raises:
        ReplacedScene: if it was replaced meanwhile, which may have been the reason of any other error.
    """
    stamp = scene_stamp(folder)
    try:
        yield
    except (CaptureError, OSError):
        check_stamp(folder, stamp)
        raise
    check_stamp(folder, stamp)

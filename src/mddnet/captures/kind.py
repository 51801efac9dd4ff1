"""Kinds of captures. Each reader's module defines the records ``KINDS``, which :mod:`mddnet.kinds` collects.

A new kind needs two files: a module here with the reader and the record, and one in :mod:`mddnet.scenes` with the
builder that the record names.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mddnet.types import SceneRecord


def scene_name(name: str) -> str:
    """A safe folder name: other characters than letters, digits, dot, dash and underscore are replaced."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".") or "_"


@dataclass(frozen=True, slots=True)
class ListedCapture:
    """An unread capture listed by a manifest or a data set."""

    name: str  # unique among the captures of its kind
    location: str  # captures of one location share one part of the split
    source: str  # origin of the capture
    licence: str  # licence stated there

    @property
    def scene(self) -> str:
        """Name of the scene folder."""
        return scene_name(self.name)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the scene is built from."""
        raise NotImplementedError

    @property
    def facts(self) -> dict[str, Any]:
        """Other JSON values that the built scene depends on."""
        return {}


@dataclass(frozen=True, slots=True)
class UnusableCapture:
    """A listed capture that is incomplete; ``reason`` names the missing file."""

    name: str
    location: str
    reason: str


def has_manifest(folder: Path) -> bool:
    """Whether a folder holds ``manifest.csv``."""
    return (folder / "manifest.csv").is_file()


def plain_files(folder: Path) -> tuple[Path, ...]:
    """The files directly in a capture folder, without hidden ones."""
    return tuple(sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of capture."""

    name: str  # folder of its scenes below a scene root, key in the mixture of a recipe, and name in tables
    title: str  # heading in tables and reports
    capture: str  # capture in scene.json, and kind in capture.json
    order: int  # position in tables
    share: float  # default share in the mixture of mddnet train --data
    builder: str  # module:function that builds a scene; its module needs the extra build
    frames_measured: int = 0  # frames per scene in an evaluation; 0 if the depth is not reliable enough
    frames_rendered: int = 0  # default number of frames to render per scene; 0 for real frames
    calibrator: str = ""  # module:function that calibrates the lens of a capture folder, or ''
    # Lists the captures of a folder; None if each capture is a folder with capture.json
    reader: Callable[[Path], Sequence[ListedCapture | UnusableCapture]] | None = None
    folders: tuple[str, ...] = ()  # folders for reader below a data root
    found_in: Callable[[Path], bool] = has_manifest  # whether a folder holds captures for reader
    listing: str = "manifest.csv"  # file that lists the captures, for messages
    files_of: Callable[[Path], tuple[Path, ...]] = plain_files  # files that a scene is built from

    @property
    def real(self) -> bool:
        """Whether the frames are photographs instead of renderings from a sharp image and its depth."""
        return not self.frames_rendered

    def build(self, capture: Path | ListedCapture, out_root: Path, frames: int | None, seed: int) -> SceneRecord:
        """Build the scene of a capture (its folder, or a listed one) into ``out_root/NAME``.

        ``frames`` (None for the default of the kind) and ``seed`` apply to rendered frames. MddnetError if the capture
        is damaged, RejectedScene with the measured reason if the scene is not reliable.
        """
        build = _function(self.builder)
        if self.frames_rendered:
            return build(capture, out_root, frames or self.frames_rendered, seed)
        return build(capture, out_root)

    def calibrate(self, folder: Path) -> Any:
        """Calibrate the lens: :class:`mddnet.scenes.capture_calibration.CaptureCalibration`."""
        return _function(self.calibrator)(folder)


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)

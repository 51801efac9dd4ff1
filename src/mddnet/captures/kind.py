"""What a kind of capture is. A reader's module carries the record ``KIND`` of its kind; :mod:`mddnet.kinds` lists them.

A new kind costs two files: a module here with the reader and the record, and one in :mod:`mddnet.scenes` with the
builder that the record names.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mddnet.types import SceneRecord


@dataclass(frozen=True, slots=True)
class ListedCapture:
    """A capture that a manifest or a data set lists, not read yet.

    Attributes:
        name: unique among the captures of its kind, fit for a folder name: the scene is named after it.
        location: captures of one location are on one side of the split.
        source: where the capture comes from.
        licence: licence found there.
    """

    name: str
    location: str
    source: str
    licence: str

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that its scene is built from."""
        raise NotImplementedError

    @property
    def facts(self) -> dict[str, Any]:
        """What else its scene depends on, fit for JSON."""
        return {}


@dataclass(frozen=True, slots=True)
class UnusableCapture:
    """A capture that is listed but lacks a part.

    Attributes:
        name: its name.
        location: its location.
        reason: what is missing, with the file.
    """

    name: str
    location: str
    reason: str


def has_manifest(folder: Path) -> bool:
    """Whether a folder holds ``manifest.csv``."""
    return (folder / "manifest.csv").is_file()


def plain_files(folder: Path) -> tuple[Path, ...]:
    """The files of a capture folder, but hidden ones and those further down."""
    return tuple(sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of capture.

    Attributes:
        name: folder of its scenes below a scene root, key in the mixture of a recipe, and name in tables.
        title: heading in tables and reports.
        capture: what ``scene.json`` states as ``capture``, and ``capture.json`` of a capture folder as ``kind``.
        order: position in tables.
        real: whether the frames are photographs; else they are rendered from a sharp image and its depth.
        share: default share in training when ``mddnet train --data`` chooses the mixture.
        builder: ``module:function`` that builds a scene; its module needs the extra ``build``.
        frames_measured: frames of a scene that an evaluation measures; 0 where the depth is no truth to measure with.
        frames_rendered: frames of a scene that are rendered by default; 0 for real frames.
        calibrator: ``module:function`` that finds the lens of a capture folder, or "".
        reader: lists the captures of a folder; None where each capture is a folder with ``capture.json``.
        folders: where these folders are below a data root.
        found_in: whether a folder holds captures that ``reader`` lists.
        listing: the file that lists them, for messages.
        scene_prefix: what the names of scene folders begin with, before the name of the listed capture.
        files_of: the files that a scene of a capture folder is built from.
    """

    name: str
    title: str
    capture: str
    order: int
    real: bool
    share: float
    builder: str
    frames_measured: int = 0
    frames_rendered: int = 0
    calibrator: str = ""
    reader: Callable[[Path], Sequence[ListedCapture | UnusableCapture]] | None = None
    folders: tuple[str, ...] = ()
    found_in: Callable[[Path], bool] = has_manifest
    listing: str = "manifest.csv"
    scene_prefix: str = ""
    files_of: Callable[[Path], tuple[Path, ...]] = plain_files

    def build(self, capture: Path | ListedCapture, out_root: Path, frames: int | None, seed: int) -> SceneRecord:
        """Build the scene of a capture into ``out_root/NAME``.

        Args:
            capture: a capture folder, or a listed capture.
            out_root: folder of scenes.
            frames: number of frames to render, or None for the default; real frames are what they are.
            seed: of what is drawn for rendered frames.

        Raises:
            MddnetError: if the capture is damaged.
            RejectedScene: with the measured reason, if no trustworthy scene comes out of it.
        """
        build = _function(self.builder)
        if self.frames_rendered:
            return build(capture, out_root, frames or self.frames_rendered, seed)
        return build(capture, out_root)

    def calibrate(self, folder: Path) -> Any:
        """What the capture says of its lens: :class:`mddnet.scenes.capture_calibration.CaptureCalibration`."""
        return _function(self.calibrator)(folder)


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)

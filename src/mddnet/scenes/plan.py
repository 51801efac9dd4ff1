"""Discovery of captures below data roots, capture folders and data sets: a list of scenes to build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mddnet.captures.kind import ListedCapture, UnusableCapture, scene_name
from mddnet.errors import CaptureError, MddnetError
from mddnet.io.json_fields import display, read_json_object
from mddnet.kinds import KINDS
from mddnet.types import SceneRecord

FOLDER_KINDS = {kind.capture: kind for kind in KINDS.values() if kind.reader is None}
"""Kinds whose captures are folders, by ``kind`` in ``capture.json``."""


@dataclass(frozen=True, slots=True)
class BuildTask:
    """One scene to build from a capture folder or a listed capture."""

    kind: str  # name of the kind of capture
    name: str  # name of the scene folder
    location: str  # location of the capture, or '' if unknown before reading
    capture: Path | ListedCapture  # the capture
    files: tuple[Path, ...]  # its files

    def failed(self, reason: str) -> BuildRow:
        """The row of a failure, which names a file."""
        where = self.files[0] if self.files else self.name
        return BuildRow(self.kind, self.name, self.location, "failed", f"{where}: {reason}")


@dataclass(frozen=True, slots=True)
class BuildRow:
    """Result for one scene."""

    kind: str  # name of the kind of capture, or '' if unknown
    name: str  # name of the scene folder
    location: str  # location of the capture, or ''
    state: Literal["built", "kept", "rejected", "failed"]  # kept from an earlier build; rejected for a measured reason
    reason: str = ""  # why there is no scene, or ''
    record: SceneRecord | None = None  # the scene, or None


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """Scenes to build, and failures of listing captures."""

    tasks: tuple[BuildTask, ...]
    failures: tuple[BuildRow, ...]


def plan_build(sources: Sequence[Path], kinds: Sequence[str] = tuple(KINDS), limit: int | None = None) -> BuildPlan:
    """List the scenes that can be built from data roots and capture folders, at most ``limit`` per kind and source.

    A capture folder holds ``capture.json``. A data root holds capture folders up to three levels down (such as
    ``captures/focal_stacks/*``), and listed captures in the folders of their kinds, such as ``depth/rgbd``.
    """
    tasks: list[BuildTask] = []
    failures: list[BuildRow] = []
    for source in sources:
        if (source / "capture.json").is_file():
            found = [_capture_folder(source)]
        else:
            found = [*_captures_below(source, kinds), *_listed_below(source, kinds)]
            if not found:
                reason = f"{source}: no captures; expected capture.json in it, or captures/, depth/ or photos/"
                found = [BuildRow("", source.name, "", "failed", reason)]
        for kind in kinds:
            tasks += [entry for entry in found if isinstance(entry, BuildTask) and entry.kind == kind][:limit]
        failures += [entry for entry in found if isinstance(entry, BuildRow)]
    unique: dict[tuple[str, str], BuildTask] = {}
    for task in tasks:
        first = unique.setdefault((task.kind, task.name), task)
        if first is not task:
            reason = f"{task.files[0]}: the name {task.name} is used by {first.files[0]}; rename one of them"
            failures.append(BuildRow(task.kind, task.name, task.location, "failed", reason))
    return BuildPlan(tuple(unique.values()), tuple(failures))


def _capture_folder(folder: Path) -> BuildTask | BuildRow:
    path = folder / "capture.json"
    try:
        data = read_json_object(path)
        stated = data.get("kind")
        if not isinstance(stated, str) or stated not in FOLDER_KINDS:
            raise CaptureError(f"{path}: kind is {display(stated)}; expected one of {', '.join(FOLDER_KINDS)}")
    except CaptureError as error:
        return BuildRow("", folder.name, "", "failed", str(error))
    name, location = data.get("scene"), data.get("place")
    kind = FOLDER_KINDS[stated]
    return BuildTask(
        kind.name,
        name if isinstance(name, str) and scene_name(name) == name else folder.name,
        location if isinstance(location, str) else "",
        folder,
        kind.files_of(folder),
    )


def _captures_below(root: Path, kinds: Sequence[str]) -> Iterator[BuildTask | BuildRow]:
    """Capture folders up to three levels below ``root``, and failures for invalid ones."""
    folders = {path.parent for depth in range(1, 4) for path in root.glob("*/" * depth + "capture.json")}
    for folder in sorted(folders):
        entry = _capture_folder(folder)
        if isinstance(entry, BuildRow):
            # An unreadable capture has no kind; its parent folder may name it.
            parent_kind = folder.parent.name if folder.parent.name in KINDS else ""
            if not parent_kind or parent_kind in kinds:
                yield replace(entry, kind=parent_kind)
        elif entry.kind in kinds:
            yield entry
    for kind in kinds:
        for folder in sorted(p for p in root.glob(f"captures/{kind}/*") if p.is_dir() and p not in folders):
            yield BuildRow(kind, folder.name, "", "failed", f"{folder}: no capture.json in it")


def _listed_below(root: Path, kinds: Sequence[str]) -> Iterator[BuildTask | BuildRow]:
    for kind in (KINDS[name] for name in kinds):
        for folder in (root / name for name in kind.folders):
            if kind.reader is not None and kind.found_in(folder):
                try:
                    captures = kind.reader(folder)
                except MddnetError as error:
                    yield BuildRow(kind.name, kind.listing, "", "failed", str(error))
                    continue
                for capture in captures:
                    if isinstance(capture, UnusableCapture):
                        yield BuildRow(kind.name, capture.name, capture.location, "failed", capture.reason)
                    else:
                        yield BuildTask(kind.name, capture.scene, capture.location, capture, capture.files)

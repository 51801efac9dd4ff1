"""Building many scenes: what a source holds, one scene at a time into place, going on where it stopped.

A scene is built in a folder of its own below ``OUT/.building`` and renamed into ``OUT/GROUP/SCENE`` when it is whole,
so that whatever lies in place is whole, even after the process was killed. ``built_from.json`` inside the scene holds a
digest of the files it was made from and of the settings: a scene whose digest still holds is kept.
"""

from __future__ import annotations

import csv
import hashlib
import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import cv2

from mddnet.captures.all_in_3d import FACTS_FILE, AllIn3dScene, holds_all_in_3d, list_all_in_3d
from mddnet.captures.photo_folder import SharpPhoto, list_photos
from mddnet.captures.rgbd import RgbdFrame, list_pseudo, list_rgbd
from mddnet.captures.rig import rig_files
from mddnet.captures.stereo import StereoScene, list_stereo
from mddnet.cluster import on_ray
from mddnet.errors import CaptureError, MddnetError, OutputError, RejectedScene
from mddnet.io.atomic import atomic_write_text, write_csv
from mddnet.io.folder_lock import FolderLock
from mddnet.io.json_fields import read_json_object, shown
from mddnet.io.part_file import remove_abandoned, writing_into
from mddnet.scenes.all_in_3d_scene import build_all_in_3d_scene, out_name
from mddnet.scenes.focal_stack_scene import build_focal_stack_scene
from mddnet.scenes.light_field_scene import build_light_field_scene
from mddnet.scenes.rendered_scene import (
    FRAMES_PER_SCENE,
    build_photo_scene,
    build_pseudo_scene,
    build_rgbd_scene,
    build_stereo_scene,
    scene_rng,
)
from mddnet.scenes.rig_scene import build_rig_scene
from mddnet.scenes.store import read_scene, scene_name
from mddnet.scenes.worker import in_processes
from mddnet.types import SceneRecord

Group = Literal["focal_stacks", "light_fields", "rgbd", "stereo", "photos", "all_in_3d", "rigs", "pseudo"]
GROUPS: tuple[Group, ...] = get_args(Group)
REAL_GROUPS: tuple[Group, ...] = ("focal_stacks", "light_fields", "all_in_3d", "rigs")
GROUP_OF_KIND: dict[str, Group] = {"focal_stack": "focal_stacks", "light_field": "light_fields", "rig": "rigs"}

LISTED_BY: dict[Group, str] = {"all_in_3d": FACTS_FILE}
"""What lists the captures of a group, where it is not a ``manifest.csv``."""

BUILDER = 4
"""Raised when a change of the builders makes scenes of earlier versions worth building again."""
SCRATCH = ".building"
TABLES_PATIENCE_S = 60.0
BUILT_FROM = "built_from.json"

State = Literal["built", "kept", "rejected", "failed"]


@dataclass(frozen=True, slots=True)
class BuildTask:
    """One scene to build.

    Attributes:
        group: folder of scenes that it belongs to.
        name: name of the scene folder.
        place: place of the capture, or "" if it is not known before reading.
        capture: the capture folder, or the listed capture.
        files: the files that it is built from.
        others: photos to paste from.
    """

    group: Group
    name: str
    place: str
    capture: Path | RgbdFrame | StereoScene | SharpPhoto | AllIn3dScene
    files: tuple[Path, ...]
    others: tuple[SharpPhoto, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildRow:
    """What became of one scene.

    Attributes:
        group: folder of scenes.
        name: name of the scene folder.
        place: place of the capture, or "".
        state: ``"built"`` now, ``"kept"`` from before, ``"rejected"`` with a measured reason, or ``"failed"``.
        reason: why there is no scene, or "".
        record: the scene, or None.
        seconds: time it took.
    """

    group: str
    name: str
    place: str
    state: State
    reason: str = ""
    record: SceneRecord | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What the sources hold.

    Attributes:
        tasks: scenes to build.
        failures: what could not even be listed.
    """

    tasks: tuple[BuildTask, ...]
    failures: tuple[BuildRow, ...]


# --- what a source holds ----------------------------------------------------------------------------------------------


def plan_build(sources: Sequence[Path], groups: Sequence[Group] = GROUPS, limit: int | None = None) -> BuildPlan:
    """List the scenes that can be built from data roots and capture folders.

    A capture folder holds ``capture.json``; a data root holds capture folders up to three levels down (such as
    ``captures/focal_stacks/*``), ``depth/rgbd/manifest.csv``, ``depth/stereo/manifest.csv``,
    ``photos/manifest.csv`` or ``pseudo/manifest.csv``, which ``mddnet label`` wrote.
    A folder that looks like ALL-in-3D, or holds it as ``all_in_3d/``, gives its scenes.

    Args:
        sources: data roots and capture folders.
        groups: which groups to take.
        limit: at most that many scenes of each group and source.
    """
    tasks: list[BuildTask] = []
    failures: list[BuildRow] = []
    for source in sources:
        if (source / "capture.json").is_file():
            found, failed = _one_capture(source)
        else:
            found, failed = _data_root(source, groups)
            if not found and not failed:
                reason = f"{source}: no captures; expected capture.json in it, or captures/, depth/ or photos/"
                failed = [BuildRow("", source.name, "", "failed", reason)]
        taken = [task for group in groups for task in [t for t in found if t.group == group][:limit]]
        tasks += taken
        failures += failed
    unique: dict[tuple[str, str], BuildTask] = {}
    for task in tasks:
        first = unique.setdefault((task.group, task.name), task)
        if first is not task:
            reason = f"{task.files[0]}: the name {task.name} is taken by {first.files[0]}; rename one of them"
            failures.append(BuildRow(task.group, task.name, task.place, "failed", reason))
    return BuildPlan(tuple(unique.values()), tuple(failures))


def _one_capture(folder: Path) -> tuple[list[BuildTask], list[BuildRow]]:
    path = folder / "capture.json"
    try:
        data = read_json_object(path)
        kind = data.get("kind")
        if not isinstance(kind, str) or kind not in GROUP_OF_KIND:
            raise CaptureError(f"{path}: kind is {shown(kind)}; expected one of {', '.join(GROUP_OF_KIND)}")
    except CaptureError as error:
        return [], [BuildRow("", folder.name, "", "failed", str(error))]
    name, place = data.get("scene"), data.get("place")
    name = name if isinstance(name, str) and scene_name(name) == name else folder.name
    if kind == "rig":
        files = rig_files(folder)
    else:
        files = tuple(sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")))
    return [BuildTask(GROUP_OF_KIND[kind], name, place if isinstance(place, str) else "", folder, files)], []


def _captures_below(root: Path, groups: Sequence[Group]) -> tuple[list[BuildTask], list[BuildRow]]:
    """Capture folders up to three levels below ``root``; one that should be a capture and is none is named."""
    tasks: list[BuildTask] = []
    failures: list[BuildRow] = []
    folders = {path.parent for depth in range(1, 4) for path in root.glob("*/" * depth + "capture.json")}
    for folder in sorted(folders):
        found, failed = _one_capture(folder)
        tasks += [task for task in found if task.group in groups]
        # What cannot be read has no kind; the folder that it lies in may say where it belongs.
        guess = folder.parent.name if folder.parent.name in GROUPS else ""
        failures += [replace(row, group=guess) for row in failed if not guess or guess in groups]
    for group in groups:
        for folder in sorted(p for p in root.glob(f"captures/{group}/*") if p.is_dir() and p not in folders):
            failures.append(BuildRow(group, folder.name, "", "failed", f"{folder}: no capture.json in it"))
    return tasks, failures


def _data_root(root: Path, groups: Sequence[Group]) -> tuple[list[BuildTask], list[BuildRow]]:
    tasks, failures = _captures_below(root, groups)
    for group in groups:
        try:
            if group == "rgbd" and (root / "depth/rgbd/manifest.csv").is_file():
                for frame in list_rgbd(root / "depth/rgbd"):
                    files = (frame.image, frame.depth)
                    tasks.append(BuildTask(group, scene_name(frame.name), frame.place, frame, files))
            elif group == "stereo" and (root / "depth/stereo/manifest.csv").is_file():
                for scene in list_stereo(root / "depth/stereo"):
                    files = (scene.image, scene.disparity)
                    tasks.append(BuildTask(group, scene_name(scene.name), scene.place, scene, files))
            elif group == "photos" and (root / "photos/manifest.csv").is_file():
                photos = list_photos(root / "photos")
                tasks += [_photo_task(photo, photos) for photo in photos]
            elif group == "pseudo" and (root / "pseudo/manifest.csv").is_file():
                for frame in list_pseudo(root / "pseudo"):
                    files = (frame.image, frame.depth)
                    tasks.append(BuildTask(group, scene_name(frame.name), frame.place, frame, files))
            elif group == "all_in_3d":
                for folder in (root, root / "all_in_3d"):
                    if holds_all_in_3d(folder):
                        listing = list_all_in_3d(folder)
                        tasks += [BuildTask(group, out_name(s), s.place, s, s.files) for s in listing.scenes]
                        failures += [BuildRow(group, n, f"all_in_3d/{n}", "failed", why) for n, why in listing.failures]
        except MddnetError as error:
            failures.append(BuildRow(group, LISTED_BY.get(group, "manifest.csv"), "", "failed", str(error)))
    return tasks, failures


def _photo_task(photo: SharpPhoto, photos: Sequence[SharpPhoto]) -> BuildTask:
    """A photo with the one that may be pasted into it, drawn by name so that the order of building does not matter."""
    other = photos[int(scene_rng(f"paste onto {photo.place}/{photo.name}", 0).integers(len(photos)))]
    return BuildTask("photos", scene_name(photo.name), photo.place, photo, (photo.image, other.image), (other,))


# --- one scene --------------------------------------------------------------------------------------------------------


def task_digest(task: BuildTask, frames: int | None, seed: int) -> str:
    """Digest of everything a scene is made from: the content of its files, what is known of it, and the settings."""
    about: dict[str, Any] = {"builder": BUILDER, "group": task.group, "name": task.name}
    if not isinstance(task.capture, Path):
        listed = task.capture
        about |= {
            "frames": frames,
            "seed": seed,
            "place": listed.place,
            "source": listed.source,
            "licence": listed.licence,
        }
        if isinstance(listed, AllIn3dScene):
            about |= {
                "focal_mm": listed.focal_mm,
                "aperture_px": listed.aperture_px,
                "offset_change_mm": listed.offset_change_mm,
            }
        elif not isinstance(listed, SharpPhoto):
            about |= {"unit": listed.unit, "note": listed.note}
        if isinstance(listed, StereoScene):
            about |= {"calibration": repr(listed.calibration), "dark": listed.dark}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for path in task.files:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def digest_of_scene(folder: Path) -> str | None:
    """Digest that a scene in place was built with, or None if there is no whole scene of ours."""
    if not (folder / "scene.json").is_file():
        return None
    try:
        digest = read_json_object(folder / BUILT_FROM).get("digest")
    except CaptureError:
        return None
    return digest if isinstance(digest, str) else None


def _dispatch(task: BuildTask, out_root: Path, frames: int | None, seed: int) -> SceneRecord:
    capture = task.capture
    if isinstance(capture, RgbdFrame) and task.group == "pseudo":
        return build_pseudo_scene(capture, out_root, frames or FRAMES_PER_SCENE["pseudo"], seed)
    if isinstance(capture, RgbdFrame):
        return build_rgbd_scene(capture, out_root, frames or FRAMES_PER_SCENE["rgbd"], seed)
    if isinstance(capture, StereoScene):
        return build_stereo_scene(capture, out_root, frames or FRAMES_PER_SCENE["stereo"], seed)
    if isinstance(capture, SharpPhoto):
        return build_photo_scene(capture, out_root, frames or FRAMES_PER_SCENE["photos"], seed, task.others)
    if isinstance(capture, AllIn3dScene):
        return build_all_in_3d_scene(capture, out_root)
    if task.group == "focal_stacks":
        return build_focal_stack_scene(capture, out_root)
    if task.group == "rigs":
        return build_rig_scene(capture, out_root)
    return build_light_field_scene(capture, out_root)


def build_one(
    task: BuildTask,
    out: Path,
    scratch: Path,
    frames: int | None = None,
    seed: int = 0,
    rebuild: bool = False,
) -> BuildRow:
    """Build one scene and move it into place, or say why there is none; never raises for a capture's sake.

    Args:
        task: the scene.
        out: root of the scene groups.
        scratch: folder to build in, on the same file system.
        frames: frames per rendered scene, or None for each kind's own.
        seed: of what is drawn for rendered scenes.
        rebuild: build even if nothing has changed.
    """
    # Two processes of one thread each beat one process whose threads wait for each other.
    cv2.setNumThreads(1)
    started = time.monotonic()
    target = out / task.group / task.name
    work: Path | None = None
    try:
        digest = task_digest(task, frames, seed)
        if not rebuild and digest_of_scene(target) == digest:
            record = read_scene(target)
            return BuildRow(task.group, task.name, record.place, "kept", record=record)
        with writing_into(out):
            work = Path(tempfile.mkdtemp(dir=scratch, prefix=f"{task.name}-"))
            record = _dispatch(task, work, frames, seed)
            made = work / record.name
            text = json.dumps({"digest": digest}) + "\n"
            atomic_write_text(made / BUILT_FROM, text)
            _move_into_place(made, out / task.group / record.name, work)
        seconds = time.monotonic() - started
        return BuildRow(task.group, record.name, record.place, "built", record=record, seconds=seconds)
    except RejectedScene as error:
        # What an earlier version of the capture gave is no longer what the capture says.
        if target.exists() and work is not None:
            target.rename(work / "outdated")
        seconds = time.monotonic() - started
        return BuildRow(task.group, task.name, task.place, "rejected", str(error), seconds=seconds)
    except MddnetError as error:
        return BuildRow(task.group, task.name, task.place, "failed", str(error))
    except Exception as error:
        # A fault in a builder must not cost the other scenes; the row says that it is one.
        reason = f"{task.files[0].parent if task.files else task.name}: {type(error).__name__}: {error}"
        return BuildRow(task.group, task.name, task.place, "failed", reason)
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


def _move_into_place(made: Path, target: Path, work: Path) -> None:
    """Replace ``target`` by a whole scene; between the two renames there is none, never half a one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(work / "outdated")
    made.rename(target)


# --- all of them ------------------------------------------------------------------------------------------------------


class BuildLock:
    """Only one build at a time writes into a folder; what a killed one left behind is removed."""

    def __init__(self, out: Path) -> None:
        """Prepare; ``out`` is made on entering."""
        self.out = out
        self._lock = FolderLock(out, "build")

    def __enter__(self) -> Path:
        """Take the lock and return a fresh scratch folder.

        Raises:
            OutputError: if another build holds it, or the folder cannot be written.
        """
        try:
            with writing_into(self.out):
                self.out.mkdir(parents=True, exist_ok=True)
                self._lock.__enter__()
                self._clear()
                remove_abandoned(self.out)
                (self.out / SCRATCH).mkdir(exist_ok=True)
                return Path(tempfile.mkdtemp(dir=self.out / SCRATCH))
        except OutputError:
            self._lock.__exit__()
            raise
        except OSError as error:
            self._lock.__exit__()
            raise OutputError(f"{self.out}: cannot build there ({error}); choose another folder") from error

    def __exit__(self, *_: object) -> None:
        """Remove the scratch folder and let the lock go."""
        self._clear()
        self._lock.__exit__()

    def _clear(self) -> None:
        """Remove scratch folders, too, of killed builds: renamed first.

        Workers that outlived their build may still write there; they find nothing any more that they could move into
        place.
        """
        scratch = self.out / SCRATCH
        with suppress(OSError):  # there is none, or Windows renames no folder with open files
            scratch.rename(self.out / f"{SCRATCH}-{secrets.token_hex(6)}")
        shutil.rmtree(scratch, ignore_errors=True)
        for old in self.out.glob(f"{SCRATCH}-*"):
            shutil.rmtree(old, ignore_errors=True)


def _build_of(arguments: tuple[Any, ...]) -> BuildRow:
    return build_one(*arguments)


def _lost_row(arguments: tuple[Any, ...], reason: str) -> BuildRow:
    task: BuildTask = arguments[0]
    return BuildRow(
        task.group, task.name, task.place, "failed", f"{task.files[0] if task.files else task.name}: {reason}"
    )


def build_scenes(
    plan: BuildPlan,
    out: Path,
    jobs: int = 1,
    frames: int | None = None,
    seed: int = 0,
    rebuild: bool = False,
    ray: str | None = None,
) -> Generator[BuildRow]:
    """Build what a plan lists, in any order; interrupted or killed, the next call goes on where this one stopped.

    Args:
        plan: what to build.
        out: root of the scene groups; scenes lie in ``out/GROUP/SCENE``.
        jobs: number of processes.
        frames: frames per rendered scene, or None for each kind's own.
        seed: of what is drawn for rendered scenes.
        rebuild: build scenes again although nothing has changed.
        ray: address of a Ray cluster that builds, instead of processes here; every path is absolute then, and seen by
            all its machines.

    Yields:
        One row per scene as it is done, failures of the plan first.

    Raises:
        OutputError: if ``out`` cannot be written, or another build is writing there.
        ClusterError: if the cluster cannot be reached, or its machines differ.
    """
    with BuildLock(out) as scratch:
        yield from plan.failures
        arguments = [(task, out, scratch, frames, seed, rebuild) for task in plan.tasks]
        if ray is not None:
            folders = {scratch, *(task.files[0].parent for task in plan.tasks[:1] if task.files)}
            yield from on_ray(ray, _build_of, arguments, _lost_row, folders)
            return
        yield from in_processes(build_one, arguments, jobs)


# --- the tables on disk -----------------------------------------------------------------------------------------------

SCENE_COLUMNS = (
    "group",
    "scene",
    "place",
    "split",
    "provenance",
    "unit",
    "frames",
    "kappa_px_low",
    "kappa_px_high",
    "rerender_error_fraction",
    "unknown_share",
    "measures",
)
REJECTED_COLUMNS = ("group", "scene", "place", "split", "state", "reason")


def _read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if all(isinstance(row.get(c), str) for c in columns)]
    except (OSError, ValueError, csv.Error):
        return []


def scene_row(group: str, record: SceneRecord, split: str) -> dict[str, str]:
    """A scene as a line of ``build.csv``."""
    kappas = [frame.kappa_px for frame in record.frames]
    measures = record.measures

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.5g}"

    return {
        "group": group,
        "scene": record.name,
        "place": record.place,
        "split": split,
        "provenance": record.provenance,
        "unit": record.unit,
        "frames": str(len(record.frames)),
        "kappa_px_low": number(min(kappas, default=None)),
        "kappa_px_high": number(max(kappas, default=None)),
        "rerender_error_fraction": number(measures.get("rerender_error_fraction")),
        "unknown_share": number(measures.get("unknown_share")),
        "measures": json.dumps({name: float(f"{value:.5g}") for name, value in measures.items()}),
    }


def write_tables(out: Path, rows: Sequence[BuildRow], side_of: Callable[[str], str]) -> None:
    """Write ``build.csv`` (every whole scene below ``out``) and ``rejected.csv`` (every capture without one).

    Lines about captures that this run did not touch stay.

    Args:
        out: root of the scene groups.
        rows: what this run made of its captures.
        side_of: ``"train"``, ``"dev"`` or "" (unknown) for a place.

    Raises:
        OutputError: if they cannot be written.
    """
    with writing_into(out), FolderLock(out, "build-tables", TABLES_PATIENCE_S):
        _write_tables(out, rows, side_of)


def _write_tables(out: Path, rows: Sequence[BuildRow], side_of: Callable[[str], str]) -> None:
    scenes = []
    for group in GROUPS:
        for path in sorted((out / group).glob("*/scene.json")):
            try:
                record = read_scene(path.parent)
            except MddnetError:
                continue
            scenes.append(scene_row(group, record, side_of(record.place)))
    there = {(row["group"], row["scene"]) for row in scenes}
    touched = {(row.group, row.name) for row in rows}
    old = [
        row
        for row in _read_rows(out / "rejected.csv", REJECTED_COLUMNS)
        if (row["group"], row["scene"]) not in touched | there
    ]
    new = [
        {
            "group": row.group,
            "scene": row.name,
            "place": row.place,
            "split": side_of(row.place),
            "state": row.state,
            "reason": row.reason,
        }
        for row in rows
        if row.state in ("rejected", "failed")
    ]
    write_csv(out / "build.csv", SCENE_COLUMNS, scenes)
    write_csv(out / "rejected.csv", REJECTED_COLUMNS, sorted(old + new, key=lambda row: (row["group"], row["scene"])))

"""Building many scenes: one at a time into place, going on where it stopped.

A scene is built in a folder of its own below ``OUT/.building`` and renamed into ``OUT/KIND/SCENE`` when it is whole,
so that whatever lies in place is whole, even after the process was killed. ``built_from.json`` inside the scene holds a
digest of the files it was made from and of the settings: a scene whose digest still holds is kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import cv2

from mddnet.cluster import on_ray
from mddnet.errors import CaptureError, MddnetError, RejectedScene
from mddnet.io.atomic import atomic_write_text
from mddnet.io.json_fields import read_json_object
from mddnet.io.part_file import writing_into
from mddnet.kinds import KINDS
from mddnet.scenes.plan import BuildPlan, BuildRow, BuildTask
from mddnet.scenes.scratch import BuildLock
from mddnet.scenes.store import read_scene
from mddnet.scenes.worker import in_processes

BUILDER = 4
"""Raised when a change of the builders makes scenes of earlier versions worth building again."""
BUILT_FROM = "built_from.json"


def task_digest(task: BuildTask, frames: int | None, seed: int) -> str:
    """Digest of everything a scene is made from: the content of its files, what is known of it, and the settings."""
    about: dict[str, Any] = {"builder": BUILDER, "group": task.kind, "name": task.name}
    if not isinstance(task.capture, Path):
        capture = task.capture
        known = {"place": capture.location, "source": capture.source, "licence": capture.licence}
        about |= {"frames": frames, "seed": seed, **known, **task.capture.facts}
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
        out: root of the scenes; they lie in ``out/KIND/SCENE``.
        scratch: folder to build in, on the same file system.
        frames: frames per rendered scene, or None for each kind's own.
        seed: of what is drawn for rendered scenes.
        rebuild: build even if nothing has changed.
    """
    # Two processes of one thread each beat one process whose threads wait for each other.
    cv2.setNumThreads(1)
    started = time.monotonic()
    target = out / task.kind / task.name
    work: Path | None = None
    try:
        digest = task_digest(task, frames, seed)
        if not rebuild and digest_of_scene(target) == digest:
            record = read_scene(target)
            return BuildRow(task.kind, task.name, record.location, "kept", record=record)
        with writing_into(out):
            work = Path(tempfile.mkdtemp(dir=scratch, prefix=f"{task.name}-"))
            record = KINDS[task.kind].build(task.capture, work, frames, seed)
            made = work / record.name
            atomic_write_text(made / BUILT_FROM, json.dumps({"digest": digest}) + "\n")
            _move_into_place(made, out / task.kind / record.name, work)
        seconds = time.monotonic() - started
        return BuildRow(task.kind, record.name, record.location, "built", record=record, seconds=seconds)
    except RejectedScene as error:
        # What an earlier version of the capture gave is no longer what the capture says.
        if target.exists() and work is not None:
            target.rename(work / "outdated")
        seconds = time.monotonic() - started
        return BuildRow(task.kind, task.name, task.location, "rejected", str(error), seconds=seconds)
    except MddnetError as error:
        return BuildRow(task.kind, task.name, task.location, "failed", str(error))
    except Exception as error:
        # A fault in a builder must not cost the other scenes; the row says that it is one.
        reason = f"{task.files[0].parent if task.files else task.name}: {type(error).__name__}: {error}"
        return BuildRow(task.kind, task.name, task.location, "failed", reason)
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


def _move_into_place(made: Path, target: Path, work: Path) -> None:
    """Replace ``target`` by a whole scene; between the two renames there is none, never half a one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(work / "outdated")
    made.rename(target)


def _build_of(arguments: tuple[Any, ...]) -> BuildRow:
    return build_one(*arguments)


def _lost_row(arguments: tuple[Any, ...], reason: str) -> BuildRow:
    task: BuildTask = arguments[0]
    where = task.files[0] if task.files else task.name
    return BuildRow(task.kind, task.name, task.location, "failed", f"{where}: {reason}")


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
        out: root of the scenes; they lie in ``out/KIND/SCENE``.
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

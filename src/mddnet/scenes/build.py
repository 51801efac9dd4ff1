"""Building many scenes, with resume.

A scene is built in a separate folder below ``OUT/.building`` and renamed to ``OUT/KIND/SCENE`` when it is complete, so
that no incomplete scene remains there even if the process is killed. ``built_from.json`` in the scene stores a digest
of its source files and settings: a scene with an unchanged digest is kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
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
from mddnet.scenes.scratch import build_scratch
from mddnet.scenes.store import read_scene
from mddnet.scenes.worker import in_processes

BUILDER = 5  # increased when a change of the builders requires scenes to be rebuilt
BUILT_FROM = "built_from.json"


def task_digest(task: BuildTask, frames: int | None, seed: int) -> str:
    """Digest of everything that a scene depends on: content of its files, facts, and settings."""
    inputs: dict[str, Any] = {"builder": BUILDER, "group": task.kind, "name": task.name}
    if not isinstance(task.capture, Path):
        capture = task.capture
        known = {"place": capture.location, "source": capture.source, "licence": capture.licence}
        inputs |= {"frames": frames, "seed": seed, **known, **task.capture.facts}
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode())
    for path in task.files:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def digest_of_scene(folder: Path) -> str | None:
    """Digest of an existing scene, or None if there is no complete scene with a digest."""
    if not (folder / "scene.json").is_file():
        return None
    try:
        digest = read_json_object(folder / BUILT_FROM).get("digest")
    except CaptureError:
        return None
    return digest if isinstance(digest, str) else None


def build_one(
    task: BuildTask, out: Path, scratch: Path, frames: int | None = None, seed: int = 0, rebuild: bool = False
) -> BuildRow:
    """Build one scene in ``scratch`` and rename it into ``out``; errors of capture or builder become a row."""
    # Two single-threaded processes are faster than one process with two threads.
    cv2.setNumThreads(1)
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
            built = work / record.name
            atomic_write_text(built / BUILT_FROM, json.dumps({"digest": digest}) + "\n")
            _move_into_place(built, out / task.kind / record.name, work)
        return BuildRow(task.kind, record.name, record.location, "built", record=record)
    except RejectedScene as error:
        # The scene of an earlier version of the capture is outdated.
        if target.exists() and work is not None:
            target.rename(work / "outdated")
        return BuildRow(task.kind, task.name, task.location, "rejected", str(error))
    except MddnetError as error:
        return BuildRow(task.kind, task.name, task.location, "failed", str(error))
    except Exception as error:
        # An error in a builder must not stop the other scenes.
        return task.failed(f"{type(error).__name__}: {error}")
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


def _move_into_place(built: Path, target: Path, work: Path) -> None:
    """Replace ``target`` by a complete scene; between the two renames there is none, never a partial one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(work / "outdated")
    built.rename(target)


def build_scenes(
    plan: BuildPlan,
    out: Path,
    jobs: int = 1,
    frames: int | None = None,
    seed: int = 0,
    rebuild: bool = False,
    ray: str | None = None,
) -> Generator[BuildRow]:
    """Build the scenes of a plan into ``out/KIND/SCENE``; after an interruption, the next call resumes.

    Yields a row per finished scene in any order, failures of the plan first. ``frames`` and ``seed`` are for rendered
    scenes. ``ray`` is the address of a Ray cluster that builds instead of ``jobs`` local processes; all paths must then
    be absolute and visible to its machines.
    """
    with build_scratch(out) as scratch:
        yield from plan.failures
        arguments = [(task, out, scratch, frames, seed, rebuild) for task in plan.tasks]
        if ray is not None:
            folders = {scratch, *(task.files[0].parent for task in plan.tasks[:1] if task.files)}
            yield from on_ray(ray, _build_of, arguments, lambda call, reason: call[0].failed(reason), folders)
        else:
            yield from in_processes(build_one, arguments, jobs)


def _build_of(arguments: tuple[Any, ...]) -> BuildRow:
    return build_one(*arguments)

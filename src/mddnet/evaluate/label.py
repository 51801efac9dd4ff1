"""Pseudo-labels for many sharp photos, written one at a time; an interrupted run can be resumed.

``OUT/pseudo`` is a group that ``mddnet build OUT`` renders: photos with depth by a teacher
(:mod:`mddnet.evaluate.pseudo_labels`), and ``manifest.csv``. Rejected photos are listed in ``rejected.csv``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from mddnet.captures.kind import scene_name
from mddnet.captures.photo_folder import list_photos
from mddnet.captures.rgbd import PSEUDO_COLUMNS, PSEUDO_UNIT, read_rgb_file
from mddnet.data.evenly import evenly
from mddnet.data.scene_pool import SceneEntry
from mddnet.errors import CaptureError, MddnetError, ModelError
from mddnet.evaluate.methods import Method
from mddnet.evaluate.pseudo_labels import Checks, pseudo_label
from mddnet.evaluate.scenes import read_maps
from mddnet.io.atomic import atomic_write, atomic_write_text, write_csv
from mddnet.io.folder_lock import FolderLock
from mddnet.io.json_fields import read_json_object
from mddnet.io.part_file import writing_into
from mddnet.scenes.store import list_scenes, read_scene
from mddnet.types import Float32Array

GROUP, DEPTH = "pseudo", "depth"
MANIFEST_COLUMNS = (*PSEUDO_COLUMNS, "teacher", "mirror", "middle", "law", "known")
REJECTED_COLUMNS = ("source", "photo", "place", "reason", "mirror", "middle", "law", "known")


@dataclass(frozen=True, slots=True)
class LabelTask:
    """A sharp photo without a depth, or the sharp image of a scene whose frames were photographed."""

    source: str  # origin, valid as a folder name
    name: str  # unique within the source, valid as a file name
    location: str
    licence: str
    image: Path
    scene: Path | None = None  # the scene folder

    def files(self) -> tuple[str, str, str]:
        """Photo, depth, and a note of what the label was made from, below the group."""
        depth = f"{self.source}/{DEPTH}/{self.name}"
        return f"{self.source}/{self.name}{self.image.suffix}", f"{depth}.png", f"{depth}.json"


@dataclass(frozen=True, slots=True)
class LabelRow:
    """The result for one photo; ``"kept"`` is a label of an earlier run."""

    task: LabelTask
    state: Literal["labelled", "kept", "rejected", "failed"]
    reason: str  # why there is no label, or ""
    measures: dict[str, float]  # agreements by name


def plan_labels(sources: Sequence[Path], limit: int | None = None) -> list[LabelTask]:
    """List the photos of data roots (``photos/manifest.csv``) and the photographed scenes of folders of built scenes.

    At most ``limit`` photos of each source, spread evenly. CaptureError for a source that is neither, a damaged
    manifest, or two photos with one name.
    """
    tasks: dict[tuple[str, str], LabelTask] = {}
    for source in sources:
        if (source / "photos/manifest.csv").is_file():
            found = [
                LabelTask(scene_name(p.source), scene_name(p.image.stem), p.location, p.licence, p.image)
                for p in list_photos(source / "photos")
            ]
        else:
            found = list(_photographed(source))
        for task in (found[i] for i in evenly(len(found), limit or len(found))):
            first = tasks.setdefault((task.source, task.name), task)
            if first.image != task.image:
                raise CaptureError(f"{task.image}: the name {task.name} is taken by {first.image}; rename one of them")
    return list(tasks.values())


def _photographed(root: Path) -> Iterator[LabelTask]:
    for folder in list_scenes(root):
        if folder.parent.name in ("photos", GROUP):
            continue  # the most numerous, and never photographed with blur
        record = read_scene(folder)
        if record.provenance == "real":
            source, name = scene_name(folder.parent.name), scene_name(folder.name)
            yield LabelTask(source, name, record.location, record.licence, folder / record.sharp, folder)


def teacher_digest(name: str, teacher: Method) -> str:
    """Digest of a method's name and, where it is loaded from a file or folder, of its files."""
    digest = hashlib.sha256(teacher.name.encode())
    path = Path(name)
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else []
    for file in files:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def label_photos(
    tasks: Sequence[LabelTask], teacher: Method, digest: str, out: Path, checks: Checks
) -> Generator[LabelRow]:
    """Label photos; a label is kept if photo, teacher and checks have not changed.

    The group ``pseudo`` of the data root ``out`` is written. Its tables are written when the iterator ends or is
    closed, also after Ctrl-C; they then include valid labels of earlier runs. The digest is that of
    :func:`teacher_digest`. OutputError if ``out`` cannot be written, or another process is labelling there; ModelError
    if the teacher's output does not match its quantities, or it has no depth.
    """
    root = out / GROUP
    rows: list[LabelRow] = []
    with writing_into(out):
        root.mkdir(parents=True, exist_ok=True)
    with FolderLock(root, "label"):
        try:
            for task in tasks:
                rows.append(_label(task, teacher, digest, root, checks))
                yield rows[-1]
        finally:
            for task in tasks[len(rows) :]:
                with suppress(OSError):
                    inputs = _inputs(task, task.image.read_bytes(), digest, checks)
                    rows += [row] if (row := _kept(task, root, inputs)) else []
            with writing_into(root):
                _write_tables(root, rows, teacher.name)


def _label(task: LabelTask, teacher: Method, digest: str, root: Path, checks: Checks) -> LabelRow:
    rgb, depth, note = (root / file for file in task.files())
    try:
        content = task.image.read_bytes()
        inputs = _inputs(task, content, digest, checks)
        if (kept := _kept(task, root, inputs)) is not None:
            return kept
        measured = mask = None
        if task.scene is not None:
            maps = read_maps(SceneEntry(task.scene, task.source, read_scene(task.scene)))
            measured, mask = maps.inv_depth, maps.mask
        found = pseudo_label(teacher, read_rgb_file(task.image), checks, measured, mask)
    except ModelError:
        raise  # an error of the teacher, which every photo would raise
    except (MddnetError, OSError) as error:
        return LabelRow(task, "failed", str(error), {})
    with writing_into(root):
        depth.parent.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)
        if found.reason:  # remove the label of an earlier photo or teacher
            rgb.unlink(missing_ok=True)
            depth.unlink(missing_ok=True)
        else:
            atomic_write(rgb, lambda stream: stream.write(content))
            codes = Image.fromarray(depth_codes(found.inv_depth))
            atomic_write(depth, lambda stream: codes.save(stream, format="PNG"))
        atomic_write_text(note, json.dumps({**inputs, "reason": found.reason, "measures": found.measures}) + "\n")
    return LabelRow(task, "rejected" if found.reason else "labelled", found.reason, found.measures)


def _inputs(task: LabelTask, content: bytes, digest: str, checks: Checks) -> dict[str, Any]:
    return {
        "teacher": digest,
        "checks": asdict(checks),
        "photo": hashlib.sha256(content).hexdigest(),
        "scene": "" if task.scene is None else hashlib.sha256((task.scene / "scene.json").read_bytes()).hexdigest(),
    }


def _kept(task: LabelTask, root: Path, inputs: dict[str, Any]) -> LabelRow | None:
    """The row of an earlier run, if its files exist and its inputs have not changed."""
    rgb, depth, note = (root / file for file in task.files())
    try:
        data = read_json_object(note)
    except CaptureError:
        return None
    reason, measures = data.get("reason"), data.get("measures")
    changed = any(data.get(key) != value for key, value in inputs.items())
    if changed or not isinstance(reason, str) or not isinstance(measures, dict):
        return None
    if reason:
        return LabelRow(task, "rejected", reason, measures)
    return LabelRow(task, "kept", "", measures) if rgb.is_file() and depth.is_file() else None


def depth_codes(inv_depth: Float32Array) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    """A relative inverse depth in the code ``16bit-relative``: 1 to 65535 over its range, 0 is unknown."""
    known = np.isfinite(inv_depth)
    low, high = float(inv_depth[known].min()), float(inv_depth[known].max())
    scaled = (np.nan_to_num(inv_depth) - low) / max(high - low, 1e-9)
    return np.where(known, 1 + np.rint(scaled * 65534), 0).astype(np.uint16)


def _write_tables(root: Path, rows: Sequence[LabelRow], teacher: str) -> None:
    labelled, rejected = [], []
    for row in rows:
        task = row.task
        measures = {name: f"{value:.4f}" for name, value in row.measures.items()}
        facts = {"source": task.source, "place": task.location, **measures}
        if row.state in ("labelled", "kept"):
            rgb, depth, _ = task.files()
            facts |= {"rgb": rgb, "depth": depth, "depth_unit": PSEUDO_UNIT, "licence": task.licence}
            labelled.append(facts | {"note": f"pseudo-label by {teacher}", "teacher": teacher})
        else:
            rejected.append(facts | {"photo": task.name, "reason": row.reason})
    write_csv(root / "manifest.csv", MANIFEST_COLUMNS, labelled)
    write_csv(root / "rejected.csv", REJECTED_COLUMNS, rejected)

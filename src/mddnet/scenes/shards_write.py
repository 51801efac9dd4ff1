"""Writing shards, with resume.

The plan depends on the scenes only: samples are shuffled by a hash of their keys, so that neighbours in a stream are
not near-duplicates of one scene, and divided into shards by size. A shard is written in a scratch folder, renamed when
it is complete, and then listed in ``index/``. The checksums are written last: a folder without ``SHA256SUMS`` is
incomplete.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from mddnet.errors import CaptureError, MddnetError
from mddnet.io.atomic import atomic_write_text, write_csv
from mddnet.io.part_file import remove_abandoned, writing_into
from mddnet.optics import signed_defocus_px
from mddnet.photo.image_file import opened_image
from mddnet.scenes.found import DamagedScene, FoundScene, check_images, find_scenes
from mddnet.scenes.scratch import build_scratch
from mddnet.scenes.shard_source import LICENCE_COLUMNS, LICENCES, SUMMARY
from mddnet.scenes.shards import CONFIDENCE_FIELD, MAP_FIELDS, SHARD_FORMAT, sample_key
from mddnet.scenes.store import BUILD_AGAIN, CODE_UNKNOWN, read_coded_map, read_image, read_inv_depth, read_scene
from mddnet.scenes.worker import in_processes
from mddnet.types import SPLITS, SceneRecord

Suffix = Literal["jpg", "png"]
INDEX = "index"
CHECKSUMS = "SHA256SUMS"
OUR_SHARD = re.compile(r"(train|dev|calib)-\d{6}\.tar")
_JPEG_SUFFIXES = (".jpg", ".jpeg")


@dataclass(frozen=True, slots=True)
class SampleRef:
    """A sample to write: frame number ``frame`` of a scene, and its key in the shard."""

    key: str
    kind: str
    folder: Path
    record: SceneRecord
    frame: int

    def files(self) -> list[Path]:
        record = self.record
        names = [record.sharp, record.frames[self.frame].file, record.inv_depth]
        return [self.folder / name for name in ([*names, record.confidence] if record.confidence else names)]


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to write."""

    name: str  # file name, train-000000.tar
    split: str  # one of mddnet.types.SPLITS
    samples: tuple[SampleRef, ...]  # its samples, in order
    suffixes: tuple[Suffix, Suffix]  # of sharp and focused images; the same in all shards, as readers need
    digest: str  # digest of its content; files count by size and modification time


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """All shards of a folder of scenes, and the damaged scenes that are skipped."""

    tasks: tuple[ShardTask, ...]
    damaged: tuple[DamagedScene, ...]


@dataclass(frozen=True, slots=True)
class ShardRow:
    """Result for a shard: written, kept from an earlier run, or failed for a reason."""

    name: str
    samples: int
    state: Literal["written", "kept", "failed"]
    size_bytes: int = 0
    sha256: str = ""
    reason: str = ""


def plan_shards(
    root: Path, split_of: Callable[[str], str], kinds: Sequence[str] | None = None, shard_bytes: int = 256 * 2**20
) -> ShardPlan:
    """Assign the samples of a folder of scenes to shards of at most ``shard_bytes``, estimated from their files.

    ``split_of`` gives "" for an unknown location, which is an error; ``kinds`` None means all.
    """
    scenes: list[tuple[FoundScene, SceneRecord]] = []
    damaged: list[DamagedScene] = []
    for found in find_scenes(root):
        if kinds is None or found.kind in kinds:
            try:
                record = read_scene(found.folder)
                height, width = read_inv_depth(found.folder / record.inv_depth).shape
                check_images(found.folder, record, (width, height))  # frames are decoded on writing
                scenes.append((found, record))
            except (MddnetError, OSError) as error:
                damaged.append(DamagedScene(found.kind, found.folder.name, str(error)))
    by_split: dict[str, list[SampleRef]] = {split: [] for split in SPLITS}
    for found, record in scenes:
        split = split_of(record.location)
        if split not in SPLITS:
            raise CaptureError(
                f"{found.folder}: location {record.location!r} is not in the split; "
                f"add a line `{record.location},train`"
            )
        by_split[split] += [
            SampleRef(sample_key(found.kind or "scenes", found.folder.name, k), found.kind, found.folder, record, k)
            for k in range(len(record.frames))
        ]
    if not any(by_split.values()):
        raise CaptureError(f"{root}: no complete scene with a focused frame; build scenes with `mddnet build`")
    suffixes = _suffixes([record for _, record in scenes])
    return ShardPlan(
        tuple(task for split in SPLITS for task in _cut(split, by_split[split], suffixes, shard_bytes)), tuple(damaged)
    )


def _suffixes(records: Sequence[SceneRecord]) -> tuple[Suffix, Suffix]:
    """JPEG if all images of a role are JPEG, otherwise PNG, which is lossless for both."""

    def common(names: Sequence[str]) -> Suffix:
        return "jpg" if all(Path(name).suffix.lower() in _JPEG_SUFFIXES for name in names) else "png"

    return common([r.sharp for r in records]), common([frame.file for r in records for frame in r.frames])


def _cut(
    split: str, samples: Sequence[SampleRef], suffixes: tuple[Suffix, Suffix], shard_bytes: int
) -> list[ShardTask]:
    shuffled = sorted(samples, key=lambda each: hashlib.sha256(each.key.encode()).digest())
    parts: list[list[SampleRef]] = []
    filled = shard_bytes
    for each in shuffled:
        # the depth map counts twice: the defocus map has the same size
        size = sum(path.stat().st_size for path in (*each.files(), each.folder / each.record.inv_depth))
        if filled + size > shard_bytes:
            parts.append([])
            filled = 0
        parts[-1].append(each)
        filled += size
    return [
        ShardTask(f"{split}-{number:06d}.tar", split, tuple(part), suffixes, _digest(split, part, suffixes))
        for number, part in enumerate(parts)
    ]


def _digest(split: str, samples: Sequence[SampleRef], suffixes: tuple[Suffix, Suffix]) -> str:
    digest = hashlib.sha256(json.dumps([SHARD_FORMAT, split, suffixes]).encode())
    for each in samples:
        digest.update(f"\n{each.key}\0{each.record!r}".encode("utf-8", "backslashreplace"))
        for path in each.files():
            status = path.stat()
            digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}".encode())
    return digest.hexdigest()


def sample_files(each: SampleRef, split: str, suffixes: tuple[Suffix, Suffix]) -> dict[str, bytes]:
    """Content of the files of a sample, by field, in the order of writing; CaptureError if one is damaged."""
    record, frame = each.record, each.record.frames[each.frame]
    depth_path = each.folder / record.inv_depth
    depth = read_coded_map(depth_path, "inv_depth", BUILD_AGAIN)
    png = _read(depth_path)
    low, step = depth.low, depth.step
    scale = {
        "low": signed_defocus_px(low, frame.u_focus, frame.kappa_px),
        "step": -frame.kappa_px * step + 0.0,  # + 0.0: no minus zero
        "infinity": signed_defocus_px(0.0 if depth.unit == "1/m" else low, frame.u_focus, frame.kappa_px),
    }
    defocus = {"quantity": "signed_defocus_px", "unit": "px", **scale}
    height, width = depth.values.shape
    info = {
        "format": SHARD_FORMAT,
        "group": each.kind,
        "scene": each.folder.name,
        "frame": frame.file,
        "place": record.location,
        "split": split,
        "capture": record.capture,
        "provenance": record.provenance,
        "source": record.source,
        "licence": record.licence,
        "height": height,
        "width": width,
        "unit": record.unit,
        "u_focus": float(frame.u_focus),
        "kappa_px": float(frame.kappa_px),
        "inv_depth_low": low,
        "inv_depth_step": step,
        "signed_defocus_px_low": scale["low"],
        "signed_defocus_px_step": scale["step"],
        "signed_defocus_px_at_infinity": scale["infinity"],
        # As texts: their keys vary between scenes, and table readers need the same columns everywhere.
        "lens": json.dumps(record.lens.to_json()),
        "measures": json.dumps(record.measures),
    }
    return {
        f"sharp.{suffixes[0]}": _image_bytes(each.folder / record.sharp, suffixes[0], (width, height)),
        f"focused.{suffixes[1]}": _image_bytes(each.folder / frame.file, suffixes[1], (width, height)),
        MAP_FIELDS[0]: png,
        MAP_FIELDS[1]: _with_scale(png, json.dumps(defocus, allow_nan=False)),
        CONFIDENCE_FIELD: _confidence_bytes(each, png),
        "json": json.dumps(info, ensure_ascii=True, allow_nan=False, indent=1).encode(),
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CaptureError(f"{path}: not readable ({error}); build the scene again") from error


def _image_bytes(path: Path, suffix: Suffix, size: tuple[int, int]) -> bytes:
    """The content of an intact file, converted to PNG if the shards use PNG."""
    pixels = read_image(path)
    if (pixels.shape[1], pixels.shape[0]) != size:
        raise CaptureError(f"{path}: {pixels.shape[1]} x {pixels.shape[0]} pixels; expected {size[0]} x {size[1]}")
    is_jpeg = path.suffix.lower() in _JPEG_SUFFIXES
    return _read(path) if is_jpeg == (suffix == "jpg") else _png_bytes(pixels)


def _confidence_bytes(each: SampleRef, depth_png: bytes) -> bytes:
    """The scene's confidence, or 255 wherever the depth is known."""
    if each.record.confidence is not None:
        with opened_image(each.folder / each.record.confidence, BUILD_AGAIN) as image:
            return _png_bytes(np.asarray(image.convert("L")))
    with Image.open(io.BytesIO(depth_png)) as image:
        return _png_bytes(np.where(np.asarray(image) == CODE_UNKNOWN, 0, 255).astype(np.uint8))


def _png_bytes(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def _with_scale(png: bytes, text: str) -> bytes:
    """The same PNG with another scale; the compressed codes are unchanged (PNG specification, section 5.3)."""
    out, at = png[:8], 8
    while at + 12 <= len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind == b"tEXt" and body.startswith(b"mddnet\0"):
            body = b"mddnet\0" + text.encode("latin-1")
        out += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        at += 12 + length
    return out


def write_shard(task: ShardTask, out: Path, scratch: Path) -> ShardRow:
    """Write a shard, or keep an unchanged one; errors become a row. Its bytes depend on the scenes only."""
    kept = _kept(task, out)
    if kept is not None:
        return kept
    part = scratch / task.name
    index = _index_path(out, task.name)
    try:
        with writing_into(out):
            with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
                for each in task.samples:
                    for field, content in sample_files(each, task.split, task.suffixes).items():
                        member = tarfile.TarInfo(f"{each.key}.{field}")
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
            with part.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            size = part.stat().st_size
            if _digest(task.split, task.samples, task.suffixes) != task.digest:
                raise CaptureError(f"{out / task.name}: its scenes changed while it was written; run the command again")
            if not index.exists():
                # Written before the shard, so that a process killed in between leaves no unknown shard.
                atomic_write_text(index, json.dumps({"shard": task.name, "made_from": None}) + "\n")
            part.replace(out / task.name)
            entry = {"shard": task.name, "sets": len(task.samples), "bytes": size, "sha256": sha256}
            atomic_write_text(index, json.dumps({**entry, "made_from": task.digest}, indent=1) + "\n")
        return ShardRow(task.name, len(task.samples), "written", size, sha256)
    except (MddnetError, OSError, ValueError) as error:
        part.unlink(missing_ok=True)
        return ShardRow(task.name, len(task.samples), "failed", reason=str(error))


def _index_path(out: Path, name: str) -> Path:
    return out / INDEX / f"{name.removesuffix('.tar')}.json"


def _kept(task: ShardTask, out: Path) -> ShardRow | None:
    """The existing shard, if it is complete and its digest is unchanged."""
    try:
        entry = json.loads(_index_path(out, task.name).read_text(encoding="utf-8"))
        if entry["made_from"] == task.digest and (out / task.name).stat().st_size == entry["bytes"]:
            return ShardRow(task.name, len(task.samples), "kept", int(entry["bytes"]), str(entry["sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def write_shards(plan: ShardPlan, out: Path, jobs: int = 1) -> Generator[ShardRow]:
    """Write the shards of a plan to ``out``, one row each; after an interruption, the next call resumes.

    Finally licences, a summary and checksums are written. CaptureError if ``out`` contains a foreign shard.
    """
    with build_scratch(out) as scratch:
        (out / INDEX).mkdir(exist_ok=True)
        remove_abandoned(out / INDEX)
        (out / CHECKSUMS).unlink(missing_ok=True)
        _remove_outdated(plan, out)
        rows: list[ShardRow] = []
        for row in in_processes(write_shard, [(task, out, scratch) for task in plan.tasks], jobs):
            rows.append(row)
            yield row
        if all(row.state != "failed" for row in rows):
            _finish(plan, out, rows)


def _remove_outdated(plan: ShardPlan, out: Path) -> None:
    names = {task.name for task in plan.tasks}
    for path in [*sorted(out.glob("*.tar")), *sorted((out / INDEX).glob("*.json"))]:
        name = f"{path.stem}.tar"
        if name in names or not OUR_SHARD.fullmatch(name):
            continue
        if not _index_path(out, name).is_file():
            raise CaptureError(f"{path}: not written by `mddnet shards` here; remove it, or choose another folder")
        path.unlink()


def _finish(plan: ShardPlan, out: Path, rows: Sequence[ShardRow]) -> None:
    """Write licences, summary and, last, the checksums."""
    samples = [(task.split, each) for task in plan.tasks for each in task.samples]
    counts = Counter(each.folder for _, each in samples)
    lines = []
    for split, first in {each.folder: (split, each) for split, each in samples}.values():
        facts = {name: getattr(first.record, name) for name in ("provenance", "source", "licence")}
        facts |= {"split": split, "group": first.kind, "scene": first.folder.name, "place": first.record.location}
        lines.append({**facts, "sets": str(counts[first.folder])})
    lines.sort(key=lambda line: (line["split"], line["group"], line["scene"]))
    write_csv(out / LICENCES, LICENCE_COLUMNS, lines)
    splits = {}
    for split in SPLITS:
        of_shard = {task.name: len(task.samples) for task in plan.tasks if task.split == split}
        of_split = [line for line in lines if line["split"] == split]
        splits[split] = {
            "shards": list(of_shard),
            "sets_of_shard": of_shard,
            "sets": sum(of_shard.values()),
            "scenes": len(of_split),
            "places": len({line["place"] for line in of_split}),
        }
    summary = {"format": SHARD_FORMAT, "splits": splits, "licences": sorted({line["licence"] for line in lines})}
    atomic_write_text(out / SUMMARY, json.dumps(summary, indent=1) + "\n")
    sums = {row.name: row.sha256 for row in rows}
    sums |= {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in (LICENCES, SUMMARY)}
    atomic_write_text(out / CHECKSUMS, "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(sums.items())))

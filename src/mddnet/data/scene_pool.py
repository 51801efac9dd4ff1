"""The scenes of one side of a split, opened once and kept in memory up to a limit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mddnet.data.split import Side, split_of
from mddnet.errors import CaptureError
from mddnet.photo.image_file import opened_image
from mddnet.scenes.scene_stamp import SceneStamp, scene_stamp, unchanged_since
from mddnet.scenes.store import BUILD_AGAIN, list_scenes, read_image, read_inv_depth, read_scene
from mddnet.types import Float32Array, SceneRecord, UInt8Array


@dataclass(frozen=True, slots=True)
class SceneEntry:
    """A scene folder of the pool.

    Attributes:
        folder: the scene folder.
        group: kind of source: name of the folder that holds the scene (``focal_stacks``, ``rgbd``, ...).
        record: its ``scene.json``.
        stamp: what tells it from a scene that is built in its place later; None is not checked.
    """

    folder: Path
    group: str
    record: SceneRecord
    stamp: SceneStamp | None = None


@dataclass(frozen=True, slots=True)
class SceneTruth:
    """Depth truth of a scene in units of its own range.

    Attributes:
        inv_depth: (H, W) float32, 0 at the 2nd and 1 at the 98th percentile of the scene, NaN where unknown.
        weight: (H, W) float32 in [0, 1], 0 where unknown.
        low: value, in the scene's unit, that became 0.
        range: difference, in the scene's unit, that became 1.
    """

    inv_depth: Float32Array
    weight: Float32Array
    low: float
    range: float


def open_scenes(root: Path, places: Mapping[str, Side], side: Side) -> list[SceneEntry]:
    """Scenes below ``root`` whose place is on one side of the split, as :func:`open_both_sides` gives them."""
    return open_both_sides(root, places, (side,))[side]


def open_both_sides(
    root: Path, places: Mapping[str, Side], sides: Sequence[Side] = ("train", "dev")
) -> dict[Side, list[SceneEntry]]:
    """Scenes below ``root`` by the side of the split that their place is on; only ``scene.json`` of each is read.

    Args:
        root: folder that ``mddnet build`` wrote, ``root/GROUP/SCENE/scene.json``.
        places: place -> ``"train"`` or ``"dev"``; a place ``photos/...`` is train by definition.
        sides: which sides to give.

    Raises:
        CaptureError: for a scene whose place the split does not name (it could leak from one side to the other), or
            if nothing is left of a side.
    """
    entries: dict[Side, list[SceneEntry]] = {side: [] for side in sides}
    for folder in list_scenes(root):
        stamp = scene_stamp(folder)
        record = read_scene(folder)
        where = split_of(record.place, places)
        if where is None:
            raise CaptureError(
                f"{folder}: place {record.place!r} is not in the split; add a line `{record.place},train`"
            )
        if where in entries and record.frames:
            entries[where].append(SceneEntry(folder, folder.parent.name, record, stamp))
    for side, found in entries.items():
        if not found:
            raise CaptureError(f"{root}: no scene on the {side} side of the split")
    return entries


def read_truth(entry: SceneEntry) -> SceneTruth:
    """Read a scene's inverse depth and its confidence, normalised to the scene's 2-98 % range.

    Raises:
        CaptureError: if less than 1 % of the map is known.
    """
    u = read_inv_depth(entry.folder / entry.record.inv_depth).inv_depth
    confidence = None
    if entry.record.confidence is not None:
        with opened_image(entry.folder / entry.record.confidence, BUILD_AGAIN) as image:
            confidence = np.asarray(image.convert("L"), dtype=np.float32) / 255.0
    return truth_of(str(entry.folder), u, confidence)


def truth_of(name: str, inv_depth: Float32Array, confidence: Float32Array | None) -> SceneTruth:
    """Normalise an inverse depth map to its own 2-98 % range.

    Args:
        name: what to call it in an error.
        inv_depth: (H, W), NaN where unknown.
        confidence: (H, W) in [0, 1], or None where all that is known is sure.

    Raises:
        CaptureError: if less than 1 % of the map is known.
    """
    known = np.isfinite(inv_depth)
    if known.mean() < 0.01:
        raise CaptureError(f"{name}: {known.mean():.2%} of the inverse depth is known; expected at least 1 %")
    low, high = (float(v) for v in np.percentile(inv_depth[known], [2, 98]))
    span = max(high - low, 1e-6)
    weight = known.astype(np.float32)
    if confidence is not None:
        weight *= confidence
    return SceneTruth(((inv_depth - low) / span).astype(np.float32), weight, low, span)


class ScenePool:
    """Decoded images and truths behind a least-recently-used limit in bytes.

    A scene that a build replaces after it was opened is refused: its frames would not be those of its record.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._held: OrderedDict[tuple[Path, str], UInt8Array | SceneTruth] = OrderedDict()
        self._bytes = 0

    def image(self, entry: SceneEntry, file: str) -> UInt8Array:
        """(H, W, 3) uint8 image of a scene."""
        key = (entry.folder, file)
        held = self._held.get(key)
        if isinstance(held, np.ndarray):
            self._held.move_to_end(key)
            return held
        with unchanged_since(entry.folder, entry.stamp):
            image = read_image(entry.folder / file)
        self._keep(key, image, image.nbytes)
        return image

    def truth(self, entry: SceneEntry) -> SceneTruth:
        """Depth truth of a scene."""
        key = (entry.folder, "truth")
        held = self._held.get(key)
        if isinstance(held, SceneTruth):
            self._held.move_to_end(key)
            return held
        with unchanged_since(entry.folder, entry.stamp):
            truth = read_truth(entry)
        self._keep(key, truth, truth.inv_depth.nbytes + truth.weight.nbytes)
        return truth

    def _keep(self, key: tuple[Path, str], value: UInt8Array | SceneTruth, size: int) -> None:
        self._held[key] = value
        self._bytes += size
        while self._bytes > self.limit_bytes and len(self._held) > 1:
            _, dropped = self._held.popitem(last=False)
            self._bytes -= (
                dropped.nbytes if isinstance(dropped, np.ndarray) else dropped.inv_depth.nbytes + dropped.weight.nbytes
            )

"""The scenes of one side of a split, opened once and kept in memory up to a limit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from mddnet.data.split import split_of
from mddnet.errors import CaptureError
from mddnet.photo.image_file import opened_image
from mddnet.scenes.scene_stamp import SceneStamp, scene_stamp, unchanged_since
from mddnet.scenes.store import BUILD_AGAIN, list_scenes, read_image, read_inv_depth, read_scene
from mddnet.types import Float32Array, SceneRecord, Split, UInt8Array


@dataclass(frozen=True, slots=True)
class SceneEntry:
    """A scene folder of the pool.

    Attributes:
        folder: the scene folder.
        group: kind of the scene: name of the folder that holds it (``focal_stacks``, ``rgbd``, ...).
        record: its ``scene.json``.
        stamp: what tells it from a scene that is built into its folder later; None is not checked.
    """

    folder: Path
    group: str
    record: SceneRecord
    stamp: SceneStamp | None = None


@dataclass(frozen=True, slots=True)
class SceneTruth:
    """True depth of a scene in units of its own range.

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

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.inv_depth.nbytes + self.weight.nbytes


def open_scenes(root: Path, locations: Mapping[str, Split], side: Split) -> list[SceneEntry]:
    """Scenes below ``root`` whose location is on one side of the split, as :func:`open_by_split` gives them."""
    return open_by_split(root, locations, (side,))[side]


def open_by_split(
    root: Path, locations: Mapping[str, Split], sides: Sequence[Split] = ("train", "dev")
) -> dict[Split, list[SceneEntry]]:
    """Scenes below ``root`` by the side of the split that their location is on; only ``scene.json`` of each is read.

    Args:
        root: folder that ``mddnet build`` wrote, ``root/KIND/SCENE/scene.json``.
        locations: location -> side; a location ``photos/...`` is train by definition.
        sides: which sides to give.

    Raises:
        CaptureError: for a scene whose location the split does not name (it could leak from one side to another), or
            if nothing is left of a side.
    """
    entries: dict[Split, list[SceneEntry]] = {side: [] for side in sides}
    for folder in list_scenes(root):
        stamp = scene_stamp(folder)
        record = read_scene(folder)
        side = split_of(record.location, locations)
        if side is None:
            raise CaptureError(
                f"{folder}: location {record.location!r} is not in the split; add a line `{record.location},train`"
            )
        if side in entries and record.frames:
            entries[side].append(SceneEntry(folder, folder.parent.name, record, stamp))
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


_Held = TypeVar("_Held", UInt8Array, SceneTruth)


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
        return self._get(entry, file, lambda: read_image(entry.folder / file))

    def truth(self, entry: SceneEntry) -> SceneTruth:
        """True depth of a scene."""
        return self._get(entry, "", lambda: read_truth(entry))

    def _get(self, entry: SceneEntry, name: str, read: Callable[[], _Held]) -> _Held:
        key = (entry.folder, name)
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]  # type: ignore[return-value]
        with unchanged_since(entry.folder, entry.stamp):
            value = read()
        self._held[key] = value
        self._bytes += value.nbytes
        while self._bytes > self.limit_bytes and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1].nbytes
        return value

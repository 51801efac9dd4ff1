"""The scenes of a split, and a cache of their images and depth maps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mddnet.data.split import split_of
from mddnet.errors import CaptureError
from mddnet.scenes.scene_stamp import SceneStamp, scene_stamp, unchanged_since
from mddnet.scenes.store import list_scenes, read_confidence, read_image, read_inv_depth, read_scene
from mddnet.types import SPLITS, Float32Array, SceneRecord, Split, UInt8Array

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

LEAST_KNOWN = 50


@dataclass(frozen=True, slots=True)
class SceneEntry:
    """A scene folder."""

    folder: Path
    group: str  # kind of the scene, the name of the parent folder: focal_stacks, rgbd, ...
    record: SceneRecord
    stamp: SceneStamp | None = None  # identifies the build of the scene; None is not checked


@dataclass(frozen=True, slots=True)
class SceneTruth:
    """True depth of a scene in units of its range."""

    inv_depth: Float32[Float32Array, "H W"]  # 0 at the 2nd and 1 at the 98th percentile of the scene, NaN where unknown
    weight: Float32[Float32Array, "H W"]  # in [0, 1], 0 where unknown
    low: float  # value, in the scene's unit, that is 0 here
    range: float  # difference, in the scene's unit, that is 1 here

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.inv_depth.nbytes + self.weight.nbytes


def open_scenes(root: Path, locations: Mapping[str, Split], split: Split) -> list[SceneEntry]:
    """Scenes below ``root`` of one split, by :func:`open_by_split`."""
    return open_by_split(root, locations, (split,))[split]


def open_by_split(
    root: Path, locations: Mapping[str, Split], splits: Sequence[Split] = ("train", "dev")
) -> dict[Split, list[SceneEntry]]:
    """The wanted splits of the scenes below ``root``, ``root/KIND/SCENE/scene.json``; only these files are read.

    CaptureError for a scene whose location is not listed, or if a split is empty.
    """
    stamped = ((folder, scene_stamp(folder), read_scene(folder)) for folder in list_scenes(root))
    entries = (SceneEntry(folder, folder.parent.name, record, stamp) for folder, stamp, record in stamped)
    found = by_split(entries, locations)
    for split in splits:
        found[split] = [entry for entry in found[split] if entry.record.frames]
        if not found[split]:
            raise CaptureError(f"{root}: no scene in the {split} split")
    return {split: found[split] for split in splits}


def by_split(entries: Iterable[SceneEntry], locations: Mapping[str, Split]) -> dict[Split, list[SceneEntry]]:
    """Scenes by the split of their location.

    CaptureError for a scene whose location is not listed: it could leak into another split.
    """
    found: dict[Split, list[SceneEntry]] = {split: [] for split in SPLITS}
    for entry in entries:
        location = entry.record.location
        split = split_of(location, locations)
        if split is None:
            raise CaptureError(
                f"{entry.folder}: location {location!r} is not in the split; add a line `{location},train`"
            )
        found[split].append(entry)
    return found


def read_truth(entry: SceneEntry) -> SceneTruth:
    """Read a scene's inverse depth and its confidence, normalised to the scene's 2-98 % range.

    CaptureError if hardly any of the map is known.
    """
    folder, record = entry.folder, entry.record
    return truth_of(str(folder), read_inv_depth(folder / record.inv_depth), read_confidence(folder, record))


def truth_of(
    name: str, inv_depth: Float32[Float32Array, "H W"], confidence: Float32[Float32Array, "H W"] | None
) -> SceneTruth:
    """Normalise an inverse depth map to its 2-98 % range; ``name`` is for errors, no confidence is full confidence.

    CaptureError if fewer than 50 pixels of the map are known.
    """
    known = np.isfinite(inv_depth)
    if known.sum() < LEAST_KNOWN:
        raise CaptureError(f"{name}: inverse depth of {known.sum()} pixels is known; expected at least {LEAST_KNOWN}")
    low, high = (float(v) for v in np.percentile(inv_depth[known], [2, 98]))
    span = max(high - low, 1e-6)
    weight = known.astype(np.float32)
    if confidence is not None:
        weight *= confidence
    return SceneTruth(((inv_depth - low) / span).astype(np.float32), weight, low, span)


_Cached = TypeVar("_Cached", UInt8Array, SceneTruth)


class ScenePool:
    """Least-recently-used cache, limited in bytes, of decoded images and depth maps.

    A scene that was rebuilt after it was opened is refused: its frames would not match its record.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._cache: OrderedDict[tuple[Path, str], UInt8Array | SceneTruth] = OrderedDict()
        self._bytes = 0

    def image(self, entry: SceneEntry, file: str) -> UInt8[UInt8Array, "H W 3"]:
        """Image of a scene."""
        return self._get(entry, file, lambda: read_image(entry.folder / file))

    def truth(self, entry: SceneEntry) -> SceneTruth:
        """True depth of a scene."""
        return self._get(entry, "", lambda: read_truth(entry))

    def _get(self, entry: SceneEntry, name: str, read: Callable[[], _Cached]) -> _Cached:
        key = (entry.folder, name)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]  # type: ignore[return-value]
        with unchanged_since(entry.folder, entry.stamp):
            value = read()
        self._cache[key] = value
        self._bytes += value.nbytes
        while self._bytes > self.limit_bytes and len(self._cache) > 1:
            self._bytes -= self._cache.popitem(last=False)[1].nbytes
        return value

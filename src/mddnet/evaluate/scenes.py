"""Built scenes as samples: selection, and the truth of their photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mddnet.data.evenly import evenly
from mddnet.data.scene_pool import SceneEntry
from mddnet.errors import CaptureError
from mddnet.evaluate.samples import Options, Sample, Source, sample_known_pixels, seed_of
from mddnet.kinds import KINDS
from mddnet.metrics import Truth, defocus_ordinal_pairs, depth_ordinal_pairs, inv_depth_range, texture_mask
from mddnet.metrics.comparison import SIGN_RANGE_MIN
from mddnet.metrics.order import OrdinalPairs
from mddnet.optics import signed_defocus_px
from mddnet.scenes.scene_stamp import scene_stamp, unchanged_since
from mddnet.scenes.store import list_scenes, read_confidence, read_image, read_inv_depth, read_scene
from mddnet.types import BoolArray, Float32Array, FrameRecord, SceneRecord, UInt8Array

MEASURED_KINDS = {name: kind for name, kind in KINDS.items() if kind.frames_measured > 0}
"""Kinds whose depth is used as truth."""
CONFIDENCE_MIN = 0.5  # depth of a scene with a confidence map counts as known where the confidence is above this
BLUR_SHARE_MIN = 0.02  # a frame shows blur if this share of random masked pixel pairs has clearly different CoCs
SCENES_PER_LOCATION = 8  # at most; neighbouring frames of a video are nearly equal


@dataclass(frozen=True, slots=True)
class SceneChoice:
    """Result of :func:`choose_scenes`."""

    scenes: tuple[SceneEntry, ...]  # by kind, location and name
    locations_without_split: tuple[str, ...]  # not in the split; their scenes are left out
    failures: tuple[tuple[str, str], ...]  # unreadable scene folders and the reason


@dataclass(frozen=True, slots=True, eq=False)
class SceneMaps:
    """A scene in memory."""

    sharp: UInt8Array  # (H, W, 3) uint8, the all-in-focus image
    inv_depth: Float32Array  # (H, W) float32 in the unit of the record; NaN where unknown or of low confidence
    mask: BoolArray  # (H, W) bool, textured pixels of known depth, at which order and sign are measured
    range: float  # the scene's 2-98 % range of inverse depth


def choose_scenes(
    root: Path,
    split_of: Mapping[str, str],
    split: str,
    kinds: Sequence[str] = tuple(MEASURED_KINDS),
    scenes_per_location: int = SCENES_PER_LOCATION,
) -> SceneChoice:
    """Choose the scenes of one split and of some kinds, ROOT/KIND/SCENE or ROOT/SCENE; CaptureError if none exist."""
    failures: list[tuple[str, str]] = []
    without_split: set[str] = set()
    by_location: dict[tuple[str, str], list[SceneEntry]] = {}
    for folder in list_scenes(root):
        # skip photos, the most numerous scenes, without opening them
        if folder.parent.name in KINDS and folder.parent.name not in MEASURED_KINDS:
            continue
        stamp = scene_stamp(folder)
        try:
            record = read_scene(folder)
        except CaptureError as error:
            failures.append((str(folder), str(error)))
            continue
        kind = folder.parent.name
        if kind not in KINDS:
            kind = next((name for name, one in KINDS.items() if one.capture == record.capture), record.capture)
        if kind not in kinds:
            continue
        if record.location not in split_of:
            without_split.add(record.location)
        elif split_of[record.location] == split:
            by_location.setdefault((kind, record.location), []).append(SceneEntry(folder, kind, record, stamp))
    order = list(MEASURED_KINDS)
    chosen: list[SceneEntry] = []
    for key in sorted(by_location, key=lambda k: (order.index(k[0]), k[1])):
        scenes = by_location[key]
        chosen += [scenes[i] for i in evenly(len(scenes), scenes_per_location)]
    return SceneChoice(tuple(chosen), tuple(sorted(without_split)), tuple(failures))


def choose_frames(scene: SceneEntry, frames_per_scene: int) -> list[FrameRecord]:
    """Frames of a scene, spread evenly from far to near focus."""
    ordered = sorted(scene.record.frames, key=lambda frame: (frame.u_focus, frame.file))
    return [ordered[i] for i in evenly(len(ordered), frames_per_scene)]


def one_per_location(scenes: Sequence[SceneEntry]) -> list[SceneEntry]:
    """One scene of each location, of the kinds whose sharp image is captured or fused."""
    first: dict[tuple[str, str], SceneEntry] = {}
    for scene in scenes:
        if scene.group != "light_fields":
            first.setdefault((scene.group, scene.record.location), scene)
    return list(first.values())


def read_maps(scene: SceneEntry, confidence_min: float = CONFIDENCE_MIN) -> SceneMaps:
    """Read the sharp image and the inverse depth of a scene, NaN where its confidence is low.

    CaptureError if a file is missing or damaged, sizes differ, or a build has replaced the scene.
    """
    record, folder = scene.record, scene.folder
    with unchanged_since(folder, scene.stamp):
        sharp = read_image(folder / record.sharp)
        inv_depth = read_inv_depth(folder / record.inv_depth).copy()
        confidence = read_confidence(folder, record)
    for name, image in (("sharp image", sharp), ("confidence", confidence)):
        if image is not None and image.shape[:2] != inv_depth.shape:
            raise CaptureError(f"{folder}: {name} {image.shape[:2]}, inverse depth {inv_depth.shape}; build it again")
    if confidence is not None:
        inv_depth[~(confidence > confidence_min)] = np.nan
    mask = texture_mask(sharp) & np.isfinite(inv_depth)
    return SceneMaps(sharp, inv_depth, mask, inv_depth_range(inv_depth))


def read_frame(scene: SceneEntry, frame: FrameRecord, maps: SceneMaps) -> UInt8Array:
    """Read a focused frame, (H, W, 3) uint8; CaptureError as :func:`read_maps`, also for another size."""
    path = scene.folder / frame.file
    with unchanged_since(scene.folder, scene.stamp):
        photo = read_image(path)
    if photo.shape != maps.sharp.shape:
        expected = f"{maps.sharp.shape[:2]} like the scene: build it again"
        raise CaptureError(f"{path}: size {photo.shape[:2]}; expected {expected}")
    return photo


def has_true_defocus(record: SceneRecord, frame: FrameRecord) -> bool:
    """Whether the CoC of a frame is known. With ordinal depth, it is known for rendered frames only."""
    return frame.kappa_px > 0 and not _is_ordinal_capture(record)


def _is_ordinal_capture(record: SceneRecord) -> bool:
    return record.unit == "ordinal" and record.provenance == "real"


def true_signed_defocus(maps: SceneMaps, frame: FrameRecord) -> Float32Array:
    """Signed CoC diameter of a frame by the lens law, (H, W) pixels, NaN where depth is unknown."""
    return signed_defocus_px(maps.inv_depth, frame.u_focus, frame.kappa_px).astype(np.float32)


class SceneReader:
    """Reads scenes, and caches the last one for all of its samples."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._last: tuple[SceneEntry, SceneMaps, OrdinalPairs] | None = None

    def maps(self, scene: SceneEntry) -> tuple[SceneMaps, OrdinalPairs]:
        """The maps of a scene, and pairs of pixels with clearly different depth."""
        if self._last is None or self._last[0] is not scene:
            self._last = None
            maps = read_maps(scene)
            seed = seed_of(self._options.seed, scene.record.name, "depth")
            pairs = depth_ordinal_pairs(maps.inv_depth, maps.mask, pairs=self._options.pairs_per_photo, seed=seed)
            self._last = (scene, maps, pairs)
        return self._last[1], self._last[2]

    def sharp(self, scene: SceneEntry) -> Truth:
        """The all-in-focus image, for ordinal accuracy of depth only."""
        maps, pairs = self.maps(scene)
        return Truth(maps.sharp, sharp_pairs=pairs)

    def frame(self, source: Source, scene: SceneEntry, frame: FrameRecord) -> Truth | None:
        """A focused frame; None if its truth has hardly any blur, which is counted in the source."""
        record, options = scene.record, self._options
        maps, depth_pairs = self.maps(scene)
        signed_px = defocus_px = defocus_pairs = None
        if has_true_defocus(record, frame):
            signed_px = true_signed_defocus(maps, frame)
            defocus_px = np.abs(signed_px)
            seed = seed_of(options.seed, record.name, frame.file, "defocus")
            defocus_pairs = defocus_ordinal_pairs(defocus_px, maps.mask, pairs=options.pairs_per_photo, seed=seed)
        if not _is_ordinal_capture(record) and (
            defocus_pairs is None or defocus_pairs.admissible_share < BLUR_SHARE_MIN
        ):
            source.photos_without_blur[record.name] = source.photos_without_blur.get(record.name, 0) + 1
            return None
        source.photos_without_true_defocus += defocus_pairs is None
        drawn = sample_known_pixels(maps.inv_depth, seed_of(options.seed, record.name, frame.file, "pixels"))
        return Truth(
            read_frame(scene, frame, maps),
            inv_depth=maps.inv_depth,
            unit=record.unit,
            range=maps.range,
            signed_defocus_px=signed_px,
            defocus_px=defocus_px,
            u_focus=None if record.unit == "ordinal" else frame.u_focus,
            label_noise_px=record.measures.get("coc_label_noise_px"),
            mask=maps.mask,
            rank_mask=maps.mask,
            sign_mask=maps.mask & (np.abs(maps.inv_depth - frame.u_focus) > SIGN_RANGE_MIN * maps.range),
            depth_pairs=depth_pairs,
            defocus_pairs=defocus_pairs,
            depth_indices=drawn,
            defocus_indices=drawn,
        )


def scene_source(kind: str, scenes: Sequence[SceneEntry], options: Options) -> Source:
    """The photos of all scenes of a kind, and their all-in-focus images."""
    reader = SceneReader(options)
    samples: list[Sample] = []
    source = Source(kind, KINDS[kind].title, samples)
    for scene in scenes:
        unit, name, location = str(scene.folder), scene.record.name, scene.record.location
        samples.append(Sample(unit, name, location, scene.record.sharp, partial(reader.sharp, scene)))
        for frame in choose_frames(scene, options.frames_per_scene or MEASURED_KINDS[kind].frames_measured):
            if frame.file == scene.record.sharp:
                continue
            load = partial(reader.frame, source, scene, frame)
            samples.append(Sample(unit, name, location, frame.file, load))
    return source

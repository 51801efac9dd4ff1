"""The built scenes that an evaluation looks at, with their truths and the pixels at which it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mddnet.data.evenly import evenly
from mddnet.errors import CaptureError
from mddnet.metrics import inv_depth_range, texture_mask
from mddnet.optics import signed_defocus_px
from mddnet.scenes.scene_stamp import SceneStamp, scene_stamp, unchanged_since
from mddnet.scenes.store import list_scenes, read_image, read_inv_depth, read_scene
from mddnet.types import BoolArray, Float32Array, FrameRecord, SceneRecord, UInt8Array

SCENE_KINDS = ("focal_stacks", "light_fields", "rgbd", "stereo")
"""Kinds of scenes that are evaluated, named like the folders they are built into; photos have no true depth."""

CONFIDENCE_MIN = 0.5
"""Depth of a scene with a confidence map counts as known where the confidence is above this."""

FRAMES_PER_SCENE: Mapping[str, int] = {"focal_stacks": 6, "light_fields": 6, "rgbd": 2, "stereo": 3}
"""Most frames taken of one scene, spread evenly over its focus distances."""

SCENES_PER_PLACE = 8
"""Most scenes taken of one place, spread evenly: neighbours in a video are one scene all over again."""

DRAWN_PIXELS = 20_000
"""Known pixels drawn of each photo for the measures that sort them."""

_KIND_OF_CAPTURE = {"focal_stack": "focal_stacks", "light_field": "light_fields", "photo": "photos"}


@dataclass(frozen=True, slots=True)
class EvaluationScene:
    """A scene folder that takes part.

    Attributes:
        folder: the scene folder.
        kind: one of :data:`SCENE_KINDS`.
        record: its ``scene.json``.
        stamp: which of the scenes that were ever built into this folder it is; None if nobody took note.
    """

    folder: Path
    kind: str
    record: SceneRecord
    stamp: SceneStamp | None = None


@dataclass(frozen=True, slots=True)
class SceneChoice:
    """What :func:`choose_scenes` took and what it left.

    Attributes:
        scenes: the scenes that take part, by kind, place and name.
        places_without_split: places of scenes that the split does not name; their scenes take no part.
        thinned: how many scenes were left out because their place has more than ``SCENES_PER_PLACE``.
        failures: scene folders that could not be read, with the reason.
    """

    scenes: tuple[EvaluationScene, ...]
    places_without_split: tuple[str, ...]
    thinned: int
    failures: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SceneTruth:
    """A scene in memory.

    Attributes:
        sharp: (H, W, 3) uint8, the all-in-focus image.
        inv_depth: (H, W) float32 in the unit of the record; NaN where unknown or not trusted.
        mask: (H, W) bool, pixels at which order and sign are asked: textured, known and trusted.
        range: the scene's 2-98 % range of inverse depth, over known and trusted pixels.
    """

    sharp: UInt8Array
    inv_depth: Float32Array
    mask: BoolArray
    range: float


def scene_kind(folder: Path, record: SceneRecord) -> str:
    """Kind of a scene: the folder that it was built into if that names one, else the capture kind of its record."""
    named = folder.parent.name
    if named in (*SCENE_KINDS, "photos"):
        return named
    return _KIND_OF_CAPTURE.get(record.capture, record.capture)


def choose_scenes(
    root: Path,
    places: Mapping[str, str],
    split: str,
    kinds: Sequence[str] = SCENE_KINDS,
    scenes_per_place: int = SCENES_PER_PLACE,
) -> SceneChoice:
    """Choose the scenes of one side of the split below ``root``.

    Args:
        root: folder of built scenes, ROOT/KIND/SCENE or ROOT/SCENE.
        places: split of each place, as ``split.csv`` says.
        split: the side to take.
        kinds: kinds to take.
        scenes_per_place: most scenes of one place.

    Raises:
        CaptureError: if there is no scene folder at all.
    """
    failures: list[tuple[str, str]] = []
    unplaced: set[str] = set()
    by_place: dict[tuple[str, str], list[EvaluationScene]] = {}
    for folder in list_scenes(root):
        # photos, by far the most scenes, need not be opened to be left out
        if folder.parent.name in ("photos", "pseudo"):
            continue
        stamp = scene_stamp(folder)
        try:
            record = read_scene(folder)
        except CaptureError as error:
            failures.append((str(folder), str(error)))
            continue
        kind = scene_kind(folder, record)
        if kind not in kinds:
            continue
        if record.place not in places:
            unplaced.add(record.place)
        elif places[record.place] == split:
            by_place.setdefault((kind, record.place), []).append(EvaluationScene(folder, kind, record, stamp))
    chosen: list[EvaluationScene] = []
    thinned = 0
    for key in sorted(by_place, key=lambda k: (SCENE_KINDS.index(k[0]), k[1])):
        scenes = by_place[key]
        kept = [scenes[i] for i in evenly(len(scenes), scenes_per_place)]
        thinned += len(scenes) - len(kept)
        chosen += kept
    return SceneChoice(tuple(chosen), tuple(sorted(unplaced)), thinned, tuple(failures))


def choose_frames(scene: EvaluationScene, frames_per_scene: int) -> list[FrameRecord]:
    """Frames of a scene, spread evenly over its sweep from far to near focus."""
    ordered = sorted(scene.record.frames, key=lambda frame: (frame.u_focus, frame.file))
    return [ordered[i] for i in evenly(len(ordered), frames_per_scene)]


def read_truth(scene: EvaluationScene, confidence_min: float = CONFIDENCE_MIN) -> SceneTruth:
    """Read the sharp image and the trusted inverse depth of a scene.

    Raises:
        CaptureError: if a file is missing or damaged, the sizes differ, or a build replaced the scene since it was
            chosen.
    """
    record, folder = scene.record, scene.folder
    with unchanged_since(folder, scene.stamp):
        sharp = read_image(folder / record.sharp)
        inv_depth = read_inv_depth(folder / record.inv_depth).inv_depth.copy()
        confidence = None
        if record.confidence is not None:
            confidence = read_image(folder / record.confidence)[..., 0] / np.float32(255.0)
    if inv_depth.shape != sharp.shape[:2]:
        raise CaptureError(f"{folder}: inverse depth {inv_depth.shape}, sharp image {sharp.shape[:2]}; build it again")
    if confidence is not None:
        if confidence.shape != inv_depth.shape:
            raise CaptureError(
                f"{folder}: confidence {confidence.shape}, inverse depth {inv_depth.shape}; build it again"
            )
        inv_depth[~(confidence > confidence_min)] = np.nan
    mask = texture_mask(sharp) & np.isfinite(inv_depth)
    return SceneTruth(sharp, inv_depth, mask, inv_depth_range(inv_depth))


def read_frame(scene: EvaluationScene, frame: FrameRecord, truth: SceneTruth) -> UInt8Array:
    """Read a focused frame, (H, W, 3) uint8.

    Raises:
        CaptureError: if it is missing, damaged, of another size than the scene, or a build replaced the scene since it
            was chosen.
    """
    with unchanged_since(scene.folder, scene.stamp):
        photo = read_image(scene.folder / frame.file)
    if photo.shape != truth.sharp.shape:
        raise CaptureError(f"{scene.folder / frame.file}: size {photo.shape[:2]}, scene {truth.sharp.shape[:2]}")
    return photo


def has_true_defocus(record: SceneRecord, frame: FrameRecord) -> bool:
    """Whether the CoC of a frame is known.

    A captured scene of which only the order is known has no CoC; frames rendered from such a depth do: it is what was
    rendered.
    """
    return frame.kappa_px > 0 and (record.unit != "ordinal" or record.provenance != "real")


def true_signed_defocus(truth: SceneTruth, frame: FrameRecord) -> Float32Array:
    """Signed CoC diameter of a frame by the lens law, (H, W) pixels, NaN where depth is not known."""
    return signed_defocus_px(truth.inv_depth, frame.u_focus, frame.kappa_px).astype(np.float32)


def draw_known(values: Float32Array, seed: int, count: int = DRAWN_PIXELS) -> NDArray[np.int64]:
    """Flat indices of pixels whose value (of inverse depth, say) is known, drawn without repetition; few are all taken.

    What needs sorting (blur detection, confidence) is measured on these: the standard error of a share is at most
    0.4 %.

    Args:
        values: (H, W), NaN where not known.
        seed: the draw is a function of it and of which pixels are known.
        count: how many.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) <= count:
        return known
    return np.sort(np.random.default_rng(seed).choice(known, count, replace=False))


def near_depth_edges(inv_depth: Float32Array, step: float, reach_px: int) -> BoolArray:
    """Pixels within reach of a step in depth: where one thing hides another.

    Args:
        inv_depth: (H, W), NaN where unknown.
        step: smallest difference between neighbours two pixels apart that counts as a step.
        reach_px: how far around, in pixels, a square.

    Returns:
        (H, W) bool.
    """
    edge = np.zeros(inv_depth.shape, dtype=bool)
    with np.errstate(invalid="ignore"):
        edge[:, 1:-1] |= np.abs(inv_depth[:, 2:] - inv_depth[:, :-2]) > step
        edge[1:-1] |= np.abs(inv_depth[2:] - inv_depth[:-2]) > step
    # a square around each edge pixel, by sums over the square
    side = 2 * reach_px + 1
    sums = np.pad(edge.astype(np.int32), ((reach_px + 1, reach_px), (reach_px + 1, reach_px))).cumsum(0).cumsum(1)
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return np.asarray(total > 0)

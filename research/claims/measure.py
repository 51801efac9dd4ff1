"""What one method says of the scenes of a fold, against the truth, photo by photo and then as means over locations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from research.claims.regions import regions

from mddnet import metrics
from mddnet.data.evenly import evenly
from mddnet.data.scene_pool import SceneEntry
from mddnet.evaluate.samples import seed_of
from mddnet.evaluate.scenes import (
    BLUR_SHARE_MIN,
    EvaluationScene,
    SceneMaps,
    choose_frames,
    has_true_defocus,
    read_frame,
    read_maps,
    true_signed_defocus,
)
from mddnet.metrics import Comparison, OrdinalPairs, Truth, fit_alignment
from mddnet.types import BoolArray, Float32Array, UInt8Array

SCENES_PER_LOCATION = 4
FRAMES_PER_SCENE = {"focal_stacks": 4, "light_fields": 4, "rgbd": 2, "stereo": 2, "rigs": 4}
PAIRS = 20_000
METRIC = ("abs_rel", "rmse_m", "delta1")
"""Measures in metres, after robust scale-and-shift alignment in inverse depth; of locations whose depth is metric.
Where the scale would not be positive, which would turn near and far round, the prediction counts as a constant."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method says of a photo; None for what it does not estimate.

    Attributes:
        inv_depth: (H, W), larger is nearer, any scale and shift.
        defocus_px: (H, W) CoC diameter, pixels of the photo.
        blur_score: (H, W), larger is blurrier; where there is no size but an order.
        signed_px: (H, W), signed CoC.
    """

    inv_depth: Float32Array | None = None
    defocus_px: Float32Array | None = None
    blur_score: Float32Array | None = None
    signed_px: Float32Array | None = None


class Method(Protocol):
    """Anything that answers."""

    def answer(self, photo: UInt8Array, /) -> Answer:
        """Maps of one (H, W, 3) uint8 sRGB photo."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """A scene and what is asked of all of its photos."""

    truth: SceneMaps
    where: Mapping[str, BoolArray]
    depth_pairs: OrdinalPairs
    metric: bool
    linear: bool


def measure(
    method: Method, entries: Sequence[SceneEntry], on_photo: Callable[[], None] = lambda: None
) -> dict[tuple[str, str], dict[str, float]]:
    """Means over photos, then scenes, by kind of scene and location; with the number of photos as ``photos``.

    Args:
        method: what to ask.
        entries: the scenes that were kept out.
        on_photo: called after each photo.
    """
    measured = {}
    for key, scenes in scenes_by_location(entries):
        per_scene, photos = [], 0
        for scene in scenes:
            rows = []
            for row in _photos(method, scene):
                rows.append(row)
                on_photo()
            photos += len(rows)
            if rows:
                per_scene.append(_mean(rows))
        if per_scene:
            measured[key] = {"photos": float(photos), **_mean(per_scene)}
    return measured


def scenes_by_location(entries: Sequence[SceneEntry]) -> Iterator[tuple[tuple[str, str], list[EvaluationScene]]]:
    """The scenes that are looked at, spread evenly over those of a place; by kind of scene and place, in order."""
    by_location: dict[tuple[str, str], list[SceneEntry]] = {}
    for entry in entries:
        by_location.setdefault((entry.group, entry.record.location), []).append(entry)
    for key, scenes in sorted(by_location.items()):
        chosen = [scenes[i] for i in evenly(len(scenes), SCENES_PER_LOCATION)]
        yield key, [EvaluationScene(entry.folder, entry.group, entry.record, entry.stamp) for entry in chosen]


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each measure over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    values = {name: [row[name] for row in rows if np.isfinite(row.get(name, np.nan))] for name in names}
    return {name: float(np.mean(found)) for name, found in values.items() if found}


@dataclass(frozen=True, slots=True)
class AskedPhoto:
    """A photo that a method is asked about.

    Attributes:
        photo: (H, W, 3) sRGB.
        signed_px: (H, W), true signed CoC; NaN where unknown.
        pairs: of clearly different CoC.
    """

    photo: UInt8Array
    signed_px: Float32Array
    pairs: OrdinalPairs


def asked_photos(scene: EvaluationScene, truth: SceneMaps) -> Iterator[AskedPhoto]:
    """The photos of a scene that say something of blur: of known blur, and with enough of it."""
    record = scene.record
    for frame in choose_frames(scene, FRAMES_PER_SCENE[scene.kind]):
        if not has_true_defocus(record, frame):
            continue
        signed_px = true_signed_defocus(truth, frame)
        pairs = metrics.defocus_ordinal_pairs(
            np.abs(signed_px), truth.mask, pairs=PAIRS, seed=seed_of(0, record.name, frame.file, "defocus")
        )
        if pairs.admissible_share >= BLUR_SHARE_MIN:
            yield AskedPhoto(read_frame(scene, frame, truth), signed_px, pairs)


def _photos(method: Method, scene: EvaluationScene) -> Iterator[dict[str, float]]:
    record, truth = scene.record, read_maps(scene)
    if not truth.range > 0:
        return
    asked = _Asked(
        truth,
        regions(truth),
        metrics.depth_ordinal_pairs(truth.inv_depth, truth.mask, pairs=PAIRS, seed=seed_of(0, record.name, "depth")),
        metric=record.unit == "1/m",
        linear=record.unit != "ordinal",
    )
    for one in asked_photos(scene, truth):
        answer = method.answer(one.photo)
        row = {}
        if answer.inv_depth is not None:
            rotated = method.answer(np.ascontiguousarray(one.photo[::-1, ::-1])).inv_depth
            assert rotated is not None
            row |= _depth(answer.inv_depth, rotated[::-1, ::-1], asked)
        row |= _defocus(answer, one, asked)
        yield row


def _depth(inv_depth: Float32Array, rotated: Float32Array, asked: _Asked) -> dict[str, float]:
    truth = asked.truth
    row = {
        "depth_ordinal": asked.depth_pairs.accuracy(inv_depth),
        "depth_ordinal_turned": asked.depth_pairs.accuracy(rotated),
    }
    known = np.isfinite(truth.inv_depth)
    if asked.linear:
        aligned = fit_alignment(inv_depth, truth.inv_depth, kind="scale_and_shift", method="robust").apply(inv_depth)
        error = np.abs(aligned - truth.inv_depth) / truth.range
        row["depth_error"] = float(error[known].mean())
        row |= {f"depth_error_{name}": float(error[known & at].mean()) for name, at in _some(asked, known)}
    if asked.metric:
        of_photo = Truth(truth.sharp, truth.inv_depth)
        row |= metrics.measure(Comparison(of_photo, metrics.Estimate(inv_depth)), METRIC)
    return row


def _defocus(answer: Answer, one: AskedPhoto, asked: _Asked) -> dict[str, float]:
    row: dict[str, float] = {}
    signed_px = one.signed_px
    score = answer.defocus_px if answer.defocus_px is not None else answer.blur_score
    if score is not None:
        row["defocus_ordinal"] = one.pairs.accuracy(score)
    if answer.defocus_px is not None:
        known = np.isfinite(signed_px)
        error = np.abs(answer.defocus_px - np.abs(signed_px))
        row["coc_mae_px"] = float(error[known].mean())
        row["coc_mse_px2"] = float(np.square(error[known], dtype=np.float64).mean())
        row |= {f"coc_mae_px_{name}": float(error[known & at].mean()) for name, at in _some(asked, known)}
    if answer.signed_px is not None:
        row["sign_accuracy"] = metrics.sign_accuracy(
            answer.signed_px, signed_px, asked.truth.mask, min_defocus_px=0.01 * max(signed_px.shape)
        )
    return row


def _some(asked: _Asked, known: BoolArray) -> Iterator[tuple[str, BoolArray]]:
    """The regions in which something is known."""
    for name, where in asked.where.items():
        if (known & where).any():
            yield name, where

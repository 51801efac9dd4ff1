"""Evaluate a method on the scenes of a fold: metrics per photo, then means over locations."""

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
"""Metrics in metres, after robust scale-and-shift alignment in inverse depth, for locations with metric depth.
If the scale would not be positive (near and far swapped), the prediction counts as a constant."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Maps (H, W) of a photo by a method; None for what it does not estimate."""

    inv_depth: Float32Array | None = None  # larger is nearer, arbitrary scale and shift
    defocus_px: Float32Array | None = None  # CoC diameter, pixels of the photo
    blur_score: Float32Array | None = None  # larger is blurrier, of methods without a size
    signed_px: Float32Array | None = None  # signed CoC


class Method(Protocol):
    """A method to evaluate."""

    def estimate(self, photo: UInt8Array, /) -> Estimate:
        """Maps of one (H, W, 3) uint8 sRGB photo."""
        ...


@dataclass(frozen=True, slots=True)
class _Context:
    """What all photos of a scene share."""

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
        method: the method.
        entries: held-out scenes.
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


def scenes_by_location(entries: Sequence[SceneEntry]) -> Iterator[tuple[tuple[str, str], list[SceneEntry]]]:
    """Evenly spaced scenes of each location, by kind of scene and location, sorted."""
    by_location: dict[tuple[str, str], list[SceneEntry]] = {}
    for entry in entries:
        by_location.setdefault((entry.group, entry.record.location), []).append(entry)
    for key, scenes in sorted(by_location.items()):
        yield key, [scenes[i] for i in evenly(len(scenes), SCENES_PER_LOCATION)]


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each measure over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    values = {name: [row[name] for row in rows if np.isfinite(row.get(name, np.nan))] for name in names}
    return {name: float(np.mean(found)) for name, found in values.items() if found}


@dataclass(frozen=True, slots=True)
class EvaluatedPhoto:
    """A photo with its truth."""

    photo: UInt8Array  # (H, W, 3) sRGB
    signed_px: Float32Array  # (H, W), true signed CoC; NaN where unknown
    pairs: OrdinalPairs  # of clearly different CoC


def evaluated_photos(scene: SceneEntry, truth: SceneMaps) -> Iterator[EvaluatedPhoto]:
    """The photos of a scene with known and sufficient blur."""
    record = scene.record
    for frame in choose_frames(scene, FRAMES_PER_SCENE[scene.group]):
        if not has_true_defocus(record, frame):
            continue
        signed_px = true_signed_defocus(truth, frame)
        pairs = metrics.defocus_ordinal_pairs(
            np.abs(signed_px), truth.mask, pairs=PAIRS, seed=seed_of(0, record.name, frame.file, "defocus")
        )
        if pairs.admissible_share >= BLUR_SHARE_MIN:
            yield EvaluatedPhoto(read_frame(scene, frame, truth), signed_px, pairs)


def _photos(method: Method, scene: SceneEntry) -> Iterator[dict[str, float]]:
    record, truth = scene.record, read_maps(scene)
    if not truth.range > 0:
        return
    context = _Context(
        truth,
        regions(truth),
        metrics.depth_ordinal_pairs(truth.inv_depth, truth.mask, pairs=PAIRS, seed=seed_of(0, record.name, "depth")),
        metric=record.unit == "1/m",
        linear=record.unit != "ordinal",
    )
    for one in evaluated_photos(scene, truth):
        estimate = method.estimate(one.photo)
        row = {}
        if estimate.inv_depth is not None:
            rotated = method.estimate(np.ascontiguousarray(one.photo[::-1, ::-1])).inv_depth
            assert rotated is not None
            row |= _depth(estimate.inv_depth, rotated[::-1, ::-1], context)
        row |= _defocus(estimate, one, context)
        yield row


def _depth(inv_depth: Float32Array, rotated: Float32Array, context: _Context) -> dict[str, float]:
    truth = context.truth
    row = {
        "depth_ordinal": context.depth_pairs.accuracy(inv_depth),
        "depth_ordinal_turned": context.depth_pairs.accuracy(rotated),
    }
    known = np.isfinite(truth.inv_depth)
    if context.linear:
        aligned = fit_alignment(inv_depth, truth.inv_depth, kind="scale_and_shift", method="robust").apply(inv_depth)
        error = np.abs(aligned - truth.inv_depth) / truth.range
        row["depth_error"] = float(error[known].mean())
        row |= {f"depth_error_{name}": float(error[known & at].mean()) for name, at in _some(context, known)}
    if context.metric:
        of_photo = Truth(truth.sharp, truth.inv_depth)
        row |= metrics.measure(Comparison(of_photo, metrics.Estimate(inv_depth)), METRIC)
    return row


def _defocus(estimate: Estimate, one: EvaluatedPhoto, context: _Context) -> dict[str, float]:
    row: dict[str, float] = {}
    signed_px = one.signed_px
    score = estimate.defocus_px if estimate.defocus_px is not None else estimate.blur_score
    if score is not None:
        row["defocus_ordinal"] = one.pairs.accuracy(score)
    if estimate.defocus_px is not None:
        known = np.isfinite(signed_px)
        error = np.abs(estimate.defocus_px - np.abs(signed_px))
        row["coc_mae_px"] = float(error[known].mean())
        row["coc_mse_px2"] = float(np.square(error[known], dtype=np.float64).mean())
        row |= {f"coc_mae_px_{name}": float(error[known & at].mean()) for name, at in _some(context, known)}
    if estimate.signed_px is not None:
        row["sign_accuracy"] = metrics.sign_accuracy(
            estimate.signed_px, signed_px, context.truth.mask, min_defocus_px=0.01 * max(signed_px.shape)
        )
    return row


def _some(context: _Context, known: BoolArray) -> Iterator[tuple[str, BoolArray]]:
    """The regions in which something is known."""
    for name, where in context.where.items():
        if (known & where).any():
            yield name, where

"""Measure a method on scenes: metrics of every photo, then means over photos, scenes and locations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from research.claims.regions import regions

from mddnet import metrics
from mddnet.data.evenly import evenly
from mddnet.data.scene_pool import SceneEntry
from mddnet.evaluate.methods import Method, can_estimate
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
from mddnet.metrics import Estimate, OrdinalPairs, fit_alignment
from mddnet.types import BoolArray, Float32Array, FrameRecord

SCENES_AND_FRAMES = {"rgbd": (4, 2), "rigs": (1, 3), "focal_stacks": (2, 3), "light_fields": (2, 3)}
OTHER_KINDS = (2, 2)
"""Scenes of a location and frames of a scene that are measured, at most."""
PAIRS = 10_000


@dataclass(frozen=True, slots=True)
class _Scene:
    """What all photos of a scene share."""

    entry: SceneEntry
    truth: SceneMaps
    where: Mapping[str, BoolArray]
    depth_pairs: OrdinalPairs


def measure(method: Method, entries: Sequence[SceneEntry]) -> dict[tuple[str, str], dict[str, float]]:
    """Means over photos, then scenes, by kind of scene and location, with the number of ``photos``."""
    by_location: dict[tuple[str, str], list[SceneEntry]] = {}
    for entry in entries:
        by_location.setdefault((entry.group, entry.record.location), []).append(entry)
    measured = {}
    for key, scenes in sorted(by_location.items()):
        chosen = evenly(len(scenes), SCENES_AND_FRAMES.get(key[0], OTHER_KINDS)[0])
        rows = [row for row in (_of_scene(method, scenes[i]) for i in chosen) if row]
        if rows:
            measured[key] = {**_mean(rows), "photos": sum(row["photos"] for row in rows)}
    return measured


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each measure over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    values = {name: [row[name] for row in rows if np.isfinite(row.get(name, np.nan))] for name in names}
    return {name: float(np.mean(found)) for name, found in values.items() if found}


def _of_scene(method: Method, entry: SceneEntry) -> dict[str, float]:
    """Means over the photos with known and sufficient blur; depth of the sharp image under ``..._sharp``."""
    truth, name = read_maps(entry), entry.record.name
    if not truth.range > 0:
        return {}
    pairs = metrics.depth_ordinal_pairs(truth.inv_depth, truth.mask, pairs=PAIRS, seed=seed_of(0, name, "depth"))
    scene = _Scene(entry, truth, regions(truth), pairs)
    frames = choose_frames(entry, SCENES_AND_FRAMES.get(entry.group, OTHER_KINDS)[1])
    rows = [row for row in (_of_frame(method, scene, frame) for frame in frames) if row]
    if not rows:
        return {}
    sharp = _depth(method.infer(truth.sharp), scene) if can_estimate(method, "depth") else {}
    return {**_mean(rows), **{f"{key}_sharp": value for key, value in sharp.items()}, "photos": float(len(rows))}


def _of_frame(method: Method, scene: _Scene, frame: FrameRecord) -> dict[str, float]:
    record, truth = scene.entry.record, scene.truth
    if not has_true_defocus(record, frame):
        return {}
    signed_px = true_signed_defocus(truth, frame)
    seed = seed_of(0, record.name, frame.file, "defocus")
    pairs = metrics.defocus_ordinal_pairs(np.abs(signed_px), truth.mask, pairs=PAIRS, seed=seed)
    if pairs.admissible_share < BLUR_SHARE_MIN:
        return {}
    estimate = method.infer(read_frame(scene.entry, frame, truth))
    return {**_depth(estimate, scene), **_defocus(estimate, scene, signed_px, pairs)}


def _depth(estimate: Estimate, scene: _Scene) -> dict[str, float]:
    """Order, and error after robust alignment as a share of the range.

    A prediction that would need a negative scale, near and far swapped, counts as a constant.
    """
    if estimate.inv_depth is None:
        return {}
    truth = scene.truth
    row = {"depth_ordinal": scene.depth_pairs.accuracy(estimate.inv_depth)}
    if scene.entry.record.unit != "ordinal":
        alignment = fit_alignment(estimate.inv_depth, truth.inv_depth, kind="scale_and_shift", method="robust")
        error = np.abs(alignment.apply(estimate.inv_depth) - truth.inv_depth) / truth.range
        row |= _by_region("depth_error", error, scene)
    return row


def _defocus(estimate: Estimate, scene: _Scene, signed_px: Float32Array, pairs: OrdinalPairs) -> dict[str, float]:
    row: dict[str, float] = {}
    if estimate.defocus_px is not None:
        row["defocus_ordinal"] = pairs.accuracy(estimate.defocus_px)
        row |= _by_region("coc_mae_px", np.abs(estimate.defocus_px - np.abs(signed_px)), scene)
    if estimate.signed_defocus_px is not None:
        row["sign_accuracy"] = metrics.sign_accuracy(
            estimate.signed_defocus_px, signed_px, scene.truth.mask, min_defocus_px=0.01 * max(signed_px.shape)
        )
    return row


def _by_region(name: str, error: Float32Array, scene: _Scene) -> dict[str, float]:
    """Mean error everywhere and in each region, where the truth is known."""
    known = np.isfinite(error)
    areas = {name: known, **{f"{name}_{region}": known & mask for region, mask in scene.where.items()}}
    return {key: float(error[area].mean()) for key, area in areas.items() if area.any()}

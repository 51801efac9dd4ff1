"""The judge: one table of how well relative inverse depth fits sharp dev photos and held-out made views.

    python -m research.teacher.judge --data ../shared/data --views work/views --scenes work/scenes \\
        prior shipped peer=../shared/peers/pydnet_plus_plus.tflite tuned=work/teacher/tuned/model.safetensors

Per kind (stereo, RGB-D, multi-view, stacks): ordinal accuracy, mean over the frames of a location, then over the
locations. delta1 and AbsRel after robust affine alignment in inverse depth, where ratios of depths are known. Edges on
Middlebury scenes and held-out made views: median distance in pixels from a predicted to the nearest true edge, and the
share of true edges with a predicted one within three pixels, at 448 pixels on the long side.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from research.teacher.held_out import HeldOut
from research.teacher.predict import Map, Predictor, parse
from research.teacher.samples import Sample, made_views, real

from mddnet.metrics import AlignmentChoice, abs_rel, aligned_depth_m, delta, depth_ordinal_accuracy

KINDS = ("stereo", "rgbd", "multiview", "stacks")
FRAMES_PER_PLACE = 7
LONG_SIDE = 448
ALIGNMENT = AlignmentChoice("scale_and_shift", "inverse depth", "robust")
EDGE_STEP = 0.08
"""A true edge: neighbours two pixels apart differ by more than this share of the 2-98 % range of inverse depth."""
LEAST_EDGE = 20
"""A picture with fewer pixels of true edges is not judged by them."""
NEAR_PX, FAR_PX = 3.0, 20.0
"""A true edge with a predicted one within the first is found; a larger distance than the second counts as the second,
so that one picture without a found edge does not decide the mean."""


@dataclass(frozen=True)
class Score:
    """Measures of one picture; NaN where a measure does not apply."""

    kind: str
    place: str
    name: str
    ordinal: float
    delta1: float
    abs_rel: float
    edge_distance: float
    edge_recall: float


def changes(inv_depth: Map) -> Map:
    """How much inverse depth changes across two pixels, as a share of its 2-98 % range, at the ridges of that change.

    Pixels that are not on a ridge, across or down, have 0, and so has the neighbourhood of unknown depth.
    """
    finite = inv_depth[np.isfinite(inv_depth)]
    low, high = np.percentile(finite, (2, 98))
    values = np.clip(inv_depth, low, high) / max(float(high - low), 1e-9)
    found = np.zeros(inv_depth.shape, dtype=np.float32)
    for axis in (0, 1):
        length = inv_depth.shape[axis]
        change = np.zeros(inv_depth.shape, dtype=np.float32)
        inner = [slice(None), slice(None)]
        inner[axis] = slice(1, -1)
        change[tuple(inner)] = np.abs(values.take(range(2, length), axis) - values.take(range(length - 2), axis))
        change = np.nan_to_num(change).round(4)  # what differs by less is equal
        ridge = (change >= np.roll(change, 1, axis)) & (change >= np.roll(change, -1, axis))
        found = np.maximum(found, np.where(ridge, change, 0))
    return found


def edge_scores(pred: Map, truth: Map) -> tuple[float, float]:
    """(median distance in px from predicted to true edges, recall of true edges within three px).

    True edges are ridges above :data:`EDGE_STEP`; predicted ones are as many pixels, those of the strongest ridges, so
    that a soft prediction is not blamed for its softness.
    """
    unknown = cv2.dilate((~np.isfinite(truth)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    true = (changes(truth) > EDGE_STEP) & ~unknown
    if true.sum() < LEAST_EDGE:
        return float("nan"), float("nan")
    # A map that was enlarged has flat ridges: smooth them to one top.
    strength = np.where(unknown, 0, changes(cv2.GaussianBlur(pred, (0, 0), 1.0)))
    weakest = float(np.partition(strength.ravel(), -int(true.sum()))[-int(true.sum())])
    predicted = (strength >= weakest) & (strength > 0)
    if predicted.sum() > 2 * true.sum():  # a plane has the same change everywhere and no ridge
        predicted[:] = False
    if not predicted.any():
        return FAR_PX, 0.0
    to_true = cv2.distanceTransform((~true).astype(np.uint8), cv2.DIST_L2, 5)
    to_predicted = cv2.distanceTransform((~predicted).astype(np.uint8), cv2.DIST_L2, 5)
    return min(float(np.median(to_true[predicted])), FAR_PX), float(np.mean(to_predicted[true] <= NEAR_PX))


def at_long_side(values: Map, size: tuple[int, int]) -> Map:
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST)


def score(sample: Sample, predictor: Predictor) -> Score:
    """Measures of a predictor on one picture."""
    rgb, truth = sample.rgb(), sample.inv_depth()
    if rgb.shape[:2] != truth.shape:
        rgb = cv2.resize(rgb, truth.shape[::-1], interpolation=cv2.INTER_AREA)
    pred = predictor(rgb)
    known = np.isfinite(truth)
    ordinal = depth_ordinal_accuracy(pred, truth, None)
    delta1 = relative = distance = recall = float("nan")
    if sample.unit == "proportional":
        positive = known & (truth > 0)
        true_depth = np.where(positive, 1 / np.maximum(truth, 1e-9), np.nan)
        depth = aligned_depth_m(pred, np.where(positive, truth, np.nan), ALIGNMENT)
        delta1, relative = delta(depth, true_depth, positive), abs_rel(depth, true_depth, positive)
    if sample.trust == "exact":
        shrink = LONG_SIDE / max(truth.shape)
        size = (round(truth.shape[0] * shrink), round(truth.shape[1] * shrink))
        distance, recall = edge_scores(at_long_side(pred, size), at_long_side(truth, size))
    return Score(sample.kind, sample.place, sample.name, ordinal, delta1, relative, distance, recall)


def evenly(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many of the samples, evenly spaced."""
    if len(samples) <= most:
        return list(samples)
    return [samples[round(number * (len(samples) - 1) / (most - 1))] for number in range(most)]


def cases(data: Path, views: Path, scenes: Path) -> list[Sample]:
    """The dev photos and the made views of the list ``judge``."""
    held_out = HeldOut()
    places: dict[str, list[Sample]] = defaultdict(list)
    for sample in [*real(data, scenes, "dev", held_out), *made_views(views, held_out, "judge")]:
        places[sample.place].append(sample)
    return [sample for place in sorted(places) for sample in evenly(places[place], FRAMES_PER_PLACE)]


def by_location(scores: Iterable[Score], measure: str) -> float:
    """Mean over the frames of a location, then over locations; NaN where none applies."""
    places: dict[str, list[float]] = defaultdict(list)
    for one in scores:
        value = getattr(one, measure)
        if np.isfinite(value):
            places[one.place].append(value)
    return float(np.mean([np.mean(values) for values in places.values()])) if places else float("nan")


def row(scores: Sequence[Score]) -> dict[str, float]:
    """One row of the table."""
    photos = {kind: [one for one in scores if one.kind == kind] for kind in KINDS}
    made = [one for one in scores if one.kind not in KINDS]
    ordinal = {kind: by_location(group, "ordinal") for kind, group in photos.items()}
    measures = {"ordinal": float(np.nanmean(list(ordinal.values())))} | ordinal
    for measure in ("delta1", "abs_rel"):
        kinds = [by_location(group, measure) for group in photos.values()]
        kinds = [value for value in kinds if np.isfinite(value)]
        measures[measure] = float(np.mean(kinds)) if kinds else float("nan")
    measures["made ordinal"] = by_location(made, "ordinal")
    for name, group in (("Middlebury", photos["stereo"]), ("made", made)):
        measures[f"{name} edge px"] = by_location(group, "edge_distance")
        measures[f"{name} edge recall"] = by_location(group, "edge_recall")
    return measures


def table(rows: dict[str, dict[str, float]]) -> str:
    """Markdown."""
    columns = list(next(iter(rows.values())))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, values in rows.items():
        cells = [f"{values[column]:.1f}" if column.endswith("px") else f"{values[column]:.3f}" for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="One table of predictors on sharp dev photos.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--views", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="JSON file of every score, to look closer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="twice as fast on processors with AMX")
    parser.add_argument("predictors", nargs="+", help="[NAME=]PREDICTOR, see research.teacher.predict.parse")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    samples = cases(args.data, args.views, args.scenes)
    rows, details = {}, {}
    for text in args.predictors:
        name, _, spec = text.rpartition("=")
        predictor = parse(spec, args.bf16)
        scores = [score(sample, predictor) for sample in samples]
        rows[name or spec] = row(scores)
        details[name or spec] = [vars(one) for one in scores]
        print(table({name or spec: rows[name or spec]}), flush=True)
    print(f"\n{len(samples)} pictures of {len({sample.place for sample in samples})} locations\n\n{table(rows)}")
    if args.out is not None:
        args.out.write_text(json.dumps(details, indent=1))


if __name__ == "__main__":
    main()

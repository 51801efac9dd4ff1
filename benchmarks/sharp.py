"""What the model answers on sharp photos of known depth: blur that is not there, depth edges, and the camera."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from benchmarks.settings import Settings, macro
from numpy.typing import NDArray

from mddnet.data.scene_pool import SceneEntry
from mddnet.data.split import read_split
from mddnet.evaluate.scenes import choose_scenes, read_maps
from mddnet.metrics import near_depth_edges
from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.predictor import Model
from mddnet.scenes.true_camera import true_camera
from mddnet.types import BoolArray, Float32Array, SceneRecord

KINDS = ("focal_stacks", "rgbd", "stereo")
SCENES = 4
"""Most scenes of a location."""
LONG_SIDE = 512
"""Maps are compared at this long side."""
EDGE_STEP = 0.1
"""A depth edge is a step of inverse depth by more than this share of its 2-98 % range."""
NEAR_PX, FAR_PX = 4.0, 10.0
"""A true edge is found within the first distance. The distances of predicted edges are truncated at the second."""
CANNY = (0.015, 0.03)
"""Thresholds of Canny's edge detector: slopes in shares of the range for each pixel."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Measures of one sharp photo; NaN where one does not apply."""

    kind: str
    location: str
    coc_px: Float32Array  # at a long side of LONG_SIDE
    edge_distance_px: float
    edge_recall: float
    field_error_deg: float
    field_log_ratio: float  # of estimate and truth, in standard errors
    depth_abs_rel: float
    depth_log_ratio: float


def predicted_edges(share: NDArray[np.floating]) -> BoolArray:
    """Edges of a smooth map in shares of its range, by Canny's detector: one pixel wide, at the steepest slope."""
    image = (np.clip(share, 0, 1) * 255).round().astype(np.uint8)
    low, high = (8 * 255 * slope for slope in CANNY)  # the Sobel filter has a gain of 8
    return cv2.Canny(image, low, high, L2gradient=True) > 0


def edge_measures(found: BoolArray, truth: BoolArray, known: BoolArray) -> tuple[float, float]:
    """Median distance of predicted edges to the next true one in pixels, and the share of true edges that are found.

    After the depth boundary errors of Koch et al., "Evaluation of CNN-based single-image depth estimation methods"
    (2018). Predicted edges where the truth is unknown do not count. NaN without true edges.
    """
    if not truth.any():
        return math.nan, math.nan
    found = found & known
    if not found.any():
        return FAR_PX, 0.0
    to_truth = cv2.distanceTransform((~truth).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    to_found = cv2.distanceTransform((~found).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(np.median(np.minimum(to_truth[found], FAR_PX))), float((to_found[truth] <= NEAR_PX).mean())


def _share(inv_depth: NDArray[np.floating]) -> NDArray[np.floating]:
    low, high = np.nanpercentile(inv_depth, (2, 98))
    return (inv_depth - low) / max(high - low, 1e-9)


def _camera(
    estimate: CameraEstimate | None, record: SceneRecord, inv_depth: Float32Array
) -> tuple[float, float, float, float]:
    if estimate is None or record.unit != "1/m":
        return math.nan, math.nan, math.nan, math.nan
    field, depth = true_camera(record, max(inv_depth.shape), float(np.nanmedian(inv_depth)))
    field_deg = abs(estimate.field_of_view_deg - math.degrees(2 * math.atan(math.exp(field))))
    field_ratio = abs(math.log(estimate.tan_half_fov) - field) / estimate.tan_half_fov_error
    depth_ratio = math.log(estimate.median_depth_m) - depth
    return field_deg, field_ratio, abs(math.expm1(depth_ratio)), abs(depth_ratio) / estimate.median_depth_error


def measure(model: Model, scene: SceneEntry) -> Answer:
    """The answer to the all-in-focus image of a scene."""
    maps = read_maps(scene)
    result = model.predict(maps.sharp)
    scale = LONG_SIDE / max(maps.sharp.shape[:2])
    size = (round(maps.sharp.shape[1] * scale), round(maps.sharp.shape[0] * scale))
    distance = recall = math.nan
    if scene.group == "stereo":  # the edges of depth cameras are not exact
        truth = cv2.resize(maps.inv_depth, size, interpolation=cv2.INTER_NEAREST)
        found = cv2.resize(np.asarray(result.inv_depth, np.float32), size, interpolation=cv2.INTER_AREA)
        known = cv2.erode(np.isfinite(truth).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        distance, recall = edge_measures(
            predicted_edges(_share(found)), near_depth_edges(_share(truth), EDGE_STEP, 0), known
        )
    coc = cv2.resize(np.asarray(result.defocus_px, np.float32), size, interpolation=cv2.INTER_AREA) * scale
    camera = _camera(result.camera, scene.record, maps.inv_depth)
    return Answer(scene.group, scene.record.location, coc.ravel(), distance, recall, *camera)


def within_error(answers: Sequence[Answer], field: str) -> float:
    """Share of the photos whose estimate lies within its standard error."""
    ratios = [getattr(answer, field) for answer in answers if math.isfinite(getattr(answer, field))]
    return float(np.mean(np.array(ratios) <= 1)) if ratios else math.nan


def markdown(answers: Sequence[Answer], name: str) -> str:
    """The page."""
    lines = [
        f"# Sharp photos, {name}",
        "",
        "All-in-focus images of dev scenes; means over locations. `python -m benchmarks sharp` makes this page.",
        "",
        f"CoC: diameter that is answered although nothing is blurred, in pixels at a long side of {LONG_SIDE}; median",
        "and 90th percentile over the pixels of a location. Edges: at the same size, median distance of a predicted",
        f"depth edge to the next true one (at most {FAR_PX:g} px), and share of the true edges with a predicted one",
        f"within {NEAR_PX:g} px. Camera: error of the field of view and of the median depth by the scene alone, and",
        "share of photos within the standard error that is stated.",
        "",
        "| photos | locations | CoC, median | CoC, 90 % | edge distance, px | edges found | field of view, degrees"
        " | within | median depth, AbsRel | within |",
        "|---" * 10 + "|",
    ]

    def text(value: float, digits: int) -> str:
        return f"{value:.{digits}f}" if math.isfinite(value) else ""

    for kind in KINDS:
        chosen = [answer for answer in answers if answer.kind == kind]
        if not chosen:
            continue
        places: dict[str, list[Float32Array]] = defaultdict(list)
        for answer in chosen:
            places[answer.location].append(answer.coc_px)
        pixels = [np.concatenate(group) for group in places.values()]
        middle, high = (float(np.mean([np.percentile(one, share) for one in pixels])) for share in (50, 90))
        cells = [
            kind.replace("_", " "), str(len(places)), text(middle, 2), text(high, 2),
            text(macro(chosen, "edge_distance_px"), 1), text(macro(chosen, "edge_recall"), 2),
            text(macro(chosen, "field_error_deg"), 1), text(within_error(chosen, "field_log_ratio"), 2),
            text(macro(chosen, "depth_abs_rel"), 2), text(within_error(chosen, "depth_log_ratio"), 2),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def run(settings: Settings) -> str:
    """Sharp images of the dev scenes."""
    model, name = settings.load()
    split = read_split(settings.data / "split.csv")
    chosen = choose_scenes(settings.scenes, split, "dev", KINDS, SCENES)
    return markdown([measure(model, scene) for scene in chosen.scenes], name)

"""What a depth prior gives: order, sign and metres of the prior alone, of the blur alone, and of both fused.

Priors are the truth, damaged in stated ways, and depth without truth: the row of the image. Frames are of dev scenes;
each is predicted with a lens that has its plane of focus and its scale of blur. Sharp images are the all-in-focus ones.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from benchmarks.settings import Settings, macro
from numpy.typing import NDArray

from mddnet.data.scene_pool import SceneEntry
from mddnet.data.split import read_split
from mddnet.evaluate.baselines import find_baseline
from mddnet.evaluate.methods import checked_infer
from mddnet.evaluate.scenes import (
    MEASURED_KINDS,
    choose_frames,
    choose_scenes,
    read_frame,
    read_maps,
)
from mddnet.metrics import depth_ordinal_accuracy, vertical_position
from mddnet.optics import lens_kappa_px, sensor_distance_m
from mddnet.predict.depth_prior import DepthPrior
from mddnet.predict.dioptres import depth_m_of
from mddnet.predict.predictor import Model
from mddnet.types import BoolArray, Float32Array, FrameRecord, Lens, Photo, UInt8Array

FRAMES = 2
"""Most frames of a scene."""
SCENES = 4
"""Most scenes of a location."""
SIGN_FROM_PX = 2.0
"""The sign is measured where the true CoC exceeds this."""
BLUR_FROM_PX = 1.0
"""Order "where blurred" is measured where the true CoC exceeds this, in pixels at a long side of 512."""
BLUR_ALONE = "blur alone"
NETWORK = "mddnet without a prior"


def smooth_noise(shape: tuple[int, int], seed: int) -> Float32Array:
    """Noise of standard deviation 1 without detail: 6 x 8 random numbers, enlarged."""
    rough = np.random.default_rng(seed).normal(size=(6, 8)).astype(np.float32)
    whole = cv2.resize(rough, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return (whole - whole.mean()) / whole.std()


def damaged_truths(share: Float32Array, seed: int) -> dict[str, Float32Array]:
    """Priors by name, from the truth (H, W) in [0, 1]."""
    noise = smooth_noise((share.shape[0], share.shape[1]), seed)
    return {
        "truth, scaled and shifted": 3 * share + 5,
        "truth, gamma 0.5": np.sqrt(share),
        "truth, gamma 2": np.square(share),
        "truth, smooth noise 5 %": share + np.float32(0.05) * noise,
        "truth, smooth noise 10 %": share + np.float32(0.10) * noise,
        "truth, smooth noise 20 %": share + np.float32(0.20) * noise,
        "truth, edges blurred by 2 %": cv2.GaussianBlur(share, (0, 0), 0.02 * max(share.shape)),
        "row of the image": vertical_position(*share.shape),
    }


def lens_of(frame: FrameRecord) -> Lens:
    """A lens of 50 mm with the plane of focus and the scale of blur of a frame in 1/m."""
    z = 1.0 / frame.u_focus
    at_f1 = lens_kappa_px(Lens(focal_mm=50, f_number=1, pixel_um=5), z)
    return Lens(50, at_f1 / frame.kappa_px, 5, z + sensor_distance_m(50, z))


@dataclass(frozen=True, slots=True)
class Row:
    """Measures of one method on one frame; NaN where one does not apply."""

    kind: str
    location: str
    order: float
    order_blurred: float
    sign: float
    abs_rel: float


def _order(inv_depth: NDArray[np.floating], truth: Float32Array, mask: BoolArray) -> float:
    return depth_ordinal_accuracy(inv_depth, truth, mask) if mask.sum() >= 200 else math.nan


def measure_frame(
    model: Model, scene: SceneEntry, frame: FrameRecord, networks: Mapping[str, Callable[[UInt8Array], Any]]
) -> dict[str, tuple[Row, Row]]:
    """Rows by prior: that of the prior alone, and that of the fusion."""
    maps = read_maps(scene)
    low, high = np.nanpercentile(maps.inv_depth, (1, 99))
    share = np.clip((maps.inv_depth - low) / (high - low), 0, 1).astype(np.float32)
    filled = np.where(np.isfinite(share), share, np.float32(np.nanmedian(share)))
    metric = scene.record.unit == "1/m" and frame.u_focus > 0 and frame.kappa_px > 0
    lens = lens_of(frame) if metric else Lens()
    photo = Photo(read_frame(scene, frame, maps), lens)
    signed_px = frame.kappa_px * (frame.u_focus - maps.inv_depth)
    with np.errstate(invalid="ignore"):
        size = np.abs(signed_px)
        clear = maps.mask & (size > SIGN_FROM_PX)
        blurred = maps.mask & (size > BLUR_FROM_PX * max(size.shape) / 512)

    def row(inv_depth: NDArray[np.floating], signed: Float32Array | None = None, depth_m: object = None) -> Row:
        sign = abs_rel = math.nan
        if signed is not None and clear.sum() >= 200:
            sign = float((np.sign(signed[clear]) == np.sign(signed_px[clear])).mean())
        if metric and signed is not None:
            z_true = 1.0 / np.maximum(maps.inv_depth[maps.mask], 1e-4)
            z = np.full(z_true.shape, 1.0 / frame.u_focus) if depth_m is None else np.asarray(depth_m)[maps.mask]
            abs_rel = float(np.median(np.abs(z - z_true) / z_true))
        orders = (_order(inv_depth, maps.inv_depth, mask) for mask in (maps.mask, blurred))
        return Row(scene.group, scene.record.location, *orders, sign, abs_rel)

    def predicted(prior: Float32Array | None) -> Row:
        result = model.predict(photo, depth_prior=None if prior is None else DepthPrior(prior))
        depth_m = depth_m_of(result.inv_depth) if result.unit == "1/m" else None
        return row(result.inv_depth, result.signed_defocus_px, depth_m)

    nothing = Row(scene.group, scene.record.location, *[math.nan] * 4)
    flat = np.zeros_like(filled)
    rows = {BLUR_ALONE: (nothing, predicted(flat)), NETWORK: (nothing, predicted(None))}
    priors = damaged_truths(filled, seed=len(scene.record.name)) | {
        name: np.asarray(infer(photo.pixels), np.float32) for name, infer in networks.items()
    }
    for name, prior in priors.items():
        rows[name] = row(prior), predicted(prior)
    return rows


def markdown(
    blurred: dict[str, list[tuple[Row, Row]]], sharp: dict[str, list[tuple[Row, Row]]], name: str, frames: int
) -> str:
    """The page."""
    lines = [
        f"# Depth priors, {name}",
        "",
        f"{frames} frames of dev scenes and their sharp images; means over locations, then over kinds of capture.",
        "Ordinal accuracy of depth, of the prior alone and of the fusion; at blurred pixels (CoC above 1 px at a long",
        "side of 512); accuracy of the sign of the defocus; median AbsRel of metres (known lens); and ordinal accuracy",
        "on the sharp images. `python -m benchmarks depth-prior` makes this page.",
        "",
        "| prior | order, prior | order, fused | blurred, prior | blurred, fused | sign | AbsRel | sharp, prior | "
        "sharp, fused |",
        "|---" * 9 + "|",
    ]

    def text(value: float) -> str:
        return f"{value:.3f}" if math.isfinite(value) else ""

    for key, rows in blurred.items():
        alone, fused = zip(*rows, strict=True)
        sharp_alone, sharp_fused = zip(*sharp[key], strict=True)
        cells = [
            macro(alone, "order"), macro(fused, "order"), macro(alone, "order_blurred"), macro(fused, "order_blurred"),
            macro(fused, "sign"), macro(fused, "abs_rel"), macro(sharp_alone, "order"), macro(sharp_fused, "order"),
        ]  # fmt: skip
        lines.append(f"| {key} | " + " | ".join(text(value) for value in cells) + " |")
    return "\n".join(lines) + "\n"


def _networks(named: Sequence[str]) -> dict[str, Callable[[UInt8Array], Any]]:
    """Depth networks by name, from NAME=NETWORK."""
    return {name: _network(spec) for name, _, spec in (text.partition("=") for text in named)}


def _network(spec: str) -> Callable[[UInt8Array], Any]:
    """A teacher or peer as ``research.teacher.predict.parse`` takes it, or a network as ``--depth-prior`` does."""
    if ".safetensors" in spec or spec.endswith(".tflite"):
        from research.teacher.predict import parse  # needs the extra train

        return parse(spec)
    method = find_baseline(spec)
    return lambda photo: checked_infer(method, photo).inv_depth


def run(settings: Settings) -> str:
    """Depth priors on the dev scenes of all kinds."""
    model, name = settings.load()
    networks = _networks(settings.priors)
    split = read_split(settings.data / "split.csv")
    chosen = choose_scenes(settings.scenes, split, "dev", tuple(MEASURED_KINDS), SCENES)
    blurred: dict[str, list[tuple[Row, Row]]] = defaultdict(list)
    sharp: dict[str, list[tuple[Row, Row]]] = defaultdict(list)
    count = 0
    for scene in chosen.scenes:
        frames = choose_frames(scene, FRAMES)
        for frame in frames:
            for key, rows in measure_frame(model, scene, frame, networks).items():
                blurred[key].append(rows)
        count += len(frames)
        still = FrameRecord(scene.record.sharp, frames[0].u_focus, 0.0)
        for key, rows in measure_frame(model, scene, still, networks).items():
            sharp[key].append(rows)
    return markdown(blurred, sharp, name, count)

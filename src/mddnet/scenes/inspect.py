"""Statistics of a folder of scenes: damage, ranges of depth, focus and CoC, and consistency with the lens law.

``scene.json`` and the depth map of every scene are read, and the headers of its images. Images are decoded only for the
pictures of a report (:mod:`mddnet.scenes.inspect_pictures`) or on request.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mddnet.errors import CaptureError, MddnetError
from mddnet.optics import lens_kappa_px, signed_defocus_px
from mddnet.scenes.found import DamagedScene, FoundScene, check_images
from mddnet.scenes.scene_stamp import ReplacedScene, unchanged
from mddnet.scenes.store import read_inv_depth, read_scene
from mddnet.types import SceneRecord

SAMPLES = 20_000  # number of evenly spread pixels of a depth map that statistics use
QUANTILES = 512
READ_AGAIN = 3  # number of retries if a build replaces a scene while it is read

MAX_UNKNOWN_SHARE = 0.5
MAX_OUTSIDE = 0.5  # distance of the plane of focus from the depths of the scene, as a share of their 2-98 % range
MIN_LARGEST_COC_PX = 1.0
MAX_COC_OF_LONG_SIDE = 0.2
MAX_RERENDER_ERROR = 0.75
MAX_LENS_FACTOR = 1.5  # factor between the kappa of the frames and that of the lens facts
MIN_BLUR_ORDER = 0.2

DEPTH_M_EDGES = np.geomspace(0.1, 100.0, 31)
POSITION_EDGES = np.linspace(-0.25, 1.25, 31)
COC_PX_EDGES = np.array([-128, -64, -32, -16, -8, -4, -2, -1, -0.5, 0.5, 1, 2, 4, 8, 16, 32, 64, 128], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class SceneFacts:
    """Statistics of a complete scene."""

    kind: str  # folder of scenes
    folder: Path  # the scene folder
    record: SceneRecord  # its scene.json
    width: int  # size of its images
    height: int
    quantiles: NDArray[np.float64]  # (512,) quantiles of the known inverse depth, in the scene's unit
    low: float  # 2 % quantile of the known inverse depth
    span: float  # 98 % quantile minus low, >= 0
    unknown_share: float  # share of unknown pixels of the depth map
    largest_coc_px: float  # CoC diameter that 1 % of the pixels of the most blurred frame exceed
    kappa_of_lens: float  # median kappa of the frames over that of the lens facts; NaN if these are unknown
    remarks: tuple[str, ...] = ()  # one warning per sentence

    def position(self, u: Any) -> Any:
        """Relative position in the scene's range of inverse depth: 0 is its far end (2 %), 1 its near end (98 %)."""
        return (u - self.low) / self.span if self.span > 0 else math.nan


def measure_scene(found: FoundScene, decode: bool = False) -> SceneFacts:
    """Read and measure a scene (with ``decode``, all pixels of its frames); CaptureError if damaged or replaced."""
    with unchanged(found.folder):
        record = read_scene(found.folder)
        inv_depth = read_inv_depth(found.folder / record.inv_depth)
        height, width = inv_depth.shape
        check_images(found.folder, record, (width, height), decode)
    step = max(1, int(math.sqrt(inv_depth.size / SAMPLES)))
    u = inv_depth[::step, ::step]
    known = u[np.isfinite(u)].astype(np.float64)
    if not known.size:
        raise CaptureError(f"{found.folder / record.inv_depth}: no pixel has a known depth; build the scene again")
    low, high = (float(value) for value in np.quantile(known, [0.02, 0.98]))
    ends = np.quantile(known, [0.01, 0.99])
    facts = SceneFacts(
        kind=found.kind,
        folder=found.folder,
        record=record,
        width=width,
        height=height,
        quantiles=np.quantile(known, np.linspace(0, 1, QUANTILES)),
        low=low,
        span=high - low,
        unknown_share=1.0 - known.size / u.size,
        largest_coc_px=max(
            (float(np.abs(signed_defocus_px(ends, f.u_focus, f.kappa_px)).max()) for f in record.frames),
            default=math.nan,
        ),
        kappa_of_lens=_kappa_of_lens(record),
    )
    return replace(facts, remarks=(*record.remarks, *_remarks(facts)))


def _kappa_of_lens(record: SceneRecord) -> float:
    """Kappa of the frames over that of the lens, if both are per dioptre."""
    if record.unit not in ("1/m", "1/m from focus") or not record.lens.has_blur_scale or not record.frames:
        return math.nan
    u_focus = float(np.median([frame.u_focus for frame in record.frames]))
    focus_z_m = 1.0 / u_focus if record.unit == "1/m" and u_focus > 0 else math.inf
    try:
        expected = lens_kappa_px(record.lens, focus_z_m)
    except ValueError:  # focused within the focal length: frames and lens contradict each other
        return 0.0
    return float(np.median([frame.kappa_px for frame in record.frames])) / expected


def _remarks(facts: SceneFacts) -> tuple[str, ...]:
    record, frames = facts.record, facts.record.frames
    far = [max(-at, at - 1.0) for at in (facts.position(frame.u_focus) for frame in frames)]
    outside = [beyond for beyond in far if beyond > MAX_OUTSIDE]
    largest, share = facts.largest_coc_px, facts.largest_coc_px / max(facts.width, facts.height)
    error = record.measures.get("rerender_error_fraction", math.nan)
    odd_kappa = facts.kappa_of_lens < 1 / MAX_LENS_FACTOR or facts.kappa_of_lens > MAX_LENS_FACTOR
    checks = (
        (facts.unknown_share > MAX_UNKNOWN_SHARE, f"{facts.unknown_share:.0%} of the depth is unknown"),
        (facts.span <= 0, "the depth map is flat"),
        (
            record.unit == "1/m" and facts.quantiles[0] < 0,
            f"inverse depth down to {facts.quantiles[0]:.3g} 1/m: below 0 is beyond infinity",
        ),
        (not frames, "no focused frame"),
        (
            bool(outside),
            f"{len(outside)} of {len(frames)} planes of focus are outside the range of depths, by up to "
            f"{max(outside, default=0):.2f} of the range",
        ),
        (largest < MIN_LARGEST_COC_PX, f"no blur: the largest CoC is {largest:.2g} px"),
        (share > MAX_COC_OF_LONG_SIDE, f"CoC up to {largest:.0f} px, {share:.0%} of the image"),
        (error > MAX_RERENDER_ERROR, f"the re-rendering error is {error:.2f} of that of the sharp image"),
        (odd_kappa, f"kappa is {facts.kappa_of_lens:.2g} times that of the lens facts"),
        (not record.licence.strip(), "no licence is stated"),
        (not record.source.strip(), "no source is stated"),
    )
    return tuple(remark for wrong, remark in checks if wrong)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Shares per bin over some scenes of equal weight; values beyond the outer edges are in the outer bins."""

    title: str
    edges: NDArray[np.float64]
    shares: NDArray[np.float64]


def histograms(scenes: Sequence[SceneFacts]) -> list[Histogram]:
    """Histograms of depth (of metric scenes, if any), inverse depth, planes of focus and signed CoC."""
    metric = [f for f in scenes if f.record.unit == "1/m"]
    ranged = [f for f in scenes if f.span > 0]
    with np.errstate(divide="ignore"):
        depths_m = [np.where(f.quantiles > 0, 1.0 / f.quantiles, np.inf) for f in metric]
    signed_px = [[signed_defocus_px(f.quantiles, k.u_focus, k.kappa_px) for k in f.record.frames] for f in scenes]
    groups: list[tuple[str, NDArray[np.float64], list[Any]]] = [
        (f"depth, m ({len(metric)} metric scenes)", DEPTH_M_EDGES, depths_m),
        ("inverse depth, position in the range", POSITION_EDGES, [f.position(f.quantiles) for f in ranged]),
        (
            "planes of focus, position in the range",
            POSITION_EDGES,
            [[f.position(k.u_focus) for k in f.record.frames] for f in ranged],
        ),
        ("signed CoC, px", COC_PX_EDGES, signed_px),
    ]
    return [Histogram(title, edges, _shares(values, edges)) for title, edges, values in groups[not metric :]]


def _shares(scenes: list[Any], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.zeros(len(edges) - 1)
    for values in scenes:
        counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] if len(values) else np.zeros(1)
        shares += counts / max(counts.sum(), 1)
    return shares / max(shares.sum(), 1e-12)


@dataclass(frozen=True, slots=True)
class Inspection:
    """Content of a report except its pictures."""

    scenes: list[SceneFacts]  # complete scenes, by kind and name
    damaged: list[DamagedScene]  # the others
    rejected: list[dict[str, str]]  # rows of rejected.csv
    splits: Mapping[str, str]  # split of each location

    def split_of(self, location: str) -> str:
        """The split of a location, "" if unknown; photos are for training."""
        return self.splits.get(location, "train" if location.startswith("photos/") else "")


def measured(found: FoundScene, decode: bool = False) -> SceneFacts | DamagedScene:
    """As :func:`measure_scene`, but returns the error of a damaged scene."""
    for attempt in range(READ_AGAIN + 1):
        try:
            return measure_scene(found, decode)
        except ReplacedScene as error:
            reason = str(error)
            time.sleep(0.05 * attempt)
        except (MddnetError, OSError) as error:
            return DamagedScene(found.kind, found.folder.name, str(error))
    return DamagedScene(found.kind, found.folder.name, reason)


def evenly_chosen(scenes: list[SceneFacts], limit: int) -> list[SceneFacts]:
    """At most ``limit`` scenes of each kind, evenly spread over their names."""
    chosen: list[SceneFacts] = []
    for kind in sorted({facts.kind for facts in scenes}):
        of_kind = [facts for facts in scenes if facts.kind == kind]
        indices = np.unique(np.linspace(0, len(of_kind) - 1, min(limit, len(of_kind))).astype(int))
        chosen += [of_kind[i] for i in indices]
    return chosen

"""Results of an evaluation: numbers per photo, and their means per scene, per location and overall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mddnet.evaluate.cases import Cases
from mddnet.evaluate.discs import Shape, SlopeFit, SlopeResult
from mddnet.evaluate.samples import Source
from mddnet.metrics import METRICS, Sparsification, falling_steps
from mddnet.metrics.registry import mean, pooled_mean, with_derived
from mddnet.metrics.sparsification import ERRORS

REMOVED_PERCENT = tuple(range(0, 100, 10))  # points of reported sparsification curves
MACRO = "macro"
TRUE_COC_EDGES_PX = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)  # bins of the true CoC
_FINE_EDGES_PX = np.concatenate([np.arange(0.0, 32.0, 0.125), np.geomspace(32.0, 256.0, 97)])
CONFIDENCE_BINS = 10
MIN_PIXELS = 200  # bins with fewer sampled pixels are left out


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """Measures of one photo by key; one that does not apply is absent or NaN."""

    scene: str
    location: str
    file: str
    measures: dict[str, float]


Curves = tuple[PhotoRow, Mapping[str, Sparsification]]  # a photo and its curves, by name of the error


@dataclass(frozen=True, slots=True)
class MeanCurve:
    """A sparsification curve averaged over photos, at each of :data:`REMOVED_PERCENT`."""

    error: tuple[float, ...]  # mean error of the rest, least confident removed first
    oracle: tuple[float, ...]  # the same with the largest errors removed first
    falling_steps: int  # number of the nine steps that lower the error


@dataclass(frozen=True, slots=True)
class CocBin:
    """Predicted CoCs of the pixels in a bin of the true CoC."""

    low_px: float
    high_px: float
    pixels: int  # number of sampled pixels
    quartiles_px: tuple[float, float, float]  # of the predicted CoC


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Mean errors of the pixels in a bin of confidence; NaN where no error is known."""

    low: float
    high: float
    pixels: int  # number of sampled pixels
    coc_error_px: float
    inv_depth_error: float  # over the scene's range, after robust scale-and-shift alignment


@dataclass(frozen=True, slots=True)
class Reliability:
    """Both tables, without bins of few pixels."""

    coc: tuple[CocBin, ...]
    confidence: tuple[ConfidenceBin, ...]


@dataclass(slots=True)
class ReliabilityCounts:
    """Accumulates the sampled pixels of all photos, (N,) each."""

    _coc: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(TRUE_COC_EDGES_PX) - 1, len(_FINE_EDGES_PX)), dtype=np.int64)
    )
    _confidence: NDArray[np.float64] = field(default_factory=lambda: np.zeros((5, CONFIDENCE_BINS)))

    def add_coc(self, predicted_px: NDArray[np.floating], true_px: NDArray[np.floating]) -> None:
        """Count pixels; those without a truth are left out."""
        known = np.isfinite(true_px)
        edges = TRUE_COC_EDGES_PX, np.append(_FINE_EDGES_PX, np.inf)
        self._coc += np.histogram2d(true_px[known], np.maximum(predicted_px[known], 0), edges)[0].astype(np.int64)

    def add_confidence(
        self,
        confidence: NDArray[np.floating],
        coc_error_px: NDArray[np.floating] | None,
        inv_depth_error: NDArray[np.floating] | None,
    ) -> None:
        """Count pixels; an error that is None or NaN is unknown."""
        bins = np.clip((confidence * CONFIDENCE_BINS).astype(np.int64), 0, CONFIDENCE_BINS - 1)
        self._confidence[0] += np.bincount(bins, minlength=CONFIDENCE_BINS)
        for at, error in ((1, coc_error_px), (3, inv_depth_error)):
            if error is not None:
                known = np.isfinite(error)
                self._confidence[at] += np.bincount(bins[known], error[known], CONFIDENCE_BINS)
                self._confidence[at + 1] += np.bincount(bins[known], minlength=CONFIDENCE_BINS)

    def result(self) -> Reliability:
        coc = []
        for edges, counts in zip(pairwise(TRUE_COC_EDGES_PX), self._coc, strict=True):
            pixels = int(counts.sum())
            if pixels >= MIN_PIXELS:
                at = np.searchsorted(np.cumsum(counts), np.array([0.25, 0.5, 0.75]) * pixels)
                low, middle, high = _FINE_EDGES_PX[np.minimum(at, len(counts) - 1)].tolist()
                coc.append(CocBin(*edges, pixels, (low, middle, high)))
        with np.errstate(invalid="ignore"):
            means = (self._confidence[[1, 3]] / self._confidence[[2, 4]]).T.tolist()
        confidence = [
            ConfidenceBin(k / CONFIDENCE_BINS, (k + 1) / CONFIDENCE_BINS, int(pixels), *means[k])
            for k, pixels in enumerate(self._confidence[0])
            if pixels >= MIN_PIXELS
        ]
        return Reliability(tuple(coc), tuple(confidence))


@dataclass(slots=True)
class MethodResult:
    """Results of one method on one source."""

    frames: list[PhotoRow] = field(default_factory=list)
    scenes: dict[str, dict[str, float]] = field(default_factory=dict)  # means over photos
    locations: dict[str, dict[str, float]] = field(default_factory=dict)  # means over scenes
    macro: dict[str, float] = field(default_factory=dict)  # mean over locations; of a data set, over photos
    confidence: dict[str, dict[str, MeanCurve]] = field(default_factory=dict)  # curves by error and location
    reliability: Reliability | None = None

    def summarise(self, averaged: Literal["location", "photo"], curves: Sequence[Curves] = ()) -> None:
        if averaged == "location":
            self._average_locations()
        else:
            self._average_photos()
        self.confidence = mean_curves(curves)
        summaries = {MACRO: self.macro, **(self.locations if averaged == "location" else {})}
        for error, by_location in self.confidence.items():
            for location, summary in summaries.items():
                if location in by_location:
                    summary[f"falling_steps_{error}"] = float(by_location[location].falling_steps)

    def _average_locations(self) -> None:
        """Over photos, scenes and locations; CoC errors are pooled over the pixels of a scene and of a location."""
        location_of = {row.scene: row.location for row in self.frames}
        for scene in location_of:
            self.scenes[scene] = pooled_mean([row.measures for row in self.frames if row.scene == scene])
        for location in dict.fromkeys(location_of.values()):
            scenes = [scene for scene, there in location_of.items() if there == location]
            rows = [row.measures for row in self.frames if row.location == location]
            summary = pooled_mean([self.scenes[scene] for scene in scenes])
            summary |= {"scenes": float(len(scenes)), "frames": float(len(rows))}
            self.locations[location] = with_derived(summary, rows)
        macro = mean(list(self.locations.values()))
        self.macro = with_derived(_without_counts(macro), [row.measures for row in self.frames])

    def _average_photos(self) -> None:
        """Over photos, per group and overall, as usual for public data sets."""
        by_group: dict[str, list[dict[str, float]]] = {}
        for row in self.frames:
            by_group.setdefault(row.location, []).append(row.measures)
            self.scenes[row.scene] = row.measures
            if (constant := METRICS["sign_constant"].from_means) and (value := constant(row.measures)) is not None:
                row.measures["sign_constant"] = value  # per photo, not per location
        by_group[MACRO] = [row.measures for row in self.frames]
        for group, rows in by_group.items():
            self.locations[group] = with_derived(mean(rows), rows) | {"frames": float(len(rows))}
        self.macro = _without_counts(self.locations.pop(MACRO))


def _without_counts(means: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in means.items() if name not in ("scenes", "frames", "coc_pixels")}


@dataclass(slots=True)
class SourceResult:
    """Results of all methods on one source."""

    source: Source
    methods: dict[str, MethodResult]  # by name, the model first
    cases: Cases  # not in the JSON

    @property
    def model(self) -> MethodResult:
        return next(iter(self.methods.values()))

    @property
    def baselines(self) -> dict[str, MethodResult]:
        return {name: result for name, result in list(self.methods.items())[1:] if result.frames}

    def as_dict(self) -> dict[str, Any]:
        """The model's numbers, and those of the baselines under ``baselines``."""
        return {
            "title": self.source.title,
            **asdict(self.model),
            "photos_without_blur": self.source.photos_without_blur,
            "photos_without_true_defocus": self.source.photos_without_true_defocus,
            "baselines": {name: asdict(result) for name, result in self.baselines.items()},
        }


@dataclass(frozen=True, slots=True)
class SpeedResult:
    """Median time on this machine."""

    what: str  # ``"network"``, or ``"predict"`` for a model without ``network_maps``
    height: int
    width: int
    milliseconds: float
    runs: int


@dataclass(slots=True)
class Evaluation:
    """Results of one evaluation; None for parts that were not measured."""

    model: str
    split: str  # of the captures; ``"test"`` for a public data set
    options: dict[str, Any]
    kinds: dict[str, SourceResult] = field(default_factory=dict)  # by kind of scene, ``pairs``, or data set
    coc_slope: SlopeResult | None = None  # blur of known size
    psf_shapes: dict[Shape, SlopeFit] | None = None  # blur of known size and shape; slopes up to 16 px
    speed: SpeedResult | None = None
    baselines: dict[str, tuple[str, ...]] = field(default_factory=dict)  # quantities by name
    locations_without_split: tuple[str, ...] = ()  # not in the split; their scenes are left out
    failures: list[tuple[str, str]] = field(default_factory=list)  # item and reason
    seconds: float = 0.0

    @property
    def headline(self) -> dict[str, float]:
        """The model's means as ``KIND.METRIC``; ``coc_slope.slope*``, ``psf_shapes.*``, ``speed.*``."""
        numbers = {f"{kind}.{key}": v for kind, result in self.kinds.items() for key, v in result.model.macro.items()}
        if self.coc_slope is not None:
            numbers["coc_slope.slope"] = self.coc_slope.overall.slope
            numbers |= {f"coc_slope.slope_{size}": fit.slope for size, fit in self.coc_slope.by_size.items()}
        if self.psf_shapes is not None:
            numbers |= {f"psf_shapes.slope_{shape}": fit.slope for shape, fit in self.psf_shapes.items()}
        if self.speed is not None:
            numbers[f"speed.{self.speed.what}_ms"] = self.speed.milliseconds
        return numbers

    def as_dict(self) -> dict[str, Any]:
        """Everything except the pictures as dicts and lists, headline first; NaN stays NaN."""
        kinds = {kind: result.as_dict() for kind, result in self.kinds.items()}
        return {"headline": self.headline, **asdict(replace(self, kinds={})), "kinds": kinds}


def mean_curves(photos: Sequence[Curves]) -> dict[str, dict[str, MeanCurve]]:
    """Mean curves by error and location, over photos and then scenes; ``"macro"`` is the mean over locations."""
    result: dict[str, dict[str, MeanCurve]] = {}
    for name in ERRORS:
        by_location: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
        for row, curves in photos:
            if name in curves:
                both = np.stack([curves[name].error, curves[name].oracle])[:, list(REMOVED_PERCENT)]
                by_location.setdefault(row.location, {}).setdefault(row.scene, []).append(both)
        means = {
            location: np.mean([np.mean(rows, axis=0) for rows in scenes.values()], axis=0)
            for location, scenes in by_location.items()
        }
        if means:
            means[MACRO] = np.mean(list(means.values()), axis=0)
            result[name] = {
                location: MeanCurve(tuple(error.tolist()), tuple(oracle.tolist()), falling_steps(error))
                for location, (error, oracle) in means.items()
            }
    return result

"""Results of an evaluation: numbers per photo, and their means per scene, per location and overall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mddnet.evaluate.cases import Case
from mddnet.evaluate.discs import Shape, SlopeFit, SlopeResult
from mddnet.evaluate.reliability import Reliability
from mddnet.metrics import METRICS, Sparsification, falling_steps
from mddnet.metrics.registry import add_from_means, mean, over_photos, pooled_mean
from mddnet.metrics.sparsification import ERRORS

REMOVED_PERCENT = tuple(range(0, 100, 10))
"""Points of reported sparsification curves, per cent of pixels (pairs) removed."""
MACRO = "macro"


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """Measures of one photo by key; one that does not apply is absent or NaN."""

    scene: str
    location: str
    file: str
    measures: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class PhotoCurves:
    """Sparsification curves of one photo, by name of the error."""

    scene: str
    location: str
    curves: Mapping[str, Sparsification]


@dataclass(frozen=True, slots=True)
class MeanCurve:
    """A sparsification curve averaged over photos, at each of :data:`REMOVED_PERCENT`."""

    error: tuple[float, ...]  # mean error of the rest, least confident removed first
    oracle: tuple[float, ...]  # the same with the largest errors removed first
    falling_steps: int  # number of the nine steps that lower the error


@dataclass(slots=True)
class MethodResult:
    """Results of one method on one source."""

    frames: list[PhotoRow] = field(default_factory=list)
    scenes: dict[str, dict[str, float]] = field(default_factory=dict)  # means over photos
    locations: dict[str, dict[str, float]] = field(default_factory=dict)  # means over scenes
    macro: dict[str, float] = field(default_factory=dict)  # mean over locations; of a data set, over photos
    confidence: dict[str, dict[str, MeanCurve]] = field(default_factory=dict)  # curves by error and location
    reliability: Reliability | None = None

    def summarise(self, averaged: Literal["location", "photo"], curves: Sequence[PhotoCurves] = ()) -> None:
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
            add_from_means(summary)
            self.locations[location] = summary | over_photos(rows)
        counts = ("scenes", "frames", "coc_pixels")
        macro = mean(list(self.locations.values()))
        self.macro = {name: value for name, value in macro.items() if name not in counts}
        self.macro |= over_photos([row.measures for row in self.frames])

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
            summary = mean(rows)
            add_from_means(summary)
            self.locations[group] = summary | over_photos(rows) | {"frames": float(len(rows))}
        self.macro = self.locations.pop(MACRO)
        for name in ("coc_pixels", "frames"):
            self.macro.pop(name, None)


@dataclass(slots=True)
class SourceResult:
    """Results of all methods on one source."""

    title: str
    averaged: Literal["location", "photo"]
    methods: dict[str, MethodResult]  # by name, the model first
    photos_without_blur: dict[str, int] = field(default_factory=dict)  # left out: hardly any true blur; by scene
    photos_without_true_defocus: int = 0  # only their order of depth is known; measured for depth only
    # by leading metric, the worst and the best photos with their pictures; not in the JSON
    cases: dict[str, tuple[tuple[Case, ...], tuple[Case, ...]]] = field(default_factory=dict)

    @property
    def model(self) -> MethodResult:
        return next(iter(self.methods.values()))

    @property
    def baselines(self) -> dict[str, MethodResult]:
        return {name: result for name, result in list(self.methods.items())[1:] if result.frames}

    def as_dict(self) -> dict[str, Any]:
        """The model's numbers, and those of the baselines under ``baselines``."""
        return {
            "title": self.title,
            **asdict(self.model),
            "photos_without_blur": self.photos_without_blur,
            "photos_without_true_defocus": self.photos_without_true_defocus,
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


def mean_curves(photos: Sequence[PhotoCurves]) -> dict[str, dict[str, MeanCurve]]:
    """Mean curves by error and location, over photos and then scenes; ``"macro"`` is the mean over locations."""
    result: dict[str, dict[str, MeanCurve]] = {}
    for name in ERRORS:
        by_location: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
        for photo in photos:
            if name in photo.curves:
                curve = photo.curves[name]
                both = np.stack([curve.error, curve.oracle])[:, list(REMOVED_PERCENT)]
                by_location.setdefault(photo.location, {}).setdefault(photo.scene, []).append(both)
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

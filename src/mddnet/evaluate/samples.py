"""Photos with a truth as samples, and random sampling of their pixels."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics import AlignmentChoice, Truth
from mddnet.metrics.comparison import BLUR_THRESHOLD_PX
from mddnet.types import Float32Array

SAMPLED_PIXELS = 20_000  # known pixels sampled per photo for metrics that sort them


@dataclass(frozen=True, slots=True)
class Options:
    """Options that determine the numbers; ValueError for a threshold that is not positive."""

    seed: int = 0  # random samples depend on it and on the photo's name only
    pairs_per_photo: int = 20_000  # random pairs of pixels
    frames_per_scene: int | None = None  # largest number of photos per scene; None is the default of each kind
    scenes_per_location: int = 8  # largest number of scenes per location
    alignment: AlignmentChoice = field(default_factory=AlignmentChoice)  # of depth, for the metrics in metres
    blur_threshold_px: float = BLUR_THRESHOLD_PX  # a pixel is blurred where its CoC exceeds this

    def __post_init__(self) -> None:
        if not self.blur_threshold_px > 0:
            raise ValueError(f"blur_threshold_px is {self.blur_threshold_px}; expected a positive number of pixels")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A photo with a truth, not read yet."""

    unit: str  # name in failures, such as a scene folder; after a failure the rest of the unit is skipped
    scene: str
    location: str
    file: str  # name of the photo
    load: Callable[[], Truth | None]  # None if the photo is left out; raises MddnetError
    labels: Mapping[str, float] = field(default_factory=dict)  # numbers to add to the results


@dataclass(slots=True, eq=False)
class Source:
    """Samples that are measured and averaged together. The two counts are updated while samples are read."""

    name: str  # key in the results
    title: str
    samples: Sequence[Sample]
    averaged: Literal["location", "photo"] = "location"  # over photos, scenes and locations; or over all photos
    all_methods: bool = True  # whether baselines are measured
    photos_without_blur: dict[str, int] = field(default_factory=dict)  # left out: hardly any true blur; by scene
    photos_without_true_defocus: int = 0  # only their order of depth is known; measured for depth only


def seed_of(seed: int, *names: str) -> int:
    """A seed that depends on a seed and on names."""
    return zlib.crc32("/".join((str(seed), *names)).encode())


def sample_known_pixels(values: Float32Array, seed: int, count: int = SAMPLED_PIXELS) -> NDArray[np.int64]:
    """Flat indices of randomly sampled known pixels of a map, without repetition; all if there are at most ``count``.

    Metrics that need sorting (blur detection, confidence) use these pixels; the standard error of a share is at most
    0.4 %.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) <= count:
        return known
    return np.sort(np.random.default_rng(seed).choice(known, count, replace=False))

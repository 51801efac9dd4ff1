"""Where photos with a truth come from, and what their draws depend on."""

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

DRAWN_PIXELS = 20_000
"""Known pixels drawn of each photo for the metrics that sort them."""


@dataclass(frozen=True, slots=True)
class Options:
    """The choices that numbers depend on.

    Attributes:
        seed: every draw is a function of it and of the photo's name.
        pairs_per_photo: random pairs of pixels.
        frames_per_scene: most photos of a scene; None is the default of each kind.
        scenes_per_location: most scenes of a location.
        alignment: of depth with the truth, for the metrics in metres.
        blur_threshold_px: a pixel is blurred where its CoC exceeds this.

    Raises:
        ValueError: for a threshold that is not positive.
    """

    seed: int = 0
    pairs_per_photo: int = 20_000
    frames_per_scene: int | None = None
    scenes_per_location: int = 8
    alignment: AlignmentChoice = field(default_factory=AlignmentChoice)
    blur_threshold_px: float = BLUR_THRESHOLD_PX

    def __post_init__(self) -> None:
        if not self.blur_threshold_px > 0:
            raise ValueError(f"blur_threshold_px is {self.blur_threshold_px}; expected a positive number of pixels")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A photo with a truth, not read yet.

    Attributes:
        unit: what a failure names: a scene folder, say. After a failure the rest of the unit is left out.
        scene: name of the scene.
        location: photos of one location are averaged first.
        file: name of the photo.
        load: reads it; None where it turns out not to take part. Raises MddnetError.
        labels: numbers that go with it into the results.
    """

    unit: str
    scene: str
    location: str
    file: str
    load: Callable[[], Truth | None]
    labels: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Source:
    """Samples that are measured and averaged together.

    Attributes:
        name: key in the results.
        title: in headings.
        samples: all of them, in order.
        averaged: ``"location"``: over photos, then scenes, then locations; ``"photo"``: over all photos at once.
        all_methods: whether baselines are measured, too.
        photos_without_blur: photos left out since their truth shows hardly any blur, by scene; filled while reading.
        photos_without_true_defocus: photos measured for depth alone; filled while reading.
    """

    name: str
    title: str
    samples: Sequence[Sample]
    averaged: Literal["location", "photo"] = "location"
    all_methods: bool = True
    photos_without_blur: dict[str, int] = field(default_factory=dict)
    photos_without_true_defocus: int = 0


def seed_of(seed: int, *names: str) -> int:
    """A seed for the draw of these names."""
    return zlib.crc32("/".join((str(seed), *names)).encode())


def draw_known(values: Float32Array, seed: int, count: int = DRAWN_PIXELS) -> NDArray[np.int64]:
    """Flat indices of pixels whose value (of inverse depth, say) is known, drawn without repetition; few are all taken.

    What needs sorting (blur detection, confidence) is measured on these: the standard error of a share is at most
    0.4 %.

    Args:
        values: (H, W), NaN where not known.
        seed: the draw is a function of it and of which pixels are known.
        count: how many.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) <= count:
        return known
    return np.sort(np.random.default_rng(seed).choice(known, count, replace=False))

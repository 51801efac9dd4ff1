"""The calibration of a model: the optional section ``calibration`` of its ``config.json``.

Every formula in it is linear in named cues (:mod:`mddnet.predict.cues`). It is fitted by ``research.verdict.fit`` on
photos that neither the network nor its teacher has seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mddnet.errors import ModelError
from mddnet.io.json_fields import display, is_number
from mddnet.predict.cues import CELL_CUES, PHOTO_CUES
from mddnet.predict.metric_scale import MetricErrors
from mddnet.types import Float32Array

SECTION = "calibration"
CAMERA_ERRORS = ("field_of_view", "median_depth")
GOOD_SCORE, BAD_SCORE = 0.85, 0.65
"""A photo is good from the first share of right answers on, and bad below the second."""
LEAST_SPREAD = 1e-3
LEAST_METRIC_ERROR = 1e-3
MOST = 1e6
"""Largest accepted absolute value of a number of the calibration."""


@dataclass(frozen=True, slots=True)
class Linear:
    """``constant`` plus the weighted sum of cues."""

    constant: float
    weights: Mapping[str, float]

    def of_photo(self, cues: Mapping[str, float]) -> float:
        """The value for one photo."""
        return self.constant + sum(weight * cues[name] for name, weight in self.weights.items())

    def of_cells(self, cues: Mapping[str, Float32Array]) -> Float32Array:
        """The value for every cell, (h, w)."""
        shape = next(iter(cues.values())).shape
        total = np.full(shape, self.constant, dtype=np.float32)
        for name, weight in self.weights.items():
            total += np.float32(weight) * cues[name]
        return total


@dataclass(frozen=True, slots=True)
class Rule:
    """When a quantity of a photo is called good, and when it is not to be trusted.

    The score of a photo is a share of right answers (docs/verdict.md); ``score`` estimates its log-odds, with an error
    that has a logistic distribution of scale ``spread``.
    """

    score: Linear
    spread: float
    good_from: float  # least probability of a score of at least GOOD_SCORE with which the answer is called good
    do_not_trust_below: float  # below this probability, it is not to be trusted

    def probability(self, score: float) -> float:
        """Probability that the answer is good, from the log-odds of its score."""
        away = (score - math.log(GOOD_SCORE / (1 - GOOD_SCORE))) / self.spread
        return 1.0 / (1.0 + math.exp(-min(max(away, -30.0), 30.0)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """All fitted numbers of a model."""

    depth: Rule
    defocus: Rule
    inv_depth_error: Linear  # logarithm of the expected error of inverse depth, as a share of its range in the photo
    defocus_error: Linear  # logarithm of the expected error of the CoC, pixels of the network's image
    camera_error: tuple[float, float]  # factors of the errors of the field of view and of the median depth
    metres: MetricErrors


def calibration_of(config: Mapping[str, Any], path: Path) -> Calibration | None:
    """The calibration in a model's configuration; None if there is none. ModelError if the section is damaged."""
    if SECTION not in config:
        return None
    try:
        names = ("verdict", "expected_error", "camera_error", "metres")
        verdict, error, camera, metres = _fields(config[SECTION], SECTION, *names)
        depth, defocus = _fields(verdict, "verdict", "depth", "defocus")
        inv_depth_error, defocus_error = _fields(error, "expected_error", "inv_depth", "defocus")
        metric_errors = _fields(metres, "metres", "factor", "most")
        field_of_view, median_depth = _fields(camera, "camera_error", *CAMERA_ERRORS)
        return Calibration(
            depth=_rule(depth, "verdict.depth"),
            defocus=_rule(defocus, "verdict.defocus"),
            inv_depth_error=_linear(inv_depth_error, "expected_error.inv_depth", CELL_CUES),
            defocus_error=_linear(defocus_error, "expected_error.defocus", CELL_CUES),
            camera_error=(
                _number(field_of_view, "camera_error.field_of_view", 1.0, MOST),
                _number(median_depth, "camera_error.median_depth", 1.0, MOST),
            ),
            metres=MetricErrors(*(_number(value, "metres", LEAST_METRIC_ERROR, MOST) for value in metric_errors)),
        )
    except _Wrong as wrong:
        raise ModelError(f"{path}: {SECTION}: {wrong}: calibrate the model again, or remove {SECTION}") from None


class _Wrong(Exception):
    """A missing or unknown field, or a value out of range."""

    def __init__(self, what: str, found: object, expected: str) -> None:
        super().__init__(f"{what} is {display(found)}; expected {expected}")


def _fields(value: Any, what: str, *names: str) -> list[Any]:
    """The values of an object with exactly these fields."""
    if not isinstance(value, dict) or set(value) != set(names):
        found = sorted(value) if isinstance(value, dict) else value
        raise _Wrong(what, found, f"an object with {', '.join(names)}")
    return [value[name] for name in names]


def _rule(value: Any, what: str) -> Rule:
    score, spread, good, bad = _fields(value, what, "score", "spread", "good_from", "do_not_trust_below")
    good_from = _number(good, f"{what}.good_from", 0.0, 1.0)
    return Rule(
        score=_linear(score, f"{what}.score", PHOTO_CUES),
        spread=_number(spread, f"{what}.spread", LEAST_SPREAD, MOST),
        good_from=good_from,
        do_not_trust_below=_number(bad, f"{what}.do_not_trust_below", 0.0, good_from),
    )


def _linear(value: Any, what: str, cues: Iterable[str]) -> Linear:
    constant, weights = _fields(value, what, "constant", "weights")
    if not isinstance(weights, dict) or not set(weights) <= set(cues):
        found = sorted(set(weights) - set(cues)) if isinstance(weights, dict) else weights
        raise _Wrong(f"{what}.weights", found, f"an object of numbers for some of {', '.join(cues)}")
    numbers = {name: _number(weight, f"{what}.weights.{name}", -MOST, MOST) for name, weight in weights.items()}
    return Linear(_number(constant, f"{what}.constant", -MOST, MOST), numbers)


def _number(value: Any, what: str, low: float, high: float) -> float:
    if not is_number(value) or not low <= value <= high:
        raise _Wrong(what, value, f"a number from {low:g} to {high:g}")
    return float(value)

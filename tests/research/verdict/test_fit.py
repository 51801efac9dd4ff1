"""The fit of a calibration: scores, thresholds and errors of made data come out as they went in."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2", reason="cases need the extra build")
from research.verdict.cases import Truth
from research.verdict.fit import (
    DEFOCUS_ERROR_CUES,
    DEPTH_ERROR_CUES,
    LEAST_DEPTH_ERROR,
    Metres,
    Row,
    calibrate,
    camera_factor,
    camera_ratios,
    error_of,
    metric_errors,
    ridge,
    spread_of,
    thresholds,
)

from mddnet.predict.calibration import calibration_of
from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.cues import PHOTO_CUES
from mddnet.predict.metric_scale import MetricErrors


def test_score_of_defocus() -> None:
    """Within 2 px, or 40 % of the truth; a wrong sign counts in full. Unknown pixels do not count."""
    true = np.array([[0.0, 1.0, 10.0, 10.0, -5.0, 5.0, np.nan]], np.float32)
    given = np.array([[2.0, -1.0, 14.0, 14.1, -4.0, -5.0, 99.0]], np.float32)
    photo = np.zeros((1, 512, 3), np.uint8)
    truth = Truth(photo, true, np.ones_like(true, bool), true, 1.0)
    assert truth.defocus_score(given) == pytest.approx(4 / 6)
    assert math.isnan(Truth(photo, true, np.ones_like(true, bool), None, 1.0).defocus_score(given))


def test_score_of_depth() -> None:
    u = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    truth = Truth(np.zeros((64, 64, 3), np.uint8), u, np.ones_like(u, bool), None, 1.0)
    assert truth.depth_score(u) == 1 and truth.depth_score(-u) == 0
    assert math.isnan(Truth(truth.photo, u, np.zeros_like(u, bool), None, 1.0).depth_score(u))


def test_ridge_recovers_a_line() -> None:
    x = np.random.default_rng(0).normal(size=(500, 2)) * (1, 10) + (3, -5)
    solution = ridge(x, 2 * x[:, 0] - 0.5 * x[:, 1] + 1, np.ones(500), 1e-6)
    assert solution == pytest.approx([2, -0.5, 1], abs=1e-6)


def test_thresholds() -> None:
    """Good photos have probabilities .6 to 1, bad ones 0 to .5; between, nothing is wrong."""
    probability = np.concatenate([np.linspace(0.6, 1, 50), np.linspace(0, 0.5, 50)])
    score = np.repeat([0.95, 0.3], 50)
    good_from, not_below = thresholds(probability, score, np.ones(100))
    assert 0.45 < good_from <= 0.6  # a twentieth of the bad ones may be called good
    assert not_below == good_from  # which would lose none of the good ones


def test_thresholds_never_call_good_what_cannot_be_known() -> None:
    rng = np.random.default_rng(0)
    good_from, _ = thresholds(rng.random(1000) * 0.9, np.where(rng.random(1000) < 0.5, 0.9, 0.3), np.ones(1000))
    assert good_from > 0.9


def test_the_spread_follows_the_noise() -> None:
    rng = np.random.default_rng(0)
    estimated = rng.normal(1.2, 1, 20_000)
    for spread in (0.3, 1.0):
        noisy = estimated + rng.logistic(0, spread, 20_000)
        found = spread_of(estimated, 1 / (1 + np.exp(-noisy)), np.ones(20_000))
        assert found == pytest.approx(spread, rel=0.1)


def row(number: int, rng: np.random.Generator) -> Row:
    """A photo whose scores follow from one cue, and whose errors follow from one cue of the cells."""
    cues = dict.fromkeys(PHOTO_CUES, 0.0) | {"half_size_order": rng.random(), "law_misfit": rng.random()}
    names = {*DEPTH_ERROR_CUES, *DEFOCUS_ERROR_CUES}
    cells = {name: rng.normal(size=200).astype(np.float32) for name in sorted(names)}
    return Row(
        "stereo", f"place_{number % 30}", cues,
        1 / (1 + math.exp(-4 * cues["half_size_order"])), 1 / (1 + math.exp(4 * cues["law_misfit"] - 4)), cells,
        (0.1 * np.exp(cells["depth_log_sigma"] + rng.normal(0, 0.1, 200))).astype(np.float32),
        (2.0 * np.exp(cells["log_blur"])).astype(np.float32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    rng = np.random.default_rng(0)
    return [row(number, rng) for number in range(200)]


def test_the_section_is_one_that_prediction_takes(rows: list[Row], tmp_path: Any) -> None:
    calibration = calibration_of({"calibration": calibrate(rows)}, tmp_path / "config.json")
    assert calibration is not None
    weights = calibration.depth.score.weights
    assert max(weights, key=lambda name: abs(weights[name])) == "half_size_order" and weights["half_size_order"] > 1
    assert calibration.defocus.score.weights["law_misfit"] < -1


def test_the_factor_of_the_camera_counts_kinds_alike() -> None:
    """Of the views three quarters are within 2 stated errors, of the stereo pairs one half; of both .63 within 2."""

    def one(kind: str, place: int) -> Row:
        return Row(kind, str(place), {}, 1.0, 1.0, {}, None, None)

    rows = [one("views", n) for n in range(40)] + [one("stereo", n) for n in range(4)]
    ratios = [2.0] * 30 + [9.0] * 10 + [2.0] * 2 + [5.0] * 2
    assert camera_factor(rows, ratios) == 5.0
    assert camera_factor(rows, [2.0] * 30 + [math.nan] * 10 + [2.0] * 2 + [5.0] * 2) == 2.0
    assert camera_factor(rows, [0.5] * 44) == 1.0  # a stated error is never made smaller
    assert camera_factor(rows, [math.nan] * 44) == 1.0


def test_ratios_of_the_camera() -> None:
    estimate = CameraEstimate(0.5, 0.2, 2.0, 0.1)
    field, depth = camera_ratios(estimate, (math.log(0.5) + 0.3, math.nan))
    assert field == pytest.approx(1.5) and math.isnan(depth)


def test_expected_errors_are_means(rows: list[Row]) -> None:
    errors = [one.depth_error for one in rows]
    section = error_of(rows, errors, np.zeros(len(rows)), DEPTH_ERROR_CUES, LEAST_DEPTH_ERROR)
    assert section["weights"]["depth_log_sigma"] == pytest.approx(0.9, abs=0.1)
    constant, weights = section["constant"], section["weights"]
    expected = [
        np.exp(constant + sum(weights[name] * one.cells[name] for name in DEPTH_ERROR_CUES)).mean() for one in rows
    ]
    real = [error.mean() for error in errors if error is not None]
    assert np.mean(expected) == pytest.approx(np.mean(real), rel=0.02)


def with_metres(number: int, stated: float, true: float, ratios: np.ndarray) -> Row:
    metres = Metres(stated, true, ratios.astype(np.float32))
    return replace(row(number, np.random.default_rng(number)), metres=metres)


def test_metric_errors_end_before_the_first_wrong_photo() -> None:
    """Errors are half of what is stated up to a stated error of .8; at 1.2 metres are wrong, beyond never given."""
    ratios = np.abs(np.random.default_rng(0).normal(0, 0.5, 2000))
    rows = [with_metres(n, stated, 0.1, ratios) for n, stated in enumerate((0.2, 0.5, 0.8))]
    rows += [with_metres(3, 1.2, 0.7, 9 * ratios), with_metres(4, 2.0, 0.1, 9 * ratios)]
    found = metric_errors([row(9, np.random.default_rng(9)), *rows])
    assert found.factor == pytest.approx(0.5, rel=0.05)
    assert found.most == pytest.approx(found.factor * 1.0, rel=1e-3)  # in the middle of .8 and 1.2


def test_metric_errors_without_a_known_lens_are_the_defaults() -> None:
    assert metric_errors([row(0, np.random.default_rng(0))]) == MetricErrors()

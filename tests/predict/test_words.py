"""What a prediction says in words, on maps whose answers are known by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import mddnet
from mddnet.predict.prediction import Prediction, SmallMaps
from mddnet.predict.summary import detail_line, summary
from mddnet.predict.verdict import Judgement, Verdict
from mddnet.predict.words import confidence_trust, metres, photo_words, untrusted_words, verdict_words
from mddnet.types import Float32Array, LensLawFit

FOUND = LensLawFit(True, 0.5, 12.0, 0.7)
CALLED = Verdict(Judgement("partly", "motion blur", 0.6), Judgement("do_not_trust", "everything is blurred", 0.1))


def thirds(*values: float) -> Float32Array:
    """(120, 180), one value in each third from the left."""
    return np.repeat(np.array(values, np.float32), 60)[None].repeat(120, axis=0)


def prediction(signed: Float32Array, certainty: Float32Array | None = None, **changed: object) -> Prediction:
    height, width = signed.shape
    photo = mddnet.Photo(np.full((height, width, 3), 77, np.uint8))
    maps = SmallMaps(signed * 0, np.abs(signed), np.sign(signed), signed * 0 + 1, sign_certainty=certainty)
    made = Prediction(maps, "relative", FOUND, photo, "m", "1")
    return dataclasses.replace(made, **changed)  # type: ignore[arg-type]


def test_a_third_is_sharp_one_behind_and_one_in_front() -> None:
    words = photo_words(prediction(thirds(0.0, 34.0, -5.0)))
    assert words == "sharp: 33 % of the photo; blurred up to 34 px behind it and 5 px in front of it; depth is relative"


def test_blur_on_an_unknown_side_is_neither_behind_nor_in_front() -> None:
    words = photo_words(prediction(thirds(0.0, 34.0, -5.0), thirds(1.0, 0.3, 0.9)))
    assert "34 px on an unknown side" in words and "5 px in front of it" in words and "behind" not in words


@pytest.mark.parametrize(
    ("signed", "said"),
    [
        (thirds(0, 0.4, -0.3), "everything is sharp; depth is relative"),
        (thirds(9, 9, 9), "hardly anything is sharp; blurred up to 9 px behind the plane of focus"),
        (thirds(9, 9, -8), "blurred up to 9 px behind the plane of focus and 8 px in front of it"),
    ],
)
def test_all_sharp_and_nothing_sharp(signed: Float32Array, said: str) -> None:
    # 1.5 px at a long side of 512 are .53 px at one of 180.
    assert said in photo_words(prediction(signed))


def test_metres_are_said_with_the_distance_in_focus() -> None:
    words = photo_words(prediction(thirds(0, 0, 0), unit="1/m"))
    # sharp_px is 216.3 / 1500 = .144 px: u = .5 -+ .144 / 12
    assert words.endswith("depth in metres: in focus at 2 m, sharp from 1.95 m to 2.05 m")
    assert metres(0.0) == metres(1e-5) == "infinity" and metres(1 / 1.2345) == "1.23 m"
    assert "depth counts from the plane of focus" in photo_words(prediction(thirds(0, 0, 0), unit="1/m from focus"))


@pytest.mark.parametrize(
    ("weak", "said"),
    [
        (np.s_[:, 120:], ["do not trust the right side"]),
        (np.s_[:40, :], ["do not trust the top"]),
        (np.s_[40:80, 60:120], ["do not trust the centre"]),
        (np.s_[80:, :60], ["do not trust the bottom left"]),
        (np.s_[:, :], []),  # all of it: for the verdict to say
        (np.s_[:1, :1], []),
    ],
)
def test_parts_that_are_not_trusted_are_named(weak: tuple[slice, slice], said: list[str]) -> None:
    made = prediction(thirds(0, 0, 0))
    made.maps.confidence[weak] = 0.0
    assert list(untrusted_words(made)) == said


def test_the_verdict_in_words_and_numbers_apart() -> None:
    made = prediction(thirds(0, 9, 9))
    assert verdict_words(made) == "quality unknown"
    judged = dataclasses.replace(made, verdict=CALLED)
    assert (
        verdict_words(judged) == "depth: trust it in part (motion blur); blur: do not trust it (everything is blurred)"
    )
    assert summary(judged).startswith(verdict_words(judged)) and repr(judged).count("motion blur") == 1
    assert "kappa" not in summary(judged) and "u_focus 0.5, kappa 12 px, residual 0.7 px" in detail_line(judged)
    lost = dataclasses.replace(made, focus=LensLawFit(False, math.nan, math.nan, 0.1, "everything is sharp"))
    assert "no plane of focus found (everything is sharp)" in detail_line(lost) and "nan" not in detail_line(lost)


def test_trust_is_none_from_forty_percent_of_error_and_full_to_twelve() -> None:
    error = np.array([0.0, 0.12, 0.2, 0.4, 1.0], np.float32)
    trust = confidence_trust(1 / (1 + error / np.float32(0.1)))
    np.testing.assert_allclose(trust, [1, 1, (1 / 3 - 0.2) / 0.25, 0, 0], atol=1e-6)

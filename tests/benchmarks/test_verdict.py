"""The table of verdicts: confusion and goals of hand-made photos."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.verdict import Measured, confusion, goals, mean_curve, score_class

from mddnet.metrics.sparsification import sparsification
from mddnet.types import Float32Array


def photo(location: str, call: str, score: float, order: Float32Array | None = None) -> Measured:
    error = np.array([4.0, 3.0, 2.0, 1.0])
    curves = {} if order is None else {"depth": sparsification(error, order)}
    both = {"depth": call, "defocus": call}
    return Measured("stereo", location, False, both, {}, {"depth": score, "defocus": float("nan")}, curves)


def test_classes_of_scores() -> None:
    assert [score_class(score) for score in (0.85, 0.849, 0.65, 0.649)] == ["good", "between", "between", "bad"]


def test_every_location_counts_the_same() -> None:
    """One location has a good photo, called good; another a good and a bad one, both called good."""
    photos = [photo("a", "good", 0.9), photo("b", "good", 0.95), photo("b", "good", 0.3)]
    table = confusion(photos, "depth")
    assert table["good"]["good"] == pytest.approx(0.75) and table["bad"]["good"] == pytest.approx(0.25)
    assert goals(table) == pytest.approx((0.75, 1.0, 1.0))


def test_goals_of_other_calls() -> None:
    photos = [photo("a", "partly", 0.9), photo("b", "do_not_trust", 0.3), photo("c", "good", 0.7)]
    right, bad, good = goals(confusion(photos, "depth"))
    assert (right, bad, good) == (0.0, 0.0, 0.0)


def test_photos_of_unknown_truth_are_left_out() -> None:
    assert sum(sum(row.values()) for row in confusion([photo("a", "good", 0.9)], "defocus").values()) == 0


def test_curve_of_a_perfect_and_of_a_reversed_order() -> None:
    right = mean_curve([photo("a", "good", 0.9, np.array([1.0, 2.0, 3.0, 4.0]))], "depth")
    wrong = mean_curve([photo("a", "good", 0.9, np.array([4.0, 3.0, 2.0, 1.0]))], "depth")
    assert right is not None and right[0] == pytest.approx(0) and right[3] <= 0
    assert wrong is not None and wrong[0] > wrong[1] > 0 and wrong[3] > 0.1
    assert mean_curve([photo("a", "good", 0.9)], "depth") is None

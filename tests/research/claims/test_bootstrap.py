"""Means, paired reductions, p-values and their adjustment, against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from research.claims.bootstrap import gain, holm, mean


def fold(number: int, values: dict[str, float]) -> dict[tuple[int, str], float]:
    return {(number, location): value for location, value in values.items()}


def test_mean_of_two_locations() -> None:
    """Both draws are the first location in a quarter of all samples: the interval is from one to the other."""
    found = mean(fold(0, {"a": 1.0, "b": 3.0}))
    assert (found.value, found.low, found.high, found.locations) == (2.0, 1.0, 3.0, 2)


def test_interval_of_many_locations() -> None:
    """25 locations of standard deviation 1: the mean has a standard error of 1/5."""
    values = np.random.default_rng(0).normal(size=25)
    values = (values - values.mean()) / values.std()
    found = mean(fold(0, {str(n): float(value) for n, value in enumerate(values)}))
    assert found.value == pytest.approx(0.0, abs=1e-9)
    assert (found.low, found.high) == (pytest.approx(-0.392, abs=0.05), pytest.approx(0.392, abs=0.05))


def test_folds_are_resampled_too() -> None:
    """Four locations of 1 in one fold and of 0 in the other: a quarter of all samples has the first fold only.

    Without folds, all would be ones in 1/256 of the samples, outside the interval.
    """
    two_folds = fold(0, dict.fromkeys("abcd", 1.0)) | fold(1, dict.fromkeys("efgh", 0.0))
    found = mean(two_folds)
    assert (found.low, found.high) == (0.0, 1.0)
    one_fold = mean({(0, location): value for (_, location), value in two_folds.items()})
    assert 0 < one_fold.low < one_fold.high < 1


def test_reduction_of_means_on_common_locations() -> None:
    """(2 + 4) / (3 + 5) = 3/4."""
    of, against = fold(0, {"a": 2.0, "b": 4.0, "here": 99.0}), fold(0, {"a": 3.0, "b": 5.0, "there": 0.0})
    found = gain(of, against)
    assert found.value == pytest.approx(0.25) and found.locations == 2
    assert found.low == pytest.approx(1 - 4 / 5) and found.high == pytest.approx(1 - 2 / 3)


def test_pairing_removes_variance_between_locations() -> None:
    hard = fold(0, {str(n): float(v) for n, v in enumerate(np.random.default_rng(1).lognormal(0, 1, 20))})
    found = gain({unit: 0.9 * value for unit, value in hard.items()}, hard)
    assert (found.value, found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1))
    assert mean(hard).high - mean(hard).low > 0.5


def test_reduction_beyond_another_condition() -> None:
    """Half the error with blur, a tenth less without: .5 - .1, for every sample."""
    base = fold(0, {"a": 1.0, "b": 2.0})
    half, less = ({unit: factor * value for unit, value in base.items()} for factor in (0.5, 0.9))
    found = gain(half, base, beyond=(less, base))
    assert (found.value, found.low, found.high) == (pytest.approx(0.4), pytest.approx(0.4), pytest.approx(0.4))


def test_p_value() -> None:
    """One location is better by 1 and one worse: the reduction is < 0, 0, > 0 in 1/4, 1/2, 1/4 of all samples.

    Each tail with 0 has 3/4. If both are better, no sample is at or below 0.
    """
    against = fold(0, {"a": 2.0, "b": 2.0})
    assert gain(fold(0, {"a": 1.0, "b": 3.0}), against).p == 1.0
    assert gain(fold(0, {"a": 1.0, "b": 1.5}), against).p == pytest.approx(2 / 10_001)
    # up to 5 % more error is tolerated: 2.5 % more is above that for every sample; of 0, 7.5 and 15 % more,
    # with 1/4, 1/2 and 1/4 of the samples, a quarter is
    assert gain(fold(0, {"a": 2.05, "b": 2.05}), against, null=-0.05).p == pytest.approx(2 / 10_001)
    assert gain(fold(0, {"a": 2.0, "b": 2.3}), against, null=-0.05).p == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 x .01; 2 x .03; max(.06, 1 x .04)
        ([0.005, 0.01, 0.02, 0.2], [0.02, 0.03, 0.04, 0.2]),
        ([0.6, 0.7], [1.0, 1.0]),
        ([0.05], [0.05]),
        ([], []),
    ],
)
def test_holm(p: list[float], expected: list[float]) -> None:
    assert holm(p) == pytest.approx(expected)


def test_no_common_location_is_refused() -> None:
    with pytest.raises(ValueError, match="no location"):
        gain(fold(0, {"a": 1.0}), fold(1, {"a": 1.0}))
    with pytest.raises(ValueError, match="no location"):
        mean({})

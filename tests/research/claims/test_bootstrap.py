"""Means and paired comparisons over locations."""

from __future__ import annotations

import numpy as np
import pytest
from research.claims.bootstrap import mean, saved


def test_the_mean_and_its_interval() -> None:
    found = mean({"a": 1.0, "b": 2.0, "c": 3.0, "d": 6.0})
    assert found.value == 3.0 and found.locations == 4
    # draws of four of these: their mean has the standard deviation sqrt(14/4) / 2 = .935
    assert found.low == pytest.approx(3.0 - 1.96 * 0.935, abs=0.35)
    assert found.high == pytest.approx(3.0 + 1.96 * 0.935, abs=0.35)


def test_interval_of_one_location_has_no_width() -> None:
    found = mean({"a": 0.25})
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)


def test_saving_values() -> None:
    # means 3 and 4 on the two places of both
    found = saved({"a": 2.0, "b": 4.0, "only here": 99.0}, {"a": 3.0, "b": 5.0, "only there": 0.0})
    assert found.value == pytest.approx(0.25) and found.locations == 2
    assert found.low == pytest.approx(1 - 4 / 5) and found.high == pytest.approx(1 - 2 / 3)


def test_pairing_removes_variance_between_locations() -> None:
    rng = np.random.default_rng(1)
    hard = {str(n): float(v) for n, v in enumerate(rng.lognormal(0, 1, 20))}
    found = saved({location: 0.9 * value for location, value in hard.items()}, hard)
    assert found.low == pytest.approx(0.1) and found.high == pytest.approx(0.1)
    assert mean(hard).high - mean(hard).low > 0.5  # the locations themselves differ widely


def test_no_common_location_is_refused() -> None:
    with pytest.raises(ValueError, match="no location"):
        saved({"a": 1.0}, {"b": 1.0})
    with pytest.raises(ValueError, match="no location"):
        mean({})

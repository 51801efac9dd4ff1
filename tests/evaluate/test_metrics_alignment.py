"""Alignment in inverse depth and in depth."""

from __future__ import annotations

import numpy as np
import pytest

from mddnet.metrics.alignment import AlignmentChoice, fit_alignment


def test_scale_and_shift_by_hand() -> None:
    # points (0, 1), (1, 3), (2, 5), (3, 9): slope 2.6, mean y 4.5 at mean x 1.5, so intercept 0.6
    fit = fit_alignment(np.array([0.0, 1, 2, 3]), np.array([1.0, 3, 5, 9]), method="least_squares")
    assert (fit.scale, fit.shift) == pytest.approx((2.6, 0.6))
    np.testing.assert_allclose(fit.apply(np.array([1.0])), [3.2])


def test_scale_by_hand() -> None:
    # sum p u / sum p p = (1 + 6) / (1 + 4)
    fit = fit_alignment(np.array([1.0, 2]), np.array([1.0, 3]), kind="scale", method="least_squares")
    assert (fit.scale, fit.shift) == pytest.approx((1.4, 0.0))


def test_none_changes_nothing() -> None:
    fit = fit_alignment(np.array([1.0, 2]), np.array([9.0, 9]), kind="none")
    assert (fit.scale, fit.shift) == (1.0, 0.0)


@pytest.mark.parametrize("method", ["robust", "least_squares"])
@pytest.mark.parametrize(("kind", "shift"), [("scale", 0.0), ("scale_and_shift", -0.7)])
def test_an_exact_relation_is_found(kind: str, shift: float, method: str) -> None:
    pred = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    truth = 3.0 * pred + shift
    truth[:4] = np.nan
    fit = fit_alignment(pred, truth, kind=kind, method=method)  # type: ignore[arg-type]
    assert (fit.scale, fit.shift) == pytest.approx((3.0, shift), abs=1e-5)


def test_a_tenth_of_wrong_truth_bends_least_squares_and_not_the_robust_fit() -> None:
    rng = np.random.default_rng(1)
    pred = np.sort(rng.random(1000))
    truth = 2.0 * pred + 1.0 + 0.01 * rng.standard_normal(1000)
    truth[-100:] = 0.0
    bent = fit_alignment(pred, truth, method="least_squares")
    held = fit_alignment(pred, truth, method="robust")
    assert abs(bent.scale - 2) > 1.0
    assert (held.scale, held.shift) == pytest.approx((2.0, 1.0), abs=0.1)


def test_a_mask_is_applied_and_a_constant_gets_the_mean() -> None:
    truth = np.array([1.0, 3.0, 100.0])
    fit = fit_alignment(np.full(3, 5.0), truth, np.array([True, True, False]), method="least_squares")
    assert (fit.scale, fit.shift) == (0.0, 2.0)


def test_a_prediction_inside_out_counts_as_a_constant() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random((20, 30))
    fit = fit_alignment(-truth, truth)
    constant = fit_alignment(np.zeros_like(truth), truth)
    assert fit == constant and fit.scale == 0 and 0.4 < fit.shift < 0.6
    # as published, the sign is free, and inside out is as good as right
    published = fit_alignment(-truth, truth, method="least_squares")
    assert (published.scale, published.shift) == pytest.approx((-1.0, 0.0))


def test_refusals() -> None:
    one = np.ones(3)
    with pytest.raises(ValueError, match="no pixel"):
        fit_alignment(one, np.full(3, np.nan))
    with pytest.raises(ValueError, match="one shape"):
        fit_alignment(one, np.ones(4))
    with pytest.raises(ValueError, match="affine"):
        fit_alignment(one, one, kind="affine")  # type: ignore[arg-type]


def test_the_alignment_is_described() -> None:
    assert AlignmentChoice().description() == "robust scale-and-shift in inverse depth"
    assert AlignmentChoice("scale", "depth", "least_squares").description() == "least-squares scale in depth"
    assert AlignmentChoice("none", "depth").description() == "none"

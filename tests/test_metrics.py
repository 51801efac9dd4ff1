"""Measures: values computed by hand, properties, unknown pixels, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mddnet import metrics

NAN = float("nan")


# --- texture


def test_luminance_by_hand() -> None:
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
    np.testing.assert_allclose(metrics.luminance(pixels), [[0.299, 0.587, 0.114, 1.0]], atol=1e-6)
    np.testing.assert_allclose(metrics.luminance(np.full((2, 2), 51, dtype=np.uint8)), 0.2, atol=1e-6)
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        metrics.luminance(np.zeros((2, 2, 4)))


def test_laplacian_of_a_single_bright_pixel() -> None:
    image = np.zeros((5, 5), dtype=np.float32)
    image[2, 2] = 0.5
    sharpness = metrics.smoothed_laplacian(image, 0.0)
    assert sharpness[2, 2] == pytest.approx(2.0)  # |-4 x 0.5|
    assert sharpness[1, 2] == pytest.approx(0.5)
    assert sharpness[1, 1] == 0.0


def test_gaussian_smoothing_keeps_the_mean_and_has_the_stated_variance() -> None:
    image = np.zeros((61, 61), dtype=np.float32)
    image[30, 30] = 1.0
    smooth = metrics.gaussian_smoothed(image, 3.0)
    assert smooth.sum() == pytest.approx(1.0, abs=1e-5)
    rows = np.arange(61) - 30
    assert np.sqrt(smooth.sum(axis=1) @ rows**2) == pytest.approx(3.0, rel=0.02)
    wide = metrics.gaussian_smoothed(np.arange(12, dtype=np.float32).reshape(3, 4), 50.0)
    np.testing.assert_allclose(wide, 5.5, atol=0.05)  # far wider than the image: its mean
    with pytest.raises(ValueError, match="sigma"):
        metrics.gaussian_smoothed(image, -1.0)


def test_texture_mask_keeps_the_upper_share_and_nothing_flat() -> None:
    rng = np.random.default_rng(0)
    noise = rng.random((60, 80))
    assert metrics.texture_mask(noise).mean() == pytest.approx(0.6, abs=0.01)
    half = noise.copy()
    half[:, 40:] = 0.5
    mask = metrics.texture_mask(half)
    assert mask[:, :35].mean() > 0.95 and not mask[:, 50:].any()
    assert not metrics.texture_mask(np.full((30, 30, 3), 90, dtype=np.uint8)).any()
    with pytest.raises(ValueError, match="share"):
        metrics.texture_mask(noise, 0.0)


# --- order


def ordinal_accuracy(
    pred: np.ndarray, truth: np.ndarray, mask: np.ndarray | None, min_gap: float, pairs: int = 20_000, seed: int = 0
) -> float:
    return metrics.ordinal_pairs(truth, mask, min_gap, pairs=pairs, seed=seed).accuracy(pred)


def test_ordinal_accuracy_by_hand() -> None:
    # two pixels: every admissible pair is the same one, so right, wrong and tie give 1, 0 and a half
    truth = np.array([[0.0, 1.0]])
    assert ordinal_accuracy(np.array([[3.0, 7.0]]), truth, None, 0.5) == 1.0
    assert ordinal_accuracy(np.array([[7.0, 3.0]]), truth, None, 0.5) == 0.0
    assert ordinal_accuracy(np.array([[5.0, 5.0]]), truth, None, 0.5) == 0.5
    # three pixels: three kinds of pairs, equally likely; the prediction swaps the last two pixels: 2 of 3 right
    pred, truth = np.array([[0.0, 2.0, 1.0]]), np.array([[0.0, 1.0, 2.0]])
    assert ordinal_accuracy(pred, truth, None, 0.5, pairs=50_000) == pytest.approx(2 / 3, abs=0.01)


def test_the_gap_is_exclusive_and_unknown_is_left_out() -> None:
    truth = np.array([[0.0, 1.0, NAN, NAN]])
    assert np.isnan(ordinal_accuracy(truth, truth, None, 1.0))
    assert ordinal_accuracy(np.array([[0.0, 1.0, 9.0, -9.0]]), truth, None, 0.99) == 1.0
    pairs = metrics.ordinal_pairs(truth, None, 0.5, pairs=1000)
    assert len(pairs) == 1000 and set(pairs.nearer) == {1} and set(pairs.farther) == {0}
    assert pairs.admissible_share == pytest.approx(0.5, abs=0.05)


def test_no_admissible_pair_gives_nan() -> None:
    truth = np.zeros((4, 4))
    for mask in (None, np.zeros((4, 4), dtype=bool)):
        pairs = metrics.ordinal_pairs(truth, mask, 0.1)
        assert len(pairs) == 0 and pairs.admissible_share == 0.0 and np.isnan(pairs.accuracy(truth))
    assert np.isnan(metrics.depth_ordinal_accuracy(truth, truth, None))
    assert np.isnan(metrics.depth_ordinal_accuracy(truth, np.full((4, 4), NAN), None))


def test_a_nan_prediction_is_wrong() -> None:
    assert ordinal_accuracy(np.array([[NAN, 1.0]]), np.array([[0.0, 1.0]]), None, 0.5) == 0.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_ordinal_accuracy_ignores_monotone_maps_and_mirrors_under_negation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, pred = rng.random((12, 15)), rng.random((12, 15))
    mask = rng.random((12, 15)) > 0.3
    accuracy = ordinal_accuracy(pred, truth, mask, 0.1, pairs=500, seed=seed)
    assert ordinal_accuracy(np.exp(3 * pred), truth, mask, 0.1, pairs=500, seed=seed) == pytest.approx(accuracy)
    assert ordinal_accuracy(-pred, truth, mask, 0.1, pairs=500, seed=seed) == pytest.approx(1 - accuracy)
    assert ordinal_accuracy(pred, truth, mask, 0.1, pairs=500, seed=seed) == accuracy


def test_random_is_chance_and_truth_is_perfect() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((100, 100))
    assert ordinal_accuracy(rng.random((100, 100)), truth, None, 0.2) == pytest.approx(0.5, abs=0.02)
    assert ordinal_accuracy(truth, truth, None, 0.2) == 1.0


def test_convention_depth_gap_is_a_tenth_of_the_2_98_range() -> None:
    ramp = np.linspace(0, 1, 1001)[None, :]
    assert metrics.inv_depth_range(ramp) == pytest.approx(0.96)
    pairs = metrics.depth_ordinal_pairs(ramp, None)
    gap = ramp.ravel()[pairs.nearer] - ramp.ravel()[pairs.farther]
    assert gap.min() > 0.096 and gap.min() < 0.1


def test_convention_defocus_gap_is_0_7_percent_of_the_long_side() -> None:
    coc = np.broadcast_to(np.linspace(0, 20, 200)[None, :], (100, 200))
    pairs = metrics.defocus_ordinal_pairs(coc, None)
    gap = coc.ravel()[pairs.nearer] - coc.ravel()[pairs.farther]
    assert gap.min() > 1.4 and gap.min() < 1.51
    assert metrics.defocus_ordinal_accuracy(coc, coc, None) == 1.0


def test_shapes_must_agree() -> None:
    a, b = np.zeros((2, 2)), np.zeros((2, 3))
    for call in (
        lambda: metrics.iou(a > 0, b > 0),
        lambda: metrics.depth_ordinal_accuracy(a, b, None),
        lambda: metrics.defocus_ordinal_accuracy(a, b, None),
        lambda: metrics.ordinal_pairs(a, np.zeros((2, 3), dtype=bool), 0.1),
        lambda: metrics.coc_mae_px(a, b),
        lambda: metrics.rmse(a, a, np.zeros((2, 3), dtype=bool)),
    ):
        with pytest.raises(ValueError, match="shape"):
            call()
    with pytest.raises(ValueError, match="min_gap"):
        metrics.ordinal_pairs(a, None, NAN)


def test_spearman_by_hand() -> None:
    truth = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    # ranks 1, 2, 3.5, 3.5, 5 against 1..5: sums of products 9.5, of squares 9.5 and 10
    pred = np.array([0.0, 1.0, 7.0, 7.0, 9.0])
    assert metrics.spearman(pred, truth) == pytest.approx(9.5 / np.sqrt(9.5 * 10))
    # 1 - 6 sum d^2 / (n (n^2 - 1)) with d = (1, -1, 0, 0, 0)
    assert metrics.spearman(np.array([2.0, 1.0, 3.0, 4.0, 5.0]), truth) == pytest.approx(1 - 6 * 2 / (5 * 24))
    assert metrics.spearman(-(truth**3), truth) == pytest.approx(-1.0)
    assert np.isnan(metrics.spearman(np.ones(5), truth))
    assert np.isnan(metrics.spearman(np.array([1.0, 2.0]), np.array([1.0, NAN])))


# --- size


def test_coc_errors_by_hand() -> None:
    truth = np.array([[0.0, 2.0, 10.0, NAN]])
    pred = np.array([[1.0, 2.0, 7.0, 50.0]])
    assert metrics.coc_mae_px(pred, truth) == pytest.approx(4 / 3)
    assert metrics.constant_mae_px(truth) == pytest.approx((2 + 0 + 8) / 3)
    mask = np.array([[True, False, False, True]])
    assert metrics.coc_mae_px(pred, truth, mask) == 1.0
    assert np.isnan(metrics.coc_mae_px(pred, np.full((1, 4), NAN)))
    assert np.isnan(metrics.constant_mae_px(truth, np.zeros((1, 4), dtype=bool)))
    assert metrics.coc_mse_px2(pred, truth) == pytest.approx((1 + 0 + 9) / 3)
    assert np.isnan(metrics.coc_mse_px2(pred, truth, np.zeros((1, 4), dtype=bool)))


def test_normalised_sigma_by_hand() -> None:
    # a sigma of 3.275 px is a CoC of 13.1 px; 26.2 px is clipped to it
    truth, pred = np.array([[13.1, 0.0, 26.2, NAN]]), np.array([[6.55, 1.31, 100.0, 5.0]])
    assert metrics.normalised_sigma_mae(pred, truth) == pytest.approx((0.5 + 0.1 + 0.0) / 3)
    assert metrics.normalised_sigma_mse(pred, truth) == pytest.approx((0.25 + 0.01) / 3)
    nothing = np.zeros((1, 4), dtype=bool)
    assert np.isnan(metrics.normalised_sigma_mae(pred, truth, nothing))
    assert np.isnan(metrics.normalised_sigma_mse(pred, truth, nothing))


def test_sign_accuracy_by_hand() -> None:
    truth = np.array([5.0, -5.0, 1.0, -8.0, NAN, 6.0])
    pred = np.array([0.1, 3.0, -9.0, -1.0, 1.0, 0.0])
    # above 2 px: right, wrong, right, half
    assert metrics.sign_accuracy(pred, truth, min_defocus_px=2.0) == pytest.approx(2.5 / 4)
    assert metrics.sign_accuracy(pred, truth) == pytest.approx(2.5 / 5)
    assert np.isnan(metrics.sign_accuracy(pred, truth, min_defocus_px=8.0))


def test_depth_measures_by_hand() -> None:
    truth = np.array([1.0, 2.0, 4.0, NAN, 0.0])
    pred = np.array([1.1, 2.0, 2.0, 7.0, 1.0])
    assert metrics.abs_rel(pred, truth) == pytest.approx((0.1 + 0 + 0.5) / 3)
    assert metrics.rmse(pred[:3], truth[:3]) == pytest.approx(np.sqrt((0.01 + 0 + 4) / 3))
    assert metrics.delta(pred, truth) == pytest.approx(2 / 3)
    assert metrics.delta(pred, truth, power=4) == pytest.approx(1.0)  # 1.25^4 = 2.44
    assert metrics.delta(np.array([-1.0]), np.array([1.0])) == 0.0
    d = np.log([1.1, 1.0, 0.5])
    assert metrics.silog(pred, truth) == pytest.approx(100 * np.sqrt((d**2).mean() - d.mean() ** 2))
    assert metrics.silog(3 * truth, truth) == pytest.approx(0.0)
    assert metrics.silog(np.array([0.0]), np.array([1.0])) == float("inf")
    assert metrics.sq_rel(pred, truth) == pytest.approx((0.01 / 1 + 0 + 4 / 4) / 3)
    assert metrics.rmse_log(pred, truth) == pytest.approx(np.sqrt((d**2).mean()))
    assert metrics.rmse_log(2 * truth, truth) == pytest.approx(np.log(2))
    assert metrics.rmse_log(np.array([-1.0]), np.array([1.0])) == float("inf")
    assert metrics.delta(np.array([1.04, 1.1]), np.array([1.0, 1.0]), base=1.05) == 0.5
    first = np.array([True, False, False, False, False])
    assert metrics.sq_rel(pred, truth, first) == pytest.approx(0.01)
    assert np.isnan(metrics.sq_rel(pred, truth, ~np.ones(5, dtype=bool)))
    assert np.isnan(metrics.rmse_log(pred, truth, ~np.ones(5, dtype=bool)))
    for measure in (metrics.abs_rel, metrics.rmse, metrics.delta, metrics.silog):
        assert np.isnan(measure(np.array([1.0]), np.array([NAN])))


# --- boundaries


def test_boundary_f1_by_hand() -> None:
    truth = np.ones((4, 6))
    truth[:, 3:] = 2.0  # one vertical boundary of ratio 2
    assert metrics.boundary_f1(7 * truth, truth) == pytest.approx(2 * 0.25 * 0.25 / 0.5)
    # one of the four directions has a boundary; the other three have none in truth and count 0, as published
    beside = np.roll(truth, 1, axis=1)
    beside[:, 0] = 1.0
    assert metrics.boundary_f1(beside, truth) == 0.0
    assert metrics.boundary_f1(np.ones_like(truth), truth) == 0.0
    # two boundaries predicted, one of them true: precision a half, recall one, in that direction
    both = truth.copy()
    both[:, 5:] = 4.0
    p, r = 0.25 / 2, 0.25
    assert metrics.boundary_f1(both, truth) == pytest.approx(2 * p * r / (p + r))


def test_boundary_f1_of_all_directions_and_of_a_weak_boundary() -> None:
    truth = np.ones((6, 6))
    truth[2:4, 2:4] = 2.0
    assert metrics.boundary_f1(truth, truth) == pytest.approx(1.0)
    # a boundary of ratio 1.15 in the prediction is found below that ratio only: 5 of 10, by their weights
    ratios = np.linspace(1.05, 1.25, 10)
    weak = np.where(truth > 1, 1.15, 1.0)
    assert metrics.boundary_f1(weak, truth) == pytest.approx(ratios[ratios < 1.15].sum() / ratios.sum())


def test_boundary_f1_looks_at_known_pixels_only() -> None:
    truth = np.ones((4, 6))
    truth[:, 3:] = 2.0
    truth[0] = NAN
    wrong_in_the_first_row = np.where(np.isnan(truth), 9.0, truth)
    assert metrics.boundary_f1(wrong_in_the_first_row, truth) == pytest.approx(0.25)
    left = np.zeros((4, 6), dtype=bool)
    left[:, :3] = True
    assert np.isnan(metrics.boundary_f1(truth, truth, left))  # no boundary in it
    assert metrics.boundary_f1(-np.ones_like(truth), truth) == 0.0
    with pytest.raises(ValueError, match="shapes"):
        metrics.boundary_f1(truth[0], truth[0])


# --- blur detection


def test_blur_detection_by_hand() -> None:
    blurred = np.array([[True, True, True, False, False, False]])
    found = np.array([[True, True, False, True, False, False]])
    # precision 2/3, recall 2/3
    assert metrics.f_beta(found, blurred) == pytest.approx(2 / 3)
    assert metrics.iou(found, blurred) == pytest.approx(2 / 4)
    assert metrics.detection_mae(found, blurred) == pytest.approx(2 / 6)
    everywhere = np.ones_like(found)
    # precision 1/2, recall 1
    assert metrics.f_beta(everywhere, blurred) == pytest.approx(1.3 * 0.5 / (0.3 * 0.5 + 1))
    assert metrics.f_beta(everywhere, blurred, beta_squared=1.0) == pytest.approx(2 / 3)
    assert metrics.f_beta(~everywhere, blurred) == metrics.iou(~everywhere, blurred) == 0.0
    mask = np.array([[True, True, False, False, True, True]])
    assert metrics.f_beta(found, blurred, mask) == metrics.iou(found, blurred, mask) == 1.0
    assert metrics.detection_mae(np.array([[0.75, 1, 0.5, 0, 0, 0.25]]), blurred) == pytest.approx(1.0 / 6)


def test_average_precision_by_hand() -> None:
    blurred = np.array([True, False, True, False])
    # found at ranks 1 and 3: 0.5 x 1/1 + 0.5 x 2/3
    assert metrics.average_precision(np.array([9.0, 5.0, 3.0, 1.0]), blurred) == pytest.approx(5 / 6)
    assert metrics.average_precision(np.array([3.0, 1.0, 2.0, 0.0]), blurred) == 1.0
    # ties are one threshold: a constant has the share of the blurred
    assert metrics.average_precision(np.zeros(4), blurred) == pytest.approx(0.5)
    assert metrics.average_precision(np.array([2.0, 2.0, 1.0, 0.0]), blurred) == pytest.approx(0.5 * 0.5 + 0.5 * 2 / 3)
    mask = np.array([True, False, True, True])
    assert metrics.average_precision(np.array([9.0, 5.0, 3.0, 1.0]), blurred, mask) == 1.0


def test_blur_detection_without_blur_is_nan_and_shapes_must_agree() -> None:
    sharp, found = np.zeros((2, 2), dtype=bool), np.ones((2, 2), dtype=bool)
    assert np.isnan(metrics.f_beta(found, sharp)) and np.isnan(metrics.iou(found, sharp))
    assert np.isnan(metrics.average_precision(np.ones((2, 2)), sharp))
    assert metrics.detection_mae(found, sharp) == 1.0
    assert np.isnan(metrics.detection_mae(found, sharp, sharp))
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.iou(found, sharp[0])
    with pytest.raises(ValueError, match="0 to 1"):
        metrics.detection_mae(np.full((2, 2), 1.5), sharp)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_average_precision_is_blind_to_monotone_maps_and_iou_is_below_f1(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score, blurred = rng.random(200).round(2), rng.random(200) > 0.4
    ap = metrics.average_precision(score, blurred)
    assert metrics.average_precision(np.exp(5 * score), blurred) == pytest.approx(ap)
    f1, overlap = metrics.f_beta(score > 0.5, blurred, beta_squared=1.0), metrics.iou(score > 0.5, blurred)
    assert overlap == pytest.approx(f1 / (2 - f1))


# --- confidence


def test_sparsification_by_hand() -> None:
    # ten pixels of errors 1 to 10; the confidence is sure of the wrong half
    error = np.arange(1.0, 11.0)
    curves = metrics.sparsification(error, np.where(error > 5, 0.9, 0.1))
    assert curves.error[0] == 5.5 and curves.error[50] == 8.0  # the mean of 6 to 10 is left
    assert curves.error[20] == pytest.approx((5 * 8 + 3 * 3) / 8)  # ties: 3 of the five of mean 3 are left
    assert curves.oracle[[0, 50, 90]] == pytest.approx([5.5, 3.0, 1.0])
    # the oracle's mean over ten kept counts, 10 to 1: (n + 1) / 2
    constant = (5.5 - np.mean([(n + 1) / 2 for n in range(1, 11)])) / 5.5
    assert metrics.sparsification(error, np.ones(10)).ause == pytest.approx(constant, abs=0.02)
    assert metrics.sparsification(error, -error).ause == 0.0
    assert metrics.sparsification(error, error).ause > curves.constant > 0.4


def test_a_constant_confidence_has_a_constant_curve() -> None:
    error = np.random.default_rng(0).random((30, 40))
    error[:3] = NAN
    curves = metrics.sparsification(error, np.full((30, 40), 0.5))
    np.testing.assert_allclose(curves.error, np.nanmean(error), rtol=1e-9)
    assert curves.ause == pytest.approx(curves.constant)


def test_sparsification_without_errors_or_pixels() -> None:
    perfect = metrics.sparsification(np.zeros(5), np.arange(5.0))
    assert perfect.ause == perfect.constant == 0.0
    assert np.isnan(metrics.sparsification(np.full(5, NAN), np.ones(5)).ause)
    # an unknown confidence is removed first
    assert metrics.sparsification(np.array([9.0, 1.0]), np.array([NAN, 0.1])).error[50] == 1.0
    with pytest.raises(ValueError, match="shape"):
        metrics.sparsification(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="0 or more"):
        metrics.sparsification(np.array([-1.0]), np.zeros(1))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_no_confidence_beats_the_oracle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    curves = metrics.sparsification(rng.random(300), rng.random(300).round(1))
    assert (curves.error >= curves.oracle - 1e-12).all() and curves.ause >= 0
    assert metrics.falling_steps(curves.oracle) >= 98


def test_falling_steps_by_hand() -> None:
    assert metrics.falling_steps(np.array([3.0, 2.0, 2.0, 1.0, 1.5])) == 2

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


def test_ordinal_accuracy_by_hand() -> None:
    # two pixels: every admissible pair is the same one, so right, wrong and tie give 1, 0 and a half
    truth = np.array([[0.0, 1.0]])
    assert metrics.ordinal_accuracy(np.array([[3.0, 7.0]]), truth, None, 0.5) == 1.0
    assert metrics.ordinal_accuracy(np.array([[7.0, 3.0]]), truth, None, 0.5) == 0.0
    assert metrics.ordinal_accuracy(np.array([[5.0, 5.0]]), truth, None, 0.5) == 0.5
    # three pixels: three kinds of pairs, equally likely; the prediction swaps the last two pixels: 2 of 3 right
    pred, truth = np.array([[0.0, 2.0, 1.0]]), np.array([[0.0, 1.0, 2.0]])
    assert metrics.ordinal_accuracy(pred, truth, None, 0.5, pairs=50_000) == pytest.approx(2 / 3, abs=0.01)


def test_the_gap_is_exclusive_and_unknown_is_left_out() -> None:
    truth = np.array([[0.0, 1.0, NAN, NAN]])
    assert np.isnan(metrics.ordinal_accuracy(truth, truth, None, 1.0))
    assert metrics.ordinal_accuracy(np.array([[0.0, 1.0, 9.0, -9.0]]), truth, None, 0.99) == 1.0
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
    assert metrics.ordinal_accuracy(np.array([[NAN, 1.0]]), np.array([[0.0, 1.0]]), None, 0.5) == 0.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_ordinal_accuracy_ignores_monotone_maps_and_mirrors_under_negation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, pred = rng.random((12, 15)), rng.random((12, 15))
    mask = rng.random((12, 15)) > 0.3
    accuracy = metrics.ordinal_accuracy(pred, truth, mask, 0.1, pairs=500, seed=seed)
    assert metrics.ordinal_accuracy(np.exp(3 * pred), truth, mask, 0.1, pairs=500, seed=seed) == pytest.approx(accuracy)
    assert metrics.ordinal_accuracy(-pred, truth, mask, 0.1, pairs=500, seed=seed) == pytest.approx(1 - accuracy)
    assert metrics.ordinal_accuracy(pred, truth, mask, 0.1, pairs=500, seed=seed) == accuracy


def test_random_is_chance_and_truth_is_perfect() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((100, 100))
    assert metrics.ordinal_accuracy(rng.random((100, 100)), truth, None, 0.2) == pytest.approx(0.5, abs=0.02)
    assert metrics.ordinal_accuracy(truth, truth, None, 0.2) == 1.0


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
        lambda: metrics.ordinal_accuracy(a, b, None, 0.1),
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
    for measure in (metrics.abs_rel, metrics.rmse, metrics.delta, metrics.silog):
        assert np.isnan(measure(np.array([1.0]), np.array([NAN])))

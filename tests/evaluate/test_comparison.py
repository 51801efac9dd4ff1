"""Registered metrics of one photo."""

from __future__ import annotations

import numpy as np
import pytest

from mddnet.metrics import METRICS, AlignmentChoice, Comparison, Estimate, Metric, Truth, measure, register
from mddnet.types import Float32Array

PHOTO = np.zeros((1, 1, 3), dtype=np.uint8)


def metric_depth_measures(
    inv_depth: Float32Array,
    truth: Float32Array,
    alignment: AlignmentChoice | None = None,
    depth_range_m: tuple[float, float] | None = None,
) -> dict[str, float]:
    known = Truth(PHOTO, truth, depth_range_m=depth_range_m)
    return measure(Comparison(known, Estimate(inv_depth), None, alignment or AlignmentChoice()))


def test_the_alignment_is_the_requested_one() -> None:
    u = np.array([[0.5, 1.0, 2.0, 4.0], [np.nan, 1.0, 2.0, 4.0]])
    truth = u.astype(np.float32)
    half_and_shifted = np.nan_to_num((u - 1.0) / 2).astype(np.float32)
    assert metric_depth_measures(half_and_shifted, truth)["abs_rel"] == pytest.approx(0.0, abs=1e-6)
    halved = np.nan_to_num(u / 2).astype(np.float32)
    assert metric_depth_measures(halved, truth, AlignmentChoice("scale"))["abs_rel"] == pytest.approx(0.0, abs=1e-6)
    # half as far again, everywhere
    unaligned = metric_depth_measures(np.nan_to_num(u / 1.5).astype(np.float32), truth, AlignmentChoice("none"))
    assert unaligned["abs_rel"] == pytest.approx(0.5, abs=1e-5)
    assert unaligned["rmse_log"] == pytest.approx(np.log(1.5), abs=1e-5)
    assert unaligned["delta1"] == 0.0 and unaligned["delta2"] == 1.0
    assert unaligned["silog"] == pytest.approx(0.0, abs=1e-3)
    assert metric_depth_measures(halved, truth * np.float32(np.nan)) == {}


def test_alignment_in_depth_is_another_choice() -> None:
    z = np.array([[1.0, 2.0, 4.0, 8.0]])
    predicted = (1 / (3 * z + 5)).astype(np.float32)  # affine in depth, not in inverse depth
    truth = (1 / z).astype(np.float32)
    in_depth = metric_depth_measures(predicted, truth, AlignmentChoice(domain="depth"))
    assert in_depth["abs_rel"] == pytest.approx(0.0, abs=1e-5)
    assert metric_depth_measures(predicted, truth)["abs_rel"] > 0.05
    tripled = metric_depth_measures((1 / (3 * z)).astype(np.float32), truth, AlignmentChoice("scale", "depth"))
    assert tripled["rmse_m"] == pytest.approx(0.0, abs=1e-5)


def test_a_cap_clips_the_prediction() -> None:
    truth = np.array([[1.0, 0.25]], dtype=np.float32)
    far = np.array([[1.0, 0.01]], dtype=np.float32)  # the floor of half the 2 % quantile is at 7.6 m
    assert metric_depth_measures(far, truth, AlignmentChoice("none"))["rmse_m"] > 2.0
    capped = metric_depth_measures(far, truth, AlignmentChoice("none"), (1e-3, 5.0))
    assert capped["rmse_m"] == pytest.approx(np.sqrt(0.5), rel=1e-5)


def test_coc_metrics_by_hand() -> None:
    truth = np.array([[0.0, 13.1, np.nan, 4.0]], dtype=np.float32)
    pred = np.array([[1.0, 15.1, 9.0, 4.0]], dtype=np.float32)
    m = measure(Comparison(Truth(PHOTO, defocus_px=truth), Estimate(defocus_px=pred)))
    assert m["coc_pixels"] == 3 and m["coc_mae_px"] == pytest.approx(1.0) and m["coc_mse_px2"] == pytest.approx(5 / 3)
    assert m["coc_bias_px"] == pytest.approx(1.0)
    # 15.1 px is clipped to 13.1 px
    assert m["sigma_mae"] == pytest.approx(1 / 13.1 / 3)


def test_a_score_without_a_threshold_has_an_average_precision_alone() -> None:
    truth = Truth(PHOTO, defocus_indices=np.array([0, 1]), sampled_blurred=np.array([True, False]))
    score = np.array([[1.0, 0.0]])
    assert set(measure(Comparison(truth, Estimate(blur_score=score)))) == {"blur_ap"}
    assert measure(Comparison(truth, Estimate(blur_score=score, blur_threshold=0.5)))["blur_f"] == 1.0


def test_a_new_metric_is_measured_and_a_taken_key_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mddnet.metrics.registry.METRICS", dict(METRICS))
    largest = Metric(
        key="coc_largest_px",
        title="largest CoC",
        group="defocus size and focus",
        function=lambda found_px: float(np.max(found_px)),
        inputs=("estimate.defocus_px",),
    )
    register(largest)
    assert measure(Comparison(Truth(PHOTO), Estimate(defocus_px=np.float32([[1, 7]])))) == {"coc_largest_px": 7.0}
    assert measure(Comparison(Truth(PHOTO), Estimate())) == {}
    with pytest.raises(ValueError, match="coc_largest_px"):
        register(largest)


def test_the_reference_of_a_metric_is_a_metric() -> None:
    for metric in METRICS.values():
        assert metric.reference_key is None or metric.reference_key in METRICS
        assert (metric.function is None) or metric.inputs, metric.key

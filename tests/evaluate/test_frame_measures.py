"""Measures of one photo."""

from __future__ import annotations

import numpy as np
import pytest

from mddnet.evaluate.frame_measures import coc_measures, detection_measures, metric_depth_measures
from mddnet.evaluate.scenes import SceneTruth


def made_truth(inv_depth: np.ndarray) -> SceneTruth:
    sharp = np.zeros((*inv_depth.shape, 3), dtype=np.uint8)
    return SceneTruth(sharp, inv_depth.astype(np.float32), np.isfinite(inv_depth), 1.0)


def test_the_alignment_is_what_was_asked_for() -> None:
    u = np.array([[0.5, 1.0, 2.0, 4.0], [np.nan, 1.0, 2.0, 4.0]])
    truth = made_truth(u)
    half_and_shifted = np.nan_to_num((u - 1.0) / 2).astype(np.float32)
    assert metric_depth_measures(half_and_shifted, truth)["abs_rel"] == pytest.approx(0.0, abs=1e-6)
    halved = np.nan_to_num(u / 2).astype(np.float32)
    assert metric_depth_measures(halved, truth, "scale")["abs_rel"] == pytest.approx(0.0, abs=1e-6)
    # half as far again, everywhere
    unaligned = metric_depth_measures(np.nan_to_num(u / 1.5).astype(np.float32), truth, "none")
    assert unaligned["abs_rel"] == pytest.approx(0.5, abs=1e-5)
    assert unaligned["rmse_log"] == pytest.approx(np.log(1.5), abs=1e-5)
    assert unaligned["delta1"] == 0.0 and unaligned["delta2"] == 1.0
    assert unaligned["silog"] == pytest.approx(0.0, abs=1e-3)
    assert metric_depth_measures(halved, made_truth(u * np.nan)) == {}


def test_coc_measures_by_hand() -> None:
    truth = np.array([[0.0, 13.1, np.nan, 4.0]], dtype=np.float32)
    pred = np.array([[1.0, 15.1, 9.0, 4.0]], dtype=np.float32)
    m = coc_measures(pred, truth)
    assert m["coc_pixels"] == 3 and m["coc_mae_px"] == pytest.approx(1.0) and m["coc_mse_px2"] == pytest.approx(5 / 3)
    assert m["coc_bias_px"] == pytest.approx(1.0)
    # 15.1 px is clipped to 13.1 px
    assert m["sigma_mae"] == pytest.approx(1 / 13.1 / 3)


def test_a_score_without_a_threshold_has_an_average_precision_alone() -> None:
    blurred = np.array([True, False])
    assert set(detection_measures(None, np.array([1.0, 0.0]), blurred)) == {"blur_ap"}
    assert detection_measures(blurred, np.array([1.0, 0.0]), blurred)["blur_f"] == 1.0

"""Sparsification of a photo's errors by hand, and means over scenes and locations."""

from __future__ import annotations

import numpy as np
import pytest

from mddnet.evaluate.result import Curves, PhotoRow, mean_curves
from mddnet.evaluate.samples import sample_known_pixels
from mddnet.metrics import Comparison, Estimate, OrdinalPairs, Truth, measure, sparsification
from mddnet.types import Float32Array

PHOTO = np.zeros((10, 10, 3), dtype=np.uint8)


def spread(inv_depth: Float32Array) -> float:
    return float(np.nanmax(inv_depth) - np.nanmin(inv_depth))


def test_curves_of_one_photo_by_hand() -> None:
    u = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    u[0] = np.nan
    drawn = sample_known_pixels(u, seed=0)
    assert len(drawn) == 90 and drawn.min() == 10
    true_px = np.full((10, 10), 4.0, dtype=np.float32)
    pred_px = true_px.copy()
    pred_px[5:] += 2.0  # wrong in the lower half, 50 of the 90 known pixels
    confidence = np.where(np.arange(10)[:, None] < 5, 0.9, 0.1).repeat(10, axis=1).astype(np.float32)
    # pixels 15 and 55 are put in the wrong order, 25 and 35 in the right one
    pairs = OrdinalPairs(np.array([55, 35]), np.array([15, 25]), 1.0)
    pred_u = (2 * u + 3).astype(np.float32)
    pred_u[0] = 0
    pred_u[5, 5] = 0.0
    truth = Truth(PHOTO, u, "relative", spread(u), defocus_px=true_px, depth_pairs=pairs, depth_indices=drawn)
    compared = Comparison(truth, Estimate(pred_u, pred_px, confidence=confidence))
    coc, depth, order = compared.coc_curve, compared.inv_depth_curve, compared.order_curve
    assert coc is not None and depth is not None and order is not None
    assert coc.error[0] == pytest.approx(100 / 90) and coc.error[60] == 0.0
    assert coc.ause == pytest.approx(0.0)
    assert order.error[0] == 0.5 and order.error[50] == 0.0
    # scale and shift are undone; the one wild pixel is not followed by the robust fit
    assert depth.error[0] < 0.05 and depth.error[60] < 1e-3
    measures = measure(compared)
    assert {f"ause_{e}{c}" for e in ("coc", "inv_depth", "order") for c in ("", "_constant")} <= set(measures)


def test_metrics_that_do_not_apply_are_absent() -> None:
    u = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    maps = np.ones((4, 5), dtype=np.float32)
    nothing = OrdinalPairs(np.empty(0, np.int64), np.empty(0, np.int64), 0.0)
    drawn = sample_known_pixels(u, seed=0)
    estimate = Estimate(u, maps, confidence=maps)
    in_order_only = Comparison(Truth(PHOTO, u, "ordinal", 1.0, depth_pairs=nothing, depth_indices=drawn), estimate)
    assert not any(key.startswith("ause") for key in measure(in_order_only))
    relative = Comparison(Truth(PHOTO, u, "relative", 1.0, depth_pairs=nothing, depth_indices=drawn), estimate)
    found = {key for key in measure(relative) if key.startswith("ause")}
    assert found == {"ause_inv_depth", "ause_inv_depth_constant"}


def test_the_draw_is_without_repetition_and_repeats_itself() -> None:
    u = np.ones((200, 200), dtype=np.float32)
    u[:50] = np.nan
    first, again = sample_known_pixels(u, 3, 1000), sample_known_pixels(u, 3, 1000)
    assert (first == again).all() and len(set(first)) == 1000 and first.min() >= 50 * 200


def test_means_go_over_photos_scenes_and_locations() -> None:
    def photo(scene: str, location: str, size: float) -> Curves:
        curve = sparsification(size * np.arange(1.0, 11.0), -np.arange(10.0))
        return PhotoRow(scene, location, "", {}), {"coc": curve}

    curves = mean_curves([photo("s", "p", 1.0), photo("s", "p", 3.0), photo("t", "p", 4.0), photo("u", "q", 9.0)])
    assert set(curves) == {"coc"} and set(curves["coc"]) == {"p", "q", "macro"}
    # location p: the mean of 2 and 4
    assert curves["coc"]["p"].error[0] == pytest.approx(3 * 5.5)
    assert curves["coc"]["macro"].error == pytest.approx([6 * (n + 1) / 2 for n in range(10, 0, -1)])
    assert curves["coc"]["macro"].falling_steps == 9

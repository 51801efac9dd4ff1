"""Measures of one photo against its truth, the same for the model and for whatever it is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mddnet import metrics
from mddnet.evaluate.alignment import AlignmentChoice, aligned_depth_m
from mddnet.evaluate.scenes import SceneTruth
from mddnet.metrics import OrdinalPairs
from mddnet.types import BoolArray, Float32Array

BLUR_THRESHOLD_PX = 3.0
"""A pixel is blurred where its CoC exceeds this: blur below 2 px cannot be told from a lens in focus."""
STRICT_DELTAS = (1.05, 1.15)
"""Bases of delta besides 1.25."""


def depth_order_measures(
    inv_depth: Float32Array, turned_inv_depth: Float32Array, truth: SceneTruth, pairs: OrdinalPairs
) -> dict[str, float]:
    """Order of inverse depth, of the photo as it is and of the photo turned by 180 degrees.

    Args:
        inv_depth: (H, W), any scale.
        turned_inv_depth: (H, W), of the turned photo, turned back.
        truth: the scene.
        pairs: pixels whose depths differ clearly.
    """
    return {
        "depth_ordinal": pairs.accuracy(inv_depth),
        "depth_ordinal_turned": pairs.accuracy(turned_inv_depth),
        "depth_spearman": metrics.spearman(inv_depth, truth.inv_depth, truth.mask),
    }


def metric_depth_measures(
    inv_depth: Float32Array,
    true_inv_depth: Float32Array,
    alignment: AlignmentChoice | None = None,
    depth_range_m: tuple[float, float] | None = None,
) -> dict[str, float]:
    """Measures in metres at all known pixels, after alignment; nothing without a known one.

    Args:
        inv_depth: (H, W), predicted.
        true_inv_depth: (H, W), 1/m, NaN where it is not known or does not count.
        alignment: what is free, in which quantity, fitted how; None is robust scale-and-shift in inverse depth.
        depth_range_m: aligned predictions are clipped to it; None for no cap.
    """
    positive = np.isfinite(true_inv_depth) & (true_inv_depth > 0)
    if not positive.any():
        return {}
    u = np.where(positive, true_inv_depth, np.nan).astype(np.float64)
    depth_m, truth_m = aligned_depth_m(inv_depth, u, alignment or AlignmentChoice()), 1.0 / u
    if depth_range_m is not None:
        depth_m = np.clip(depth_m, *depth_range_m)
    boundary_f1 = metrics.boundary_f1(depth_m, truth_m)
    depth_m, truth_m = depth_m[positive], truth_m[positive]
    constant_m = np.full(truth_m.shape, 1.0 / float(np.nanmedian(u)))
    measures = {
        "abs_rel": metrics.abs_rel(depth_m, truth_m),
        "abs_rel_constant": metrics.abs_rel(constant_m, truth_m),
        "sq_rel": metrics.sq_rel(depth_m, truth_m),
        "rmse_m": metrics.rmse(depth_m, truth_m),
        "rmse_log": metrics.rmse_log(depth_m, truth_m),
        "silog": metrics.silog(depth_m, truth_m),
        "boundary_f1": boundary_f1,
    }
    for power in (1, 2, 3):
        measures[f"delta{power}"] = metrics.delta(depth_m, truth_m, power=power)
    for base in STRICT_DELTAS:
        measures[f"delta_{base}"] = metrics.delta(depth_m, truth_m, base=base)
    return measures


def coc_measures(defocus_px: Float32Array, true_defocus_px: Float32Array) -> dict[str, float]:
    """Errors of the CoC's size at all known pixels, and how many these are.

    Args:
        defocus_px: (H, W), predicted.
        true_defocus_px: (H, W), NaN where unknown.
    """
    known = np.isfinite(true_defocus_px)
    return {
        "coc_pixels": float(known.sum()),
        "coc_mae_px": metrics.coc_mae_px(defocus_px, true_defocus_px),
        "coc_mse_px2": metrics.coc_mse_px2(defocus_px, true_defocus_px),
        "coc_constant_mae_px": metrics.constant_mae_px(true_defocus_px),
        "coc_bias_px": float(np.mean(defocus_px[known] - true_defocus_px[known])) if known.any() else float("nan"),
        "sigma_mae": metrics.normalised_sigma_mae(defocus_px, true_defocus_px),
        "sigma_mse": metrics.normalised_sigma_mse(defocus_px, true_defocus_px),
    }


def detection_measures(detected: BoolArray | None, score: NDArray[np.floating], blurred: BoolArray) -> dict[str, float]:
    """Blur detection on drawn pixels: F, IoU and error rate of a detector, average precision of its score.

    Args:
        detected: (N,) where blur was found; None if the score has no threshold, and only its order is asked.
        score: (N,), larger is more blurred.
        blurred: (N,) where blur is.
    """
    measures = {"blur_ap": metrics.average_precision(score, blurred)}
    if detected is not None:
        measures |= {
            "blur_f": metrics.f_beta(detected, blurred),
            "blur_iou": metrics.iou(detected, blurred),
            "blur_mae": metrics.detection_mae(detected, blurred),
        }
    return measures

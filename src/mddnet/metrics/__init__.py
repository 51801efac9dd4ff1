"""Metrics of inverse depth, defocus, blur detection and confidence: NumPy alone, no files, no global state.

Masks and truths: every metric takes pixels where ``mask`` holds and the truth is finite (unknown is NaN). A metric
without one such pixel is NaN, never 0. All lengths named ``_px`` are in pixels of the image at hand.
"""

import pkgutil
from importlib import import_module

from mddnet.metrics.alignment import Alignment, AlignmentChoice, aligned_depth_m, fit_alignment
from mddnet.metrics.blur_detection import average_precision, detection_mae, f_beta, iou
from mddnet.metrics.boundary import boundary_f1
from mddnet.metrics.coc import coc_mae_px, coc_mse_px2, constant_mae_px, normalised_sigma_mae, normalised_sigma_mse
from mddnet.metrics.comparison import Comparison, Estimate, Truth, near_depth_edges
from mddnet.metrics.depth import abs_rel, delta, rmse, rmse_log, silog, sq_rel
from mddnet.metrics.order import (
    OrdinalPairs,
    defocus_ordinal_accuracy,
    defocus_ordinal_pairs,
    depth_ordinal_accuracy,
    depth_ordinal_pairs,
    inv_depth_range,
    ordinal_pairs,
    spearman,
)
from mddnet.metrics.reference import SHARPNESS_SCALES, negative_sharpness, vertical_position
from mddnet.metrics.registry import METRICS, Metric, measure, register
from mddnet.metrics.sign import sign_accuracy
from mddnet.metrics.sparsification import Sparsification, falling_steps, sparsification
from mddnet.metrics.texture import (
    TEXTURE_SHARE,
    TEXTURE_SIGMA,
    gaussian_smoothed,
    luminance,
    smoothed_laplacian,
    texture_mask,
)

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "METRICS", "SHARPNESS_SCALES", "TEXTURE_SHARE", "TEXTURE_SIGMA", "Alignment", "AlignmentChoice", "Comparison",
    "Estimate", "Metric", "OrdinalPairs", "Sparsification", "Truth", "abs_rel", "aligned_depth_m",
    "average_precision", "boundary_f1", "coc_mae_px", "coc_mse_px2", "constant_mae_px", "defocus_ordinal_accuracy",
    "defocus_ordinal_pairs", "delta", "depth_ordinal_accuracy", "depth_ordinal_pairs", "detection_mae", "f_beta",
    "falling_steps", "fit_alignment", "gaussian_smoothed", "inv_depth_range", "iou", "luminance", "measure",
    "near_depth_edges", "negative_sharpness", "normalised_sigma_mae", "normalised_sigma_mse",
    "ordinal_pairs", "register", "rmse", "rmse_log", "sign_accuracy", "silog", "smoothed_laplacian", "sparsification",
    "spearman", "sq_rel", "texture_mask", "vertical_position",
]  # fmt: skip

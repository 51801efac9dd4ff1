"""Size of the circle of confusion, and the plane of focus."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics.alignment import fit_alignment
from mddnet.metrics.known import Values, known_values, mean_of
from mddnet.metrics.registry import Measures, Metric, register
from mddnet.optics import dmenet_encoding_from_diameter
from mddnet.types import BoolArray, Float32Array, LensLawFit

if TYPE_CHECKING:
    from mddnet.metrics.comparison import Truth


def coc_mae_px(pred_px: Values, defocus_px: Values, mask: BoolArray | None = None) -> float:
    """Mean absolute error of the CoC diameter, in pixels."""
    p, t = known_values(pred_px, defocus_px, mask)
    return mean_of(np.abs(p - t))


def coc_mse_px2(pred_px: Values, defocus_px: Values, mask: BoolArray | None = None) -> float:
    """Mean squared error of the CoC diameter, in square pixels."""
    p, t = known_values(pred_px, defocus_px, mask)
    return mean_of((p - t) ** 2)


def coc_bias_px(pred_px: Values, defocus_px: Values, mask: BoolArray | None = None) -> float:
    """Mean of predicted minus true CoC diameter, in pixels."""
    p, t = known_values(pred_px, defocus_px, mask)
    return mean_of(p - t)


def normalised_sigma_mae(pred_px: Values, defocus_px: Values, mask: BoolArray | None = None) -> float:
    """Mean absolute error of sigma / 3.275, prediction and truth clipped at 1, with sigma = CoC / 4.

    The protocol of DMENet (Lee et al., "Deep Defocus Map Estimation using Domain Adaptation", CVPR 2019) on SYNDOF and
    RTF. Everything beyond a CoC of 13.1 px counts as 13.1 px, so the number depends on the size of the images.
    """
    return mean_of(np.abs(_sigma_errors(pred_px, defocus_px, mask)))


def normalised_sigma_mse(pred_px: Values, defocus_px: Values, mask: BoolArray | None = None) -> float:
    """Mean squared error of sigma / 3.275, clipped at 1: see :func:`normalised_sigma_mae`."""
    return mean_of(_sigma_errors(pred_px, defocus_px, mask) ** 2)


def _sigma_errors(pred_px: Values, defocus_px: Values, mask: BoolArray | None) -> NDArray[np.floating]:
    p, t = known_values(pred_px, defocus_px, mask)
    return np.asarray(dmenet_encoding_from_diameter(p) - dmenet_encoding_from_diameter(t))


def constant_mae_px(defocus_px: Values, mask: BoolArray | None = None) -> float:
    """Mean absolute error of the best constant for this image, its median."""
    _, t = known_values(defocus_px, defocus_px, mask)
    return mean_of(np.abs(t - np.median(t))) if len(t) else float("nan")


def _focus_error(focus: LensLawFit, inv_depth: Float32Array, truth: Truth, *_: object) -> float:
    """Error of the plane of focus over the scene's range, at most 1, after robust alignment; NaN if none was found."""
    if not focus.found or not truth.range > 0 or (truth.mask is not None and not truth.mask.any()):
        return float("nan")
    assert truth.inv_depth is not None and truth.u_focus is not None
    alignment = fit_alignment(inv_depth, truth.inv_depth, truth.mask)
    return min(float(abs(alignment.scale * focus.u_focus + alignment.shift - truth.u_focus) / truth.range), 1.0)


def _median_focus_error(rows: Sequence[Measures]) -> float | None:
    """Median over photos; the error is 1, the whole range of the scene, where no plane of focus was found."""
    errors = [row.get("u_focus_error", np.nan) for row in rows if "focus_found" in row]
    return float(np.median([error if np.isfinite(error) else 1.0 for error in errors])) if errors else None


_size = partial(Metric, group="defocus size and focus", unit="px", digits=2)
_error = partial(Metric, group="defocus, squared and normalised errors", better="lower", pooled=True)
_focus = partial(
    Metric,
    group="defocus size and focus",
    inputs=("estimate.focus", "estimate.inv_depth", "truth", "truth.u_focus", "truth.signed_defocus_px"),
)
_BOTH = ("estimate.defocus_px", "truth.defocus_px")
# fmt: off
register(
    _size("coc_pixels", "", function=lambda _, true_px: float(np.isfinite(true_px).sum()), inputs=_BOTH, better=""),
    _size(
        "coc_mae_px", "CoC MAE", function=coc_mae_px, inputs=_BOTH, reference_key="coc_constant_mae_px",
        better="lower", note="CoC errors: over all known pixels of sufficient confidence.", pooled=True, compared=True,
    ),
    _size(
        "coc_constant_mae_px", "best constant", function=constant_mae_px, inputs=("truth.defocus_px",),
        reference=True, better="lower", note="Best constant: the median of each photo.", pooled=True,
    ),
    _size(
        "coc_label_noise_px", "label noise", function=lambda noise_px, _: float(noise_px),
        inputs=("truth.label_noise_px", "truth.defocus_px"), reference=True, better="lower",
        note="Label noise: lower bound of the error of the truth, from depths by every other frame of the stack.",
    ),
    _size("coc_bias_px", "CoC bias", function=coc_bias_px, inputs=_BOTH, better="", pooled=True),
    _focus(
        "u_focus_error", "focus error", function=_focus_error, better="lower",
        note="Focus error: of the plane of focus, as a share of the scene's range, at most 1, after robust "
        "scale-and-shift alignment: mean over the photos in which it was found.",
    ),
    Metric(
        "u_focus_error_median", "its median", "defocus size and focus", over_photos=_median_focus_error,
        better="lower", note="Its median: over all photos; 1 where it was not found.",
    ),
    _focus("focus_found", "focus found", function=lambda focus, *_: float(focus.found), digits=2),
    _error(
        "coc_mse_px2", "CoC MSE", function=coc_mse_px2, inputs=_BOTH, unit="px^2", digits=1, note="The same pixels.",
    ),
    _error(
        "sigma_mae", "sigma MAE", function=normalised_sigma_mae, inputs=_BOTH, compared=True,
        note="Sigma: a quarter of the CoC, clipped at 3.275 px and divided by it, as on SYNDOF and RTF.",
    ),
    _error("sigma_mse", "sigma MSE", function=normalised_sigma_mse, inputs=_BOTH),
    Metric(
        "coc_median_px", "CoC", "uniform blur", lambda found_px, where: float(np.median(found_px[where])),
        ("estimate.defocus_px", "truth.textured"), unit="px", better="",
    ),
)
# fmt: on

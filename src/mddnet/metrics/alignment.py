"""Alignment of a prediction with the truth: none, a scale, or a scale and a shift, in inverse depth or in depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics.known import Values, known_values
from mddnet.types import BoolArray

AlignmentKind = Literal["none", "scale", "scale_and_shift"]
AlignmentMethod = Literal["robust", "least_squares"]

HUBER_TUNING = 1.345  # in standard deviations (Huber 1964; 95 % efficient on Gaussian noise)
FITTED_PIXELS = 50_000  # of more pixels, evenly spaced ones are fitted: two numbers do not need them all
NEAREST_TO_INFINITY = 1e-3  # least inverse depth before alignment in depth, as a share of the largest one
_ITERATIONS = 30


@dataclass(frozen=True, slots=True)
class AlignmentChoice:
    """How depth is aligned before metric errors are computed; printed with every such number.

    Networks of relative inverse depth are aligned in inverse depth, those of metric or affine depth in depth.
    """

    kind: AlignmentKind = "scale_and_shift"
    domain: Literal["inverse depth", "depth"] = "inverse depth"
    method: AlignmentMethod = "robust"

    def description(self) -> str:
        return "none" if self.kind == "none" else f"{self.method} {self.kind} in {self.domain}".replace("_", "-")


@dataclass(frozen=True, slots=True)
class Alignment:
    """``aligned = scale * inv_depth + shift``, in the unit of the truth; scale 0 makes a prediction constant."""

    scale: float
    shift: float

    def apply(self, inv_depth: Values) -> NDArray[np.float64]:
        return self.scale * np.asarray(inv_depth, dtype=np.float64) + self.shift


def fit_alignment(
    pred: Values,
    truth: Values,
    mask: BoolArray | None = None,
    *,
    kind: AlignmentKind = "scale_and_shift",
    method: AlignmentMethod = "robust",
) -> Alignment:
    """Scale and shift that bring a predicted inverse depth (H, W) closest to the truth, NaN where unknown.

    ``least_squares`` minimises sum (s p + t - u)^2 (Eigen et al. 2014 for the scale; Ranftl et al., "Towards Robust
    Monocular Depth Estimation" (IEEE PAMI 2022), eq. 3-4, for both). ``robust`` minimises Huber's function of the same
    residuals by reweighting, with the scale of the residuals from their median absolute deviation: a region of wrong
    truth has little influence. It never returns a negative scale, which would accept inverted depth; such a prediction
    counts as a constant, and a constant gets scale 0 and the mean of the truth. ``least_squares`` is as published, its
    scale may have any sign. ValueError for an unknown kind or method, other shapes, or without a known pixel.
    """
    if kind not in get_args(AlignmentKind) or method not in get_args(AlignmentMethod):
        raise ValueError(
            f"alignment {kind!r} by {method!r}; expected {get_args(AlignmentKind)} by {get_args(AlignmentMethod)}"
        )
    p, u = known_values(pred, truth, mask)
    if kind == "none":
        return Alignment(1.0, 0.0)
    thinning = max(1, -(-len(p) // FITTED_PIXELS))
    p, u = p[::thinning], u[::thinning]
    if not len(p):
        raise ValueError("no pixel with a known truth to align with")
    scale, shift = _fit(p, u, kind, method)
    if method == "robust" and scale < 0:
        scale, shift = _fit(np.zeros_like(p), u, kind, method)
    return Alignment(scale, shift)


def _fit(
    p: NDArray[np.float64], u: NDArray[np.float64], kind: AlignmentKind, method: AlignmentMethod
) -> tuple[float, float]:
    """Scale, of either sign, and shift of (N,) known pixels."""
    scale, shift = _weighted_fit(p, u, np.ones_like(p), kind)
    for _ in range(_ITERATIONS if method == "robust" else 0):
        residual = np.abs(scale * p + shift - u)
        spread = 1.4826 * float(np.median(residual))
        if spread <= 1e-12 * max(1.0, float(np.abs(u).max())):
            break
        weights = np.minimum(1.0, HUBER_TUNING * spread / np.maximum(residual, 1e-300))
        previous = scale, shift
        scale, shift = _weighted_fit(p, u, weights, kind)
        if np.allclose((scale, shift), previous, rtol=1e-7, atol=1e-12):
            break
    return scale, shift


def _weighted_fit(
    p: NDArray[np.float64], u: NDArray[np.float64], weights: NDArray[np.float64], kind: AlignmentKind
) -> tuple[float, float]:
    if kind == "scale":
        power = float(weights @ (p * p))
        return (float(weights @ (p * u)) / power if power > 0 else 0.0), 0.0
    total = float(weights.sum())
    p_mean, u_mean = float(weights @ p) / total, float(weights @ u) / total
    variance = float(weights @ (p - p_mean) ** 2)
    # a spread below rounding is a constant
    if variance <= 1e-14 * max(float(weights @ (p * p)), 1e-300):
        return 0.0, u_mean
    scale = float(weights @ ((p - p_mean) * (u - u_mean))) / variance
    return scale, u_mean - scale * p_mean


def aligned_depth_m(inv_depth: Values, true_inv_depth: Values, choice: AlignmentChoice) -> NDArray[np.float64]:
    """Predicted depth in metres, (H, W), after alignment with the known, positive pixels of the truth (1/m).

    A shift can move a pixel beyond infinity. An aligned inverse depth is therefore at least half of the scene's 2 %
    quantile; an aligned depth is at least half of the scene's 2 % quantile of depth. Raises as :func:`fit_alignment`.
    """
    u = np.asarray(true_inv_depth, dtype=np.float64)
    if choice.domain == "inverse depth" or choice.kind == "none":
        aligned = fit_alignment(inv_depth, u, kind=choice.kind, method=choice.method).apply(inv_depth)
        return np.asarray(1.0 / np.maximum(aligned, 0.5 * float(np.nanpercentile(u, 2))))
    least = max(NEAREST_TO_INFINITY * float(np.max(inv_depth)), 1e-12)
    depth = 1.0 / np.maximum(np.asarray(inv_depth, dtype=np.float64), least)
    aligned = fit_alignment(depth, 1.0 / u, kind=choice.kind, method=choice.method).apply(depth)
    return np.maximum(aligned, 0.5 / float(np.nanpercentile(u, 98)))

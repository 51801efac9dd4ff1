"""Fit of the lens law to a predicted pair of maps: the plane of focus and kappa.

One photo shows the size of the defocus but hardly its sign, so the law is ``defocus_px = |kappa (u_focus - u)|``, a V
over inverse depth. For each candidate u_focus, kappa follows from robust least squares. The candidate with the lowest
cost is chosen: the mean absolute difference, and the agreement with the network's sign.

With a known lens and focus distance, no CoC behind the plane of focus is larger than that of infinity, kappa u_focus.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mddnet.types import Float32Array, LensLawFit

SHARP_PX = 1.0
"""Below this 98th percentile of the CoC, there is too little blur to fit the law."""
FLAT_INV_DEPTH = 1e-4
"""A range of relative inverse depth (2nd to 98th percentile) below this is one distance: it is the level of rounding
errors in a network's output in [0, 1]."""
MIN_EXPLAINED = 0.2
"""Smallest share of the defocus map's mean absolute deviation that the law must explain; unrelated smooth maps reach
about half of it by chance."""
SAMPLES = 4096
COARSE_SAMPLES = 1024
CANDIDATES, CONTENDERS = 97, 8
VALUES_AT_ONCE = 32768
"""Candidates times samples that are computed at a time, so that they fit into the processor's cache."""
REACH = 1.0
"""u_focus is searched up to this many depth ranges beyond the nearest and the farthest point."""
SIGN_WEIGHT = 0.5
"""Cost of a wrong sign per pixel of CoC; the cost of a wrong size is 1."""
ROBUST_STEPS = 4
COC_ERROR_PX, COC_ERROR_SHARE = 0.8, 0.12
"""The standard error of a predicted CoC c, in pixels of the network's image, is 0.8 px + 0.12 c. On focal stacks, two
thirds of the errors of CoCs up to 24 px are smaller (on training locations 0.9 px for c of 3 and 1.4 px for 8 to 12, on
others 1.2 px and 1.7 px)."""


@dataclass(frozen=True, slots=True)
class _Samples:
    """(N,) arrays of the fitted pixels."""

    u: NDArray[np.float64]
    c: NDArray[np.float64]
    sign: NDArray[np.float64]  # expected sign in [-1, 1], positive behind the plane of focus
    weight: NDArray[np.float64]  # sums to 1
    cap_px: float
    infinity_px: float
    huber_px: float  # the cost of errors is linear above this, quadratic below
    farthest_u: float


def fit_lens_law(
    inv_depth: Float32Array,
    defocus_px: Float32Array,
    sign_logit: Float32Array | None = None,
    weight: Float32Array | None = None,
    cap_px: float = math.inf,
    infinity_px: float = math.inf,
) -> LensLawFit:
    """Fit ``defocus_px = min(|kappa (u_focus - inv_depth)|, cap)`` robustly to a pair of maps.

    Args:
        inv_depth: (H, W), relative inverse depth, larger is nearer.
        defocus_px: (H, W), CoC diameter, pixels.
        sign_logit: (H, W), log-odds of being behind the plane of focus; None if unknown.
        weight: (H, W), weight of each pixel, >= 0; None is uniform.
        cap_px: the CoC to which larger ones are clipped in the map.
        infinity_px: CoC of infinity, the largest one behind the plane of focus.

    Returns:
        The fit in the units of the given maps, or one with ``found=False`` and the reason.
    """
    s = _sampled(inv_depth, defocus_px, sign_logit, weight, cap_px, infinity_px)
    constant_residual = float(s.weight @ np.abs(s.c - _weighted_median(s.c, s.weight)))
    if np.percentile(s.c, 98) < SHARP_PX:
        return _not_found(constant_residual, f"everything is sharp: hardly a CoC reaches {SHARP_PX:g} px")
    low, high = np.percentile(s.u, [2, 98])
    reach = REACH * (high - low)
    if high - low < FLAT_INV_DEPTH:
        return _not_found(constant_residual, "the depth map is flat: the whole scene has one distance")
    c_low, c_middle, c_high = np.percentile(s.c, [5, 50, 95])
    if c_high - c_low < max(0.5, 0.1 * c_middle):
        return _not_found(constant_residual, f"the blur is the same everywhere: about {c_middle:.1f} px")

    grid = np.linspace(low - reach, high + reach, CANDIDATES)
    # The best candidates by a few of the samples are compared by all samples.
    _, _, cost = _candidates(_thinned(s, COARSE_SAMPLES), grid)
    best = _best(s, grid[np.argsort(cost, kind="stable")[:CONTENDERS]])
    step = grid[1] - grid[0]
    for _ in range(3):
        best = _best(s, np.linspace(best.u_focus - step, best.u_focus + step, 9))
        step /= 4
    explained = 1.0 - best.residual_px / constant_residual
    if explained < MIN_EXPLAINED:
        return _not_found(
            best.residual_px,
            f"the defocus map does not follow the depth map by the lens law: it explains {max(explained, 0):.0%} of "
            f"the variation, at least {MIN_EXPLAINED:.0%} expected",
        )
    if not grid[1] < best.u_focus < grid[-2]:
        return _not_found(best.residual_px, "the plane of focus is far outside the depths of the scene")
    return best


def _not_found(residual: float, reason: str) -> LensLawFit:
    return LensLawFit(False, math.nan, math.nan, residual, reason)


def _sampled(
    inv_depth: Float32Array,
    defocus_px: Float32Array,
    sign_logit: Float32Array | None,
    weight: Float32Array | None,
    cap_px: float,
    infinity_px: float,
) -> _Samples:
    """A random sample of pixels with a fixed seed."""
    if inv_depth.shape != defocus_px.shape or inv_depth.ndim != 2:
        raise ValueError(f"inv_depth {inv_depth.shape} and defocus_px {defocus_px.shape}; expected one shape (H, W)")
    count = inv_depth.size
    at = np.random.default_rng(0).choice(count, SAMPLES, replace=False) if count > SAMPLES else np.arange(count)

    def take(array: Float32Array) -> NDArray[np.float64]:
        return array.reshape(-1)[at].astype(np.float64)

    weights = np.ones(len(at)) if weight is None else take(weight)
    if not weights.sum() > 0:
        weights = np.ones(len(at))
    u, c = take(inv_depth), take(defocus_px)
    return _Samples(
        u=u,
        c=c,
        sign=np.zeros(len(at)) if sign_logit is None else np.tanh(take(sign_logit) / 2),
        weight=weights / weights.sum(),
        cap_px=cap_px,
        infinity_px=infinity_px,
        huber_px=0.5 + 0.05 * float(np.percentile(c, 98)),
        farthest_u=float(np.percentile(u, 2)),
    )


def _weighted_median(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weight[order]), 0.5).clip(0, len(order) - 1)])


def _thinned(s: _Samples, count: int) -> _Samples:
    """About ``count`` of the samples, evenly spaced."""
    every = slice(None, None, max(1, len(s.u) // count))
    weight = s.weight[every]
    if every.step == 1 or not weight.sum() > 0:
        return s
    return replace(s, u=s.u[every], c=s.c[every], sign=s.sign[every], weight=weight / weight.sum())


def _best(s: _Samples, u_focus: NDArray[np.float64]) -> LensLawFit:
    """The candidate with the lowest cost."""
    kappa, residual, cost = _candidates(s, u_focus)
    i = int(np.argmin(cost))
    return LensLawFit(True, float(u_focus[i]), float(kappa[i]), float(residual[i]))


def _candidates(
    s: _Samples, u_focus: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(K,) kappa, residual and cost of (K,) candidates for (N,) samples."""
    # The farthest point is at infinity or nearer.
    most = (s.infinity_px + COC_ERROR_PX) / np.maximum(u_focus - s.farthest_u, 1e-30)
    at_once = max(1, VALUES_AT_ONCE // len(s.u))
    parts = [
        _few_candidates(s, u_focus[i : i + at_once], most[i : i + at_once]) for i in range(0, len(u_focus), at_once)
    ]
    kappa, residual, cost = (np.concatenate(values) for values in zip(*parts, strict=True))
    return kappa, residual, cost


def _few_candidates(
    s: _Samples, u_focus: NDArray[np.float64], most: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """:func:`_candidates` for a few of them; kappa is at most ``most``."""
    offset = u_focus[:, None] - s.u[None, :]
    distance = np.abs(offset)
    work = np.empty_like(distance)
    clipped = s.c >= 0.95 * s.cap_px
    any_clipped = bool(clipped.any())
    weight = np.broadcast_to(s.weight, distance.shape)
    kappa = np.zeros(len(u_focus))
    for _ in range(ROBUST_STEPS):
        np.multiply(weight, distance, out=work)
        over = work @ s.c
        kappa = np.minimum(over / np.maximum(np.einsum("kn,kn->k", work, distance), 1e-30), most)
        np.multiply(distance, kappa[:, None], out=work)
        error = np.subtract(s.c, work, out=work)
        # A clipped CoC is a lower limit.
        beyond = clipped & (error < 0) if any_clipped else None
        np.abs(error, out=error)
        weight = s.weight * s.huber_px / np.maximum(error, s.huber_px, out=error)
        if beyond is not None:
            weight[beyond] = 0.0
    size = np.minimum(kappa[:, None] * distance, s.cap_px)
    residual = np.abs(size - s.c) @ s.weight
    agreement = np.copysign(np.minimum(size, s.c), offset) @ (s.weight * s.sign)
    return kappa, residual, residual - SIGN_WEIGHT * agreement

"""The unit of inverse depth: metres where the lens gives them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mddnet.optics import focus_z_from_sensor_plane_m, lens_kappa_px
from mddnet.types import Float32Array, InvDepthUnit, Lens, LensLawFit

CLEAR_LOG_ODDS = 1.0
"""Metres need a plane of focus with at least these log-odds against the best one that is clearly different."""


@dataclass(frozen=True, slots=True)
class MetricErrors:
    """What the calibration of a model says of metres.

    Attributes:
        factor: of the standard error of inverse depth where a lens gives its unit.
        most: largest median relative error, as expected by the fusion, with which metres are given.
    """

    factor: float = 1.0
    most: float = 0.6


NOT_CALIBRATED = MetricErrors()


@dataclass(frozen=True, slots=True)
class InvDepthScale:
    """``u = gain * u_relative + offset`` in ``unit``, and the lens law in that unit."""

    unit: InvDepthUnit  # unit of the result
    gain: float  # > 0; 0 without a law, where the blur alone gives depth
    offset: float  # in ``unit``
    focus: LensLawFit  # the fit, with u_focus and kappa in ``unit``
    notes: tuple[str, ...] = ()  # assumptions and missing facts


def relative_scale(fit: LensLawFit, reason: str) -> InvDepthScale:
    """Depth stays relative although the lens is known."""
    return InvDepthScale("relative", 1.0, 0.0, fit, (f"The lens is known, but depth stays relative: {reason}.",))


def doubt_about_metres(
    scale: InvDepthScale, log_odds: float, inv_depth: Float32Array, inv_depth_sigma: Float32Array, most: float
) -> str:
    """Why metres would not be safe; "" if they are, or are not given.

    Args:
        scale: from :func:`inv_depth_scale`.
        log_odds: of the plane of focus against the best one that is clearly different.
        inv_depth: in the unit of the scale.
        inv_depth_sigma: its standard error.
        most: largest median relative error of metres.
    """
    if scale.unit == "relative":
        return ""
    if log_odds < CLEAR_LOG_ODDS:
        return "the photo may be in front of the plane of focus as well as behind it"
    if scale.unit == "1/m":
        relative = float(np.median(inv_depth_sigma / np.maximum(inv_depth, np.float32(1e-6))))
        if relative > most:
            return f"the blur is too small or too uncertain; metres would be wrong by {min(relative, 9.99):.0%}"
    return ""


def inv_depth_scale(fit: LensLawFit, lens: Lens, blur_alone: bool = False) -> InvDepthScale:
    """Determine the unit from the lens facts, and the conversion of relative inverse depth to it.

    The signed CoC is the same in both units: kappa_fit (u_focus_fit - u_fit) = kappa (u_focus - u), and therefore
    u = u_focus + (kappa_fit / kappa) (u_fit - u_focus_fit) with kappa = A v / p of the lens.

    Args:
        fit: the lens law in pixels of the photo and in relative inverse depth.
        lens: f, N and pixel pitch give the scale; with the focus distance, depth is metric.
        blur_alone: whether blur alone gives depth if the fit found nothing; otherwise depth stays relative.
    """
    if not lens.has_blur_scale:
        return InvDepthScale("relative", 1.0, 0.0, fit)
    if not fit.found and not blur_alone:
        return relative_scale(fit, f"no plane of focus found ({fit.reason})")
    assert lens.focal_mm is not None
    unit: InvDepthUnit = "1/m from focus"
    focus_z_m, u_focus = math.inf, 0.0
    notes = ["Focus distance unknown: the scale of depth assumes a distance of many focal lengths."]
    if lens.focus_m is not None:
        try:
            focus_z_m = focus_z_from_sensor_plane_m(lens.focus_m, lens.focal_mm)
            unit, u_focus, notes = "1/m", 1.0 / focus_z_m, []
        except ValueError as error:
            notes = [f"Focus distance ignored: {error}."]
    kappa = lens_kappa_px(lens, focus_z_m)
    if not fit.found:
        notes.append(f"Depth is computed from the blur alone: {fit.reason}.")
        return InvDepthScale(unit, 0.0, 0.0, LensLawFit(True, u_focus, kappa, fit.residual_px), tuple(notes))
    gain = fit.kappa_px / kappa
    focus = replace(fit, u_focus=u_focus, kappa_px=kappa)
    return InvDepthScale(unit, gain, u_focus - gain * fit.u_focus, focus, tuple(notes))

"""From relative inverse depth to dioptres: the lens turns the measured blur into scale and shift of the depth map."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mddnet.optics import focus_z_from_sensor_plane_m, lens_kappa_px
from mddnet.types import Float32Array, InvDepthUnit, Lens, LensLawFit

MAX_DEPTH_M = 1e4
"""Predictions are finite: what lies at infinity is put here."""


@dataclass(frozen=True, slots=True)
class InvDepthScale:
    """``u = gain * u_relative + offset`` in ``unit``, and the lens law in that unit.

    Attributes:
        unit: unit of the result.
        gain: > 0.
        offset: in ``unit``.
        focus: the fit, with u_focus and kappa in ``unit``.
        notes: what was assumed or is missing.
    """

    unit: InvDepthUnit
    gain: float
    offset: float
    focus: LensLawFit
    notes: tuple[str, ...] = ()


def inv_depth_scale(fit: LensLawFit, lens: Lens) -> InvDepthScale:
    """Find the unit that the lens facts allow, and the way there.

    The same signed CoC, written in both units: kappa_fit (u_focus_fit - u_fit) = kappa (u_focus - u), hence
    u = u_focus + (kappa_fit / kappa) (u_fit - u_focus_fit) with kappa = A v / p of the lens.

    Args:
        fit: the lens law in pixels of the photo and in relative inverse depth.
        lens: f, N and pixel pitch give the scale; with the focus distance, metres follow.
    """
    if not lens.has_blur_scale:
        return InvDepthScale("relative", 1.0, 0.0, fit)
    if not fit.found:
        note = f"The lens is known, but depth stays relative: no plane of focus found ({fit.reason})."
        return InvDepthScale("relative", 1.0, 0.0, fit, (note,))
    assert lens.focal_mm is not None
    unit: InvDepthUnit = "1/m from focus"
    focus_z_m, u_focus = float("inf"), 0.0
    note = "Focus distance unknown: the scale of depth assumes that it is many focal lengths."
    if lens.focus_m is not None:
        try:
            focus_z_m = focus_z_from_sensor_plane_m(lens.focus_m, lens.focal_mm)
            unit, u_focus, note = "1/m", 1.0 / focus_z_m, ""
        except ValueError as error:
            note = f"Focus distance ignored: {error}."
    kappa = lens_kappa_px(lens, focus_z_m)
    gain = fit.kappa_px / kappa
    focus = replace(fit, u_focus=u_focus, kappa_px=kappa)
    return InvDepthScale(unit, gain, u_focus - gain * fit.u_focus, focus, (note,) if note else ())


def finite_depth_m(inv_depth: Float32Array) -> Float32Array:
    """Metres from metric inverse depth >= 0; beyond 10 km, infinity included, it is 10 km."""
    return (1.0 / np.maximum(inv_depth, np.float32(1.0 / MAX_DEPTH_M))).astype(np.float32)

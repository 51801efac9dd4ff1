"""From relative inverse depth to dioptres: the lens turns the measured blur into scale and shift of the depth map."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mddnet.optics import focus_z_from_sensor_plane_m, inv_depth_from_signed_defocus, lens_kappa_px
from mddnet.predict.lens_law_fit import COC_ERROR_PX, COC_ERROR_SHARE
from mddnet.types import Float32Array, InvDepthUnit, Lens, LensLawFit

MAX_DEPTH_M = 1e4
"""Predictions are finite: what lies at infinity is put here."""
HONEST_ODDS = 0.5
"""Log-odds of a side times this are what is right in as many cases: on the training places of focal stacks, those of 2
to 3 were right in 79 of 100 pixels, those of 4 to 6 in 91."""
SHARP_DIAGONALS = 1500.0
"""What photographers count as sharp: a CoC of at most the diagonal over 1500."""


@dataclass(frozen=True, slots=True)
class InvDepthScale:
    """``u = gain * u_relative + offset`` in ``unit``, and the lens law in that unit.

    Attributes:
        unit: unit of the result.
        gain: > 0; 0 where the relative map and the blur have no law in common, and the blur alone tells depth.
        offset: in ``unit``.
        focus: the fit, with u_focus and kappa in ``unit``.
        notes: what was assumed or is missing.
    """

    unit: InvDepthUnit
    gain: float
    offset: float
    focus: LensLawFit
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DepthOfField:
    """Between which distances a photo is sharp.

    Attributes:
        focus_m: distance of the plane of focus from the principal plane, metres; may be infinite.
        near_m: nearest distance that is sharp, metres from the principal plane.
        far_m: farthest distance that is sharp; may be infinite.
        sharp_px: the CoC diameter up to which it counts as sharp, pixels of the photo.
    """

    focus_m: float
    near_m: float
    far_m: float
    sharp_px: float

    def to_json(self) -> dict[str, float | str]:
        """The fields as JSON values; infinity, which JSON lacks, is the string ``"inf"``."""
        values = {"focus_m": self.focus_m, "near_m": self.near_m, "far_m": self.far_m, "sharp_px": self.sharp_px}
        return {name: "inf" if math.isinf(value) else value for name, value in values.items()}


def known_focus_z_m(lens: Lens) -> float | None:
    """Distance of the plane of focus from the principal plane, by the lens facts; None where they do not give one."""
    if lens.focus_m is None or lens.focal_mm is None:
        return None
    try:
        return focus_z_from_sensor_plane_m(lens.focus_m, lens.focal_mm)
    except ValueError:
        return None


def coc_of_infinity_px(lens: Lens) -> float:
    """CoC diameter of infinity in pixels of the photo, kappa u_focus: the largest one behind the plane of focus.

    Infinite where the lens facts do not give it.
    """
    focus_z_m = known_focus_z_m(lens)
    if focus_z_m is None or not lens.has_blur_scale:
        return math.inf
    return lens_kappa_px(lens, focus_z_m) / focus_z_m


def inv_depth_scale(fit: LensLawFit, lens: Lens, blurred: bool = False) -> InvDepthScale:
    """Find the unit that the lens facts allow, and the way there.

    The same signed CoC, written in both units: kappa_fit (u_focus_fit - u_fit) = kappa (u_focus - u), hence
    u = u_focus + (kappa_fit / kappa) (u_fit - u_focus_fit) with kappa = A v / p of the lens.

    Args:
        fit: the lens law in pixels of the photo and in relative inverse depth.
        lens: f, N and pixel pitch give the scale; with the focus distance, metres follow.
        blurred: whether there is blur that tells depth where the fit found nothing. If not, depth stays relative then.
    """
    if not lens.has_blur_scale:
        return InvDepthScale("relative", 1.0, 0.0, fit)
    if not fit.found and not blurred:
        note = f"The lens is known, but depth stays relative: no plane of focus found ({fit.reason})."
        return InvDepthScale("relative", 1.0, 0.0, fit, (note,))
    assert lens.focal_mm is not None
    unit: InvDepthUnit = "1/m from focus"
    focus_z_m, u_focus = float("inf"), 0.0
    notes = ["Focus distance unknown: the scale of depth assumes that it is many focal lengths."]
    if lens.focus_m is not None:
        try:
            focus_z_m = focus_z_from_sensor_plane_m(lens.focus_m, lens.focal_mm)
            unit, u_focus, notes = "1/m", 1.0 / focus_z_m, []
        except ValueError as error:
            notes = [f"Focus distance ignored: {error}."]
    kappa = lens_kappa_px(lens, focus_z_m)
    if not fit.found:
        notes.append(f"Depth is read off the size of the blur alone: {fit.reason}.")
        return InvDepthScale(unit, 0.0, 0.0, LensLawFit(True, u_focus, kappa, fit.residual_px), tuple(notes))
    gain = fit.kappa_px / kappa
    focus = replace(fit, u_focus=u_focus, kappa_px=kappa)
    return InvDepthScale(unit, gain, u_focus - gain * fit.u_focus, focus, tuple(notes))


def inv_depth_in_unit(
    scale: InvDepthScale, inv_depth: Float32Array, signed_px: Float32Array, log_odds: Float32Array, pixel_scale: float
) -> tuple[Float32Array, Float32Array | None]:
    """Inverse depth in the unit of a scale, and its error.

    With a lens there are two ways to it: the relative map through the fit, and the lens law read backwards from the
    signed CoC of the pixel. The mean of both is taken. What they differ by is part of the error; the other parts are
    the error of the CoC over kappa, and twice the blur over kappa times the chance of the wrong side.

    Args:
        scale: from :func:`inv_depth_scale`.
        inv_depth: (H, W), relative.
        signed_px: (H, W), signed CoC diameter in pixels of the photo.
        log_odds: (H, W), of lying behind the plane of focus.
        pixel_scale: pixels of the photo per pixel of the network's image.

    Returns:
        (H, W) inverse depth, and (H, W) its standard error in the same unit; None for relative depth.
    """
    if scale.unit == "relative":
        return inv_depth, None
    kappa = scale.focus.kappa_px
    by_blur = inv_depth_from_signed_defocus(signed_px, scale.focus.u_focus, kappa)
    by_map = inv_depth * scale.gain + scale.offset if scale.gain > 0 else by_blur
    size = np.abs(signed_px)
    of_size = (COC_ERROR_PX * pixel_scale + COC_ERROR_SHARE * size) / kappa
    of_side = 2.0 * size / kappa / np.sqrt(1.0 + np.exp(np.minimum(HONEST_ODDS * np.abs(log_odds), 30.0)))
    error = np.sqrt(of_size**2 + of_side**2 + ((by_map - by_blur) / 2.0) ** 2)
    return ((by_map + by_blur) / 2.0).astype(np.float32), error.astype(np.float32)


def finite_depth_m(inv_depth: Float32Array) -> Float32Array:
    """Metres from metric inverse depth >= 0; beyond 10 km, infinity included, it is 10 km."""
    return (1.0 / np.maximum(inv_depth, np.float32(1.0 / MAX_DEPTH_M))).astype(np.float32)


def depth_error_m(inv_depth: Float32Array, inv_depth_error: Float32Array) -> Float32Array:
    """Error of metres from that of metric inverse depth: half the way from 1/(u + error) to 1/(u - error).

    It is 10 km where infinity is within the error.
    """
    far = finite_depth_m(np.maximum(inv_depth - inv_depth_error, np.float32(0)))
    near = finite_depth_m(inv_depth + inv_depth_error)
    return np.where(far < MAX_DEPTH_M, (far - near) / 2, np.float32(MAX_DEPTH_M)).astype(np.float32)


def depth_of_field(focus: LensLawFit, height: int, width: int) -> DepthOfField:
    """The limits of what counts as sharp in a photo: u_focus -+ c / kappa, c the diagonal of the photo over 1500.

    Args:
        focus: a law that was found, in 1/m and pixels of the photo.
        height: of the photo, pixels.
        width: of the photo, pixels.
    """
    sharp_px = math.hypot(height, width) / SHARP_DIAGONALS
    near, far = (focus.u_focus + sign * sharp_px / focus.kappa_px for sign in (1.0, -1.0))

    def metres(u: float) -> float:
        return 1.0 / u if u > 0 else math.inf

    return DepthOfField(metres(focus.u_focus), metres(near), metres(far), sharp_px)

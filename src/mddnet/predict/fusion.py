"""One answer from depth and blur: :func:`fuse` takes the maps of the network to those of a prediction.

This is the only place where the two maps meet. The lens law is fitted to them; it gives the plane of focus, the sign
of the defocus, the confidence and, where the lens is known, the unit of depth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mddnet.optics import (
    focus_z_from_sensor_plane_m,
    inv_depth_from_signed_defocus,
    lens_kappa_px,
    signed_defocus_px,
)
from mddnet.predict.dioptres import MAX_DEPTH_M, coc_of_infinity_px
from mddnet.predict.lens_law_fit import COC_ERROR_PX, COC_ERROR_SHARE, SHARP_PX, fit_lens_law
from mddnet.predict.out_of_distribution import UNKNOWN_AGREEMENT, out_of_distribution_note
from mddnet.predict.prediction import SmallMaps
from mddnet.predict.texture import texture_evidence
from mddnet.types import Float32Array, InvDepthUnit, Lens, LensLawFit, UInt8Array

CLIPPED_SHARE = 0.5
"""A CoC above this share of the model's cap may be any larger one: the shipped model, whose cap is 80 px, answers 32 px
to a disc of 32 px, but 41 px to one of 48 px (docs/depth-from-blur.md)."""
BLURRED_SHARE = 0.02
"""From this share of blurred pixels on, the blur alone gives depth where no law was found."""
MAX_LOG_ODDS = 4.0
"""Neither the network nor the law is believed beyond odds of e^4 = 55 to 1 on a sign."""
SURE_LOG_ODDS = 16.0
"""What a CoC that cannot lie behind the plane of focus takes from the log-odds of doing so, at most."""
CALIBRATED_ODDS = 0.5
"""Log-odds of a sign times this are calibrated: on the training locations of focal stacks,
those of 2 to 3 were right in 79 of 100 pixels, those of 4 to 6 in 91."""


@dataclass(frozen=True, slots=True)
class NetworkMaps:
    """The output of the network, at its own resolution (h, w)."""

    pixels: UInt8Array  # (h, w, 3) uint8, the image that it saw
    inv_depth: Float32Array  # (h, w), relative inverse depth in [0, 1]
    defocus_px: Float32Array  # (h, w), CoC diameter in pixels of ``pixels``
    sign_logit: Float32Array  # (h, w), log-odds of lying behind the plane of focus
    scale: float  # pixels of the photo per pixel here; CoC diameters are multiplied by it


@dataclass(frozen=True, slots=True)
class Fusion:
    """The fields of a :class:`~mddnet.predict.prediction.Prediction` that come from the maps and the lens."""

    maps: SmallMaps
    unit: InvDepthUnit
    focus: LensLawFit
    notes: tuple[str, ...]


def fuse(network: NetworkMaps, lens: Lens, cap_px: float) -> Fusion:
    """Fuse depth and blur.

    Args:
        network: the output of the network.
        lens: what is known of the lens; ``pixel_um`` is the pitch of the photo.
        cap_px: largest CoC that the network can answer, pixels of its image.
    """
    behind_px = coc_of_infinity_px(lens) / network.scale
    texture = texture_evidence(network.pixels)
    sign_logit = bounded_sign_logit(network.sign_logit, network.defocus_px, behind_px)
    fit = fit_lens_law(network.inv_depth, network.defocus_px, sign_logit, texture, cap_px, behind_px)
    agreement = law_agreement(network.inv_depth, network.defocus_px, sign_logit, fit)
    unlike = out_of_distribution_note(network.pixels)
    if unlike:
        agreement = np.minimum(agreement, np.float32(UNKNOWN_AGREEMENT))
    log_odds = sign_log_odds(network.inv_depth, sign_logit, fit)
    sign = np.where(log_odds < 0, np.float32(-1), np.float32(1))

    fit_photo = replace(fit, kappa_px=fit.kappa_px * network.scale, residual_px=fit.residual_px * network.scale)
    blurred = bool((network.defocus_px >= SHARP_PX).mean() > BLURRED_SHARE)
    scale = inv_depth_scale(fit_photo, lens, blurred)
    notes = [*scale.notes, *([unlike] if unlike else [])]
    signed_px = sign * network.defocus_px * np.float32(network.scale)
    inv_depth, error = inv_depth_in_unit(scale, network.inv_depth, signed_px, log_odds, network.scale)
    if scale.unit == "1/m":
        beyond = float((inv_depth < 1.0 / MAX_DEPTH_M).mean())
        if beyond > 0:
            notes.append(f"{beyond:.1%} of the photo is at infinity or beyond; its depth is {MAX_DEPTH_M:g} m.")
        inv_depth = np.maximum(inv_depth, np.float32(0))
    clipped = float((network.defocus_px > CLIPPED_SHARE * cap_px).mean())
    if clipped > 0:
        notes.append(
            f"{clipped:.1%} of the photo is blurred by {CLIPPED_SHARE * cap_px * network.scale:.0f} px or more, the "
            "most that this model can tell: there the defocus is a lower limit."
        )
    defocus_px = network.defocus_px * np.float32(network.scale)
    maps = SmallMaps(inv_depth, defocus_px, sign, agreement * texture, error)
    return Fusion(maps, scale.unit, scale.focus, tuple(notes))


def bounded_sign_logit(sign_logit: Float32Array, defocus_px: Float32Array, behind_px: float) -> Float32Array:
    """The network's log-odds of lying behind the plane of focus, where that is possible at all.

    They are cut to +-4. Where a CoC is larger than that of infinity by more than its error, the log-odds of a normal
    error, -(excess / error)^2, are added.

    Args:
        sign_logit: (H, W), output of the network.
        defocus_px: (H, W), CoC diameter, pixels of the network's image.
        behind_px: CoC diameter of infinity, in the same pixels; infinite where it is not known.
    """
    logit = np.clip(sign_logit, -MAX_LOG_ODDS, MAX_LOG_ODDS)
    if math.isinf(behind_px):
        return logit
    excess = np.maximum(defocus_px - behind_px, 0.0) / (COC_ERROR_PX + COC_ERROR_SHARE * defocus_px)
    return (logit - np.minimum(excess * excess, SURE_LOG_ODDS)).astype(np.float32)


def sign_log_odds(inv_depth: Float32Array, sign_logit: Float32Array, fit: LensLawFit) -> Float32Array:
    """Log-odds of lying behind the plane of focus: those of the network and of the law, added.

    The law's are its signed CoC over the fit's residual: far from the plane of focus it is sure.

    Args:
        inv_depth: (H, W), the map that was fitted.
        sign_logit: (H, W), the network's log-odds, from :func:`bounded_sign_logit`.
        fit: the fit; if nothing was found, the network decides alone.
    """
    if not fit.found:
        return sign_logit
    law = signed_defocus_px(inv_depth, fit.u_focus, fit.kappa_px) * (2.0 / (fit.residual_px + 0.5))
    return (sign_logit + np.clip(law, -MAX_LOG_ODDS, MAX_LOG_ODDS)).astype(np.float32)


def law_agreement(
    inv_depth: Float32Array, defocus_px: Float32Array, sign_logit: Float32Array, fit: LensLawFit
) -> Float32Array:
    """How well two maps obey the law, per pixel in (0, 1]: exp(-difference / (1 px + a quarter of the CoC)).

    The difference is that of the sizes, plus what a wrong sign would cost times the network's belief in it. Without a
    fit, nothing is known of the agreement: 0.5 everywhere.
    """
    if not fit.found:
        return np.full(defocus_px.shape, UNKNOWN_AGREEMENT, dtype=np.float32)
    law = signed_defocus_px(inv_depth, fit.u_focus, fit.kappa_px)
    against = 1.0 / (1.0 + np.exp(np.clip(np.where(law < 0, -sign_logit, sign_logit), -30, 30)))
    size = np.abs(law)
    difference = np.abs(size - defocus_px) + 2.0 * np.minimum(size, defocus_px) * against
    return np.exp(-difference / (1.0 + 0.25 * defocus_px)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class InvDepthScale:
    """``u = gain * u_relative + offset`` in ``unit``, and the lens law in that unit."""

    unit: InvDepthUnit  # unit of the result
    gain: float  # > 0; 0 where no law ties the two maps, and the blur alone gives depth
    offset: float  # in ``unit``
    focus: LensLawFit  # the fit, with u_focus and kappa in ``unit``
    notes: tuple[str, ...] = ()  # what was assumed or is missing


def inv_depth_scale(fit: LensLawFit, lens: Lens, blurred: bool = False) -> InvDepthScale:
    """Find the unit that the lens facts allow, and the way there.

    The same signed CoC, written in both units: kappa_fit (u_focus_fit - u_fit) = kappa (u_focus - u), hence
    u = u_focus + (kappa_fit / kappa) (u_fit - u_focus_fit) with kappa = A v / p of the lens.

    Args:
        fit: the lens law in pixels of the photo and in relative inverse depth.
        lens: f, N and pixel pitch give the scale; with the focus distance, metres follow.
        blurred: whether there is blur that gives depth where the fit found nothing. If not, depth stays relative then.
    """
    if not lens.has_blur_scale:
        return InvDepthScale("relative", 1.0, 0.0, fit)
    if not fit.found and not blurred:
        note = f"The lens is known, but depth stays relative: no plane of focus found ({fit.reason})."
        return InvDepthScale("relative", 1.0, 0.0, fit, (note,))
    assert lens.focal_mm is not None
    unit: InvDepthUnit = "1/m from focus"
    focus_z_m, u_focus = math.inf, 0.0
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

    With a lens there are two ways to it: the relative map through the fit, and the lens law solved for inverse depth
    at the signed CoC of the pixel. The mean of both is taken. Half of their difference is part of the error; the other
    parts are the error of the CoC over kappa, and twice the blur over kappa times the chance of the wrong sign.

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
    of_sign = 2.0 * size / kappa / np.sqrt(1.0 + np.exp(np.minimum(CALIBRATED_ODDS * np.abs(log_odds), 30.0)))
    error = np.sqrt(of_size**2 + of_sign**2 + ((by_map - by_blur) / 2.0) ** 2)
    return ((by_map + by_blur) / 2.0).astype(np.float32), error.astype(np.float32)

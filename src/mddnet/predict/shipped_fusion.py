"""Fusion of the maps of a model of format 1, until :mod:`mddnet.predict.fusion` has a network that states its errors.

The lens law is fitted to both maps. It gives the plane of focus, the sign of the defocus, the confidence and, with a
known lens, the unit of depth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mddnet.optics import inv_depth_from_signed_defocus, signed_defocus_px
from mddnet.predict.dioptres import MAX_DEPTH_M, metric_law
from mddnet.predict.fusion import Fusion
from mddnet.predict.lens_law_fit import COC_ERROR_PX, COC_ERROR_SHARE, SHARP_PX, fit_lens_law
from mddnet.predict.metric_scale import InvDepthScale, inv_depth_scale
from mddnet.predict.out_of_distribution import UNKNOWN_AGREEMENT, out_of_distribution_note
from mddnet.predict.prediction import SmallMaps
from mddnet.predict.texture import texture_evidence
from mddnet.types import Float32Array, Lens, LensLawFit, UInt8Array

CLIPPED_SHARE = 0.5
"""A CoC above this share of the model's cap is a lower limit: the shipped model, with a cap of 80 px, estimates 32 px
for a disc of 32 px, but 41 px for one of 48 px (docs/depth-from-blur.md)."""
BLURRED_SHARE = 0.02
"""Smallest share of blurred pixels with which blur alone gives depth where no law was found."""
MAX_LOG_ODDS = 4.0
"""Limit of the log-odds of a sign, by the network and by the law: odds of 55 to 1."""
SURE_LOG_ODDS = 16.0
"""Largest reduction of the log-odds for a CoC that is impossible behind the plane of focus."""
CALIBRATED_ODDS = 0.5
"""Factor that calibrates the log-odds of a sign: on the training locations of focal stacks, log-odds of 2 to 3 are
right in 79 of 100 pixels, those of 4 to 6 in 91."""


@dataclass(frozen=True, slots=True)
class NetworkMaps:
    """The output of the network, at its own resolution (h, w)."""

    pixels: UInt8Array  # (h, w, 3) uint8, the network's image
    inv_depth: Float32Array  # (h, w), relative inverse depth in [0, 1]
    defocus_px: Float32Array  # (h, w), CoC diameter in pixels of ``pixels``
    sign_logit: Float32Array  # (h, w), log-odds of being behind the plane of focus
    scale: float  # pixels of the photo per pixel of the network's image


def fuse(network: NetworkMaps, lens: Lens, cap_px: float) -> Fusion:
    """Fuse depth and blur.

    Args:
        network: the output of the network.
        lens: the known lens facts; ``pixel_um`` is the pitch of the photo.
        cap_px: largest CoC of the network's output, pixels of its image.
    """
    law = metric_law(lens, network.scale)
    infinity_px = math.inf if law is None else law.infinity_px
    texture = texture_evidence(network.pixels)
    sign_logit = bounded_sign_logit(network.sign_logit, network.defocus_px, infinity_px)
    fit = fit_lens_law(network.inv_depth, network.defocus_px, sign_logit, texture, cap_px, infinity_px)
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
            f"{clipped:.1%} of the photo is blurred by {CLIPPED_SHARE * cap_px * network.scale:.0f} px or more, which "
            "this model cannot measure reliably; the defocus is a lower limit there."
        )
    defocus_px = network.defocus_px * np.float32(network.scale)
    maps = SmallMaps(inv_depth, defocus_px, sign, agreement * texture, error)
    return Fusion(maps, scale.unit, scale.focus, tuple(notes), error, math.nan)


def bounded_sign_logit(sign_logit: Float32Array, defocus_px: Float32Array, infinity_px: float) -> Float32Array:
    """The network's log-odds of being behind the plane of focus, clipped to +-4.

    Where a CoC exceeds that of infinity, the log-odds of a normal error, -(excess / error)^2, are added.

    Args:
        sign_logit: (H, W), output of the network.
        defocus_px: (H, W), CoC diameter, pixels of the network's image.
        infinity_px: CoC diameter of infinity, in the same pixels; infinite if unknown.
    """
    logit = np.clip(sign_logit, -MAX_LOG_ODDS, MAX_LOG_ODDS)
    if math.isinf(infinity_px):
        return logit
    excess = np.maximum(defocus_px - infinity_px, 0.0) / (COC_ERROR_PX + COC_ERROR_SHARE * defocus_px)
    return (logit - np.minimum(excess * excess, SURE_LOG_ODDS)).astype(np.float32)


def sign_log_odds(inv_depth: Float32Array, sign_logit: Float32Array, fit: LensLawFit) -> Float32Array:
    """Log-odds of being behind the plane of focus: the sum of those of the network and of the law.

    Those of the law are its signed CoC over the residual of the fit: it is certain far from the plane of focus.

    Args:
        inv_depth: (H, W), the fitted map.
        sign_logit: (H, W), the network's log-odds, from :func:`bounded_sign_logit`.
        fit: the fit; if nothing was found, only the network's log-odds are used.
    """
    if not fit.found:
        return sign_logit
    law = signed_defocus_px(inv_depth, fit.u_focus, fit.kappa_px) * (2.0 / (fit.residual_px + 0.5))
    return (sign_logit + np.clip(law, -MAX_LOG_ODDS, MAX_LOG_ODDS)).astype(np.float32)


def law_agreement(
    inv_depth: Float32Array, defocus_px: Float32Array, sign_logit: Float32Array, fit: LensLawFit
) -> Float32Array:
    """Agreement of two maps with the law, per pixel in (0, 1]: exp(-difference / (1 px + a quarter of the CoC)).

    The difference is that of the sizes, plus the cost of a wrong sign times the network's probability of the opposite
    sign. Without a fit, the agreement is 0.5 everywhere.
    """
    if not fit.found:
        return np.full(defocus_px.shape, UNKNOWN_AGREEMENT, dtype=np.float32)
    law = signed_defocus_px(inv_depth, fit.u_focus, fit.kappa_px)
    against = 1.0 / (1.0 + np.exp(np.clip(np.where(law < 0, -sign_logit, sign_logit), -30, 30)))
    size = np.abs(law)
    difference = np.abs(size - defocus_px) + 2.0 * np.minimum(size, defocus_px) * against
    return np.exp(-difference / (1.0 + 0.25 * defocus_px)).astype(np.float32)


def inv_depth_in_unit(
    scale: InvDepthScale, inv_depth: Float32Array, signed_px: Float32Array, log_odds: Float32Array, pixel_scale: float
) -> tuple[Float32Array, Float32Array | None]:
    """Inverse depth in the unit of a scale, and its error.

    With a lens there are two estimates: the relative map converted by the fit, and the lens law solved for inverse
    depth at the signed CoC of the pixel. The result is their mean. Its error combines half of their difference, the
    error of the CoC over kappa, and twice the blur over kappa times the probability of the wrong sign.

    Args:
        scale: from :func:`inv_depth_scale`.
        inv_depth: (H, W), relative.
        signed_px: (H, W), signed CoC diameter in pixels of the photo.
        log_odds: (H, W), of being behind the plane of focus.
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
    size_error = (COC_ERROR_PX * pixel_scale + COC_ERROR_SHARE * size) / kappa
    sign_error = 2.0 * size / kappa / np.sqrt(1.0 + np.exp(np.minimum(CALIBRATED_ODDS * np.abs(log_odds), 30.0)))
    error = np.sqrt(size_error**2 + sign_error**2 + ((by_map - by_blur) / 2.0) ** 2)
    return ((by_map + by_blur) / 2.0).astype(np.float32), error.astype(np.float32)

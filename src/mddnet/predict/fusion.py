"""Fusion of what the network sees in a scene and in its blur: :func:`fuse` gives the maps of a prediction.

Blur decides where it is informative, the scene elsewhere. The plane of focus follows from both
(:mod:`mddnet.predict.plane_of_focus`), the sign of every pixel from the scene's depth, the network's log-odds, the lens
and the neighbours across no edge (:mod:`mddnet.predict.sign`), and inverse depth is the precision-weighted mean of that
by the scene and that by the blur.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mddnet.optics import signed_defocus_px
from mddnet.predict.blur import Blur
from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.dioptres import MAX_DEPTH_M, before_infinity, metric_law
from mddnet.predict.edge_aware import EdgeAwareMean, cell_means, upsampled_along
from mddnet.predict.metric_scale import (
    NOT_CALIBRATED,
    InvDepthScale,
    MetricErrors,
    doubt_about_metres,
    inv_depth_scale,
    relative_scale,
)
from mddnet.predict.out_of_distribution import UNKNOWN_AGREEMENT, out_of_distribution_note
from mddnet.predict.plane_of_focus import NETWORK_SHARE, Cells, Plane, find_plane
from mddnet.predict.prediction import SmallMaps
from mddnet.predict.sign import lens_log_odds, network_log_odds, scene_log_odds
from mddnet.predict.texture import texture_evidence
from mddnet.types import Float32Array, InvDepthUnit, Lens, LensLawFit, UInt8Array

SCANNED_CELLS = 3072
"""The plane of focus is found with about as many cells; more say the same."""
SHARP_PX = 1.0
"""Below this 98th percentile of the CoC, everything is sharp."""
BLURRED_SHARE = 0.02
"""Smallest share of blurred pixels with which blur alone gives depth, in a scene of one distance or one blur."""
CONTRADICTION = "the defocus map does not follow the depth map by the lens law"
LEAST_GAIN, GAIN_STEP = 3.0, 1.5
"""Blur counts by the logistic function of (gain - 3) / 1.5, less its value at 0. The gain is the log-likelihood by
which the scene's depth explains the CoCs better than one CoC does. On training locations it is below 3 on 14 of 21
all-in-focus images (most others keep some blur) and above 10 on nine tenths of the blurred frames."""
SCENE_WEIGHT = 0.15
"""Share of the scene's own inverse depth in its monotone rescaling by the blur, so that the order is never lost."""
SCENE_ERROR = 0.1
"""Added to the error of the scene's inverse depth, in its mean absolute deviations: the rescaling has an error too."""
FLAT_ERROR = 3.0
"""The error where the scene's inverse depth is the same everywhere."""
ALIKE_COLOUR, ALIKE_DEPTH = 0.08, 0.5
"""Neighbours are across an edge if their colours in [0, 1] or their standardised inverse depths differ by more."""
NEIGHBOURS = 3
"""Half width of the neighbourhood, cells."""
CLIPPED_SHARE = 0.5
"""A CoC above this share of the model's cap is a lower limit: large discs come out too small
(docs/depth-from-blur.md)."""


@dataclass(frozen=True, slots=True)
class FusionInput:
    """The network's answers, on (h, w) cells of ``stride`` pixels of its image, and that image.

    Attributes:
        depth: relative inverse depth by the scene, of any positive scale and any shift.
        depth_log_sigma: logarithm of its error, in mean absolute deviations of ``depth``.
        coc_px: CoC diameter in pixels of the network's image.
        coc_log_sigma: logarithm of the error of its square root.
        sign_logit: log-odds of being behind the plane of focus.
        photo: (H, W, 3) uint8, the network's image; h = ceil(H / stride).
        scale: pixels of the user's photo per pixel of the network's image.
        camera: field of view and median depth by the scene; None if the network does not estimate them.
        fine_depth: (H, W), ``depth`` at the resolution of ``photo``, if it is known; ``depth`` has its means.
    """

    depth: Float32Array
    depth_log_sigma: Float32Array
    coc_px: Float32Array
    coc_log_sigma: Float32Array
    sign_logit: Float32Array
    photo: UInt8Array
    scale: float = 1.0
    camera: CameraEstimate | None = None
    fine_depth: Float32Array | None = None

    def __post_init__(self) -> None:
        shapes = {values.shape for values in (self.depth, self.depth_log_sigma, self.coc_px, self.coc_log_sigma)}
        shapes.add(self.sign_logit.shape)
        (height, width), stride = self.photo.shape[:2], self.stride
        if shapes != {(-(-height // stride), -(-width // stride))}:
            raise ValueError(f"maps {shapes} of a photo {self.photo.shape}; expected one shape, ceil(photo / stride)")

    @property
    def stride(self) -> int:
        """Pixels per cell."""
        return -(-self.photo.shape[1] // self.depth.shape[1])

    @property
    def not_upsampled(self) -> UInt8Array:
        """The network's image, or the user's photo if that has fewer pixels: its statistics are not changed."""
        if self.scale >= 1:
            return self.photo
        height, width = (max(2, round(size * self.scale)) for size in self.photo.shape[:2])
        return np.asarray(Image.fromarray(self.photo).resize((width, height), Image.Resampling.NEAREST))


@dataclass(frozen=True, slots=True)
class Fusion:
    """The fields of a :class:`~mddnet.predict.prediction.Prediction` that come from the maps and the lens."""

    maps: SmallMaps
    unit: InvDepthUnit
    focus: LensLawFit
    notes: tuple[str, ...]
    inv_depth_sigma: Float32Array | None  # (H, W), standard error of the inverse depth in its unit, also if relative
    log_odds: float  # of the plane of focus against the best one that is clearly different
    evidence: Evidence
    cells: Fused


@dataclass(frozen=True, slots=True)
class Fused:
    """(h, w) maps in the unit of standardised inverse depth."""

    u: Float32Array
    sigma: Float32Array
    scene_u: Float32Array  # by the scene alone, rescaled
    log_odds: Float32Array  # of being behind the plane of focus


@dataclass(frozen=True, slots=True)
class Evidence:
    """What depth, blur, sign and lens say of the plane of focus, on the cells."""

    depth: Float32Array  # (h, w), standardised
    shift: float
    span: float  # depth = span * standardised + shift
    blur: Blur
    log_odds: Float32Array  # (h, w), of being behind the plane of focus, by the network and the lens
    plane: Plane


def evidence_of(answers: FusionInput, lens: Lens) -> Evidence:
    """Find the plane of focus; the arguments are those of :func:`fuse`."""
    blur = Blur(answers.coc_px, np.exp(answers.coc_log_sigma))
    depth, shift, span = standardised(answers.depth)
    by_network = network_log_odds(answers.sign_logit, blur.px)
    by_lens = lens_log_odds(blur, metric_law(lens, answers.scale), answers.camera)
    plane = find_plane(_cells(depth, blur, np.float32(NETWORK_SHARE) * by_network + by_lens))
    return Evidence(depth, shift, span, blur, by_network + by_lens, plane)


def fuse(answers: FusionInput, lens: Lens, cap_px: float = math.inf, metric: MetricErrors = NOT_CALIBRATED) -> Fusion:
    """Fuse depth and blur.

    Without a lens the inverse depth keeps the unit of the network's: another scale and shift of ``depth`` is that of
    the result.

    Args:
        answers: the output of the network.
        lens: the known lens facts; ``pixel_um`` is the pitch of the photo.
        cap_px: largest CoC of the network's output, pixels of its image.
        metric: what the calibration says of metres.
    """
    scale, stride, photo = answers.scale, answers.stride, answers.photo
    evidence = evidence_of(answers, lens)
    depth, blur, plane = evidence.depth, evidence.blur, evidence.plane
    shift, span, flat = evidence.shift, evidence.span, evidence.span == 0
    colours = cell_means(photo, stride)
    error = np.full_like(depth, FLAT_ERROR) if flat else np.exp(answers.depth_log_sigma) + np.float32(SCENE_ERROR)
    trust = 1.0 if flat else _trust(plane.gain)
    fused = _fused(depth, error, blur, plane, evidence.log_odds, colours, trust)

    reason = _reason_against(blur, plane, flat)
    residual = float(np.abs(np.abs(plane.defocus_px(depth)) - blur.px).mean()) * scale
    fit = LensLawFit(False, math.nan, math.nan, residual, reason)
    if not reason:
        fit = LensLawFit(True, plane.u_focus * span + shift, plane.kappa_px / span * scale, residual)
    blur_alone = reason != CONTRADICTION and bool((blur.px >= SHARP_PX).mean() > BLURRED_SHARE)
    unit = inv_depth_scale(fit, lens, blur_alone)
    inv_depth, sigma = _in_unit(unit, fused, blur, scale, shift, span)
    if unit.unit != "relative":
        sigma *= np.float32(metric.factor)
    if doubt := doubt_about_metres(unit, plane.log_odds, inv_depth, sigma, metric.most):
        unit = relative_scale(fit, doubt)
        inv_depth, sigma = _in_unit(unit, fused, blur, scale, shift, span)
    fine = None
    if answers.fine_depth is not None and unit.gain > 0 and not flat:
        fine = _rescaled((answers.fine_depth - np.float32(shift)) / np.float32(span), plane, trust)
        inv_depth = inv_depth - fused.scene_u * np.float32(unit.gain * span)  # what the cells add to it

    agreement = _agreement(fused, blur, plane) if fit.found else np.full_like(depth, UNKNOWN_AGREEMENT)
    unlike = out_of_distribution_note(answers.not_upsampled)
    if unlike:
        agreement = np.minimum(agreement, np.float32(UNKNOWN_AGREEMENT))
    whole = upsampled_along(photo, colours, stride, [inv_depth, blur.px, fused.log_odds, agreement, sigma])
    inv_depth, coc_px, log_odds, agreement, sigma = whole
    if fine is not None:
        inv_depth = inv_depth + fine * np.float32(unit.gain * span)
    maps = SmallMaps(
        inv_depth=before_infinity(inv_depth) if unit.unit == "1/m" else inv_depth,
        defocus_px=coc_px * np.float32(scale),
        sign=np.where(log_odds < 0, np.float32(-1), np.float32(1)),
        confidence=agreement * texture_evidence(photo),
        sign_certainty=np.abs(np.tanh(log_odds / 2)),
        inv_depth_error=None if unit.unit == "relative" else sigma,
    )
    notes = (*unit.notes, *_notes(inv_depth, unit, coc_px, cap_px, scale), *([unlike] if unlike else []))
    return Fusion(maps, unit.unit, unit.focus, notes, sigma, plane.log_odds, evidence, fused)


def standardised(depth: Float32Array) -> tuple[Float32Array, float, float]:
    """Less its median, over its mean absolute deviation; and these two. A flat map is 0, and so is its deviation."""
    values = depth.astype(np.float64)
    shift = float(np.median(values))
    values -= shift
    span = float(np.abs(values).mean())
    if not span > 1e-6 * float(np.abs(depth).max()):
        return np.zeros(depth.shape, np.float32), shift, 0.0
    return (values / span).astype(np.float32), shift, span


def _cells(depth: Float32Array, blur: Blur, log_odds: Float32Array) -> Cells:
    """A regular part of the cells, symmetric about the middle of the photo."""
    height, width = depth.shape
    thinning = max(1.0, math.sqrt(height * width / SCANNED_CELLS))
    rows, columns = (
        np.unique(np.round(np.linspace(0, size - 1, max(2, round(size / thinning)))).astype(int))
        for size in (height, width)
    )

    def taken(values: Float32Array) -> np.ndarray:
        return values[np.ix_(rows, columns)].ravel().astype(np.float64)

    return Cells(taken(depth), taken(blur.root), taken(blur.root_sigma), taken(log_odds))


def _fused(
    depth: Float32Array,
    scene_sigma: Float32Array,
    blur: Blur,
    plane: Plane,
    log_odds: Float32Array,
    colours: Float32Array,
    trust: float,
) -> Fused:
    """Sign and inverse depth of every cell.

    Args:
        depth: (h, w), standardised.
        scene_sigma: (h, w), its error.
        blur: of every cell.
        plane: the plane of focus.
        log_odds: (h, w), of being behind it, by the network and the lens.
        colours: (h, w, 3), mean colours of the cells.
        trust: weight of the blur in [0, 1].
    """
    kappa = np.float32(max(plane.kappa_px, 1e-6))
    scene_u = _rescaled(depth, plane, trust)
    away = blur.px / kappa
    away_sigma = blur.sigma_px / kappa / np.float32(math.sqrt(max(trust, 1e-4)))
    guide = np.dstack([colours / np.float32(ALIKE_COLOUR * math.sqrt(3)), depth / np.float32(ALIKE_DEPTH)])
    mean = EdgeAwareMean(guide, NEIGHBOURS)
    log_odds = mean(log_odds + scene_log_odds(scene_u, scene_sigma, plane.u_focus, away, away_sigma))

    sign = np.where(log_odds < 0, np.float32(-1), np.float32(1))
    wrong = 1.0 / (1.0 + np.exp(np.minimum(np.abs(log_odds), 30)))
    blur_variance = away_sigma * away_sigma + np.square(np.float32(2) * away) * wrong + np.float32(1e-6)
    step = np.clip(np.float32(plane.u_focus) - sign * away - scene_u, -6, 6)
    scene_variance = scene_sigma * scene_sigma
    # Both sums run over the neighbours across no edge, whose errors differ.
    share = mean(step / blur_variance) / mean(1.0 / blur_variance + 1.0 / scene_variance)
    sigma = np.sqrt(blur_variance + np.square(step / 2))
    return Fused(scene_u + share, sigma.astype(np.float32), scene_u, log_odds)


def _trust(gain: float) -> float:
    """Weight of the blur in [0, 1]; 0 where one CoC explains it as well as the scene's depth does."""
    least = 1.0 / (1.0 + math.exp(LEAST_GAIN / GAIN_STEP))
    logistic = 1.0 / (1.0 + math.exp(min((LEAST_GAIN - gain) / GAIN_STEP, 30.0)))
    return max(0.0, (logistic - least) / (1.0 - least))


def _rescaled(depth: Float32Array, plane: Plane, trust: float) -> Float32Array:
    """Standardised inverse depth by the scene, rescaled by a rising function so that it explains the blur."""
    by_blur = np.float32(plane.u_focus) - plane.defocus_px(depth) / np.float32(max(plane.kappa_px, 1e-6))
    share = np.float32((1 - SCENE_WEIGHT) * trust)
    return np.asarray(share * by_blur + (np.float32(1) - share) * depth)


def _reason_against(blur: Blur, plane: Plane, flat: bool) -> str:
    """Why there is no plane of focus; "" if there is one."""
    low, middle, high, highest = np.percentile(blur.px, (5, 50, 95, 98))
    if highest < SHARP_PX:
        return f"everything is sharp: hardly a CoC reaches {SHARP_PX:g} px"
    if flat:
        return "the depth map is flat: the whole scene has one distance"
    if high - low < max(0.5, 0.1 * middle):
        return f"the blur is the same everywhere: about {middle:.1f} px"
    if plane.gain < LEAST_GAIN:
        return CONTRADICTION
    return ""


def _in_unit(
    unit: InvDepthScale, fused: Fused, blur: Blur, scale: float, shift: float, span: float
) -> tuple[Float32Array, Float32Array]:
    """(h, w) inverse depth in the unit of a scale, and its standard error.

    Args:
        unit: from :func:`~mddnet.predict.metric_scale.inv_depth_scale`.
        fused: in standardised inverse depth.
        blur: of every cell.
        scale: pixels of the photo per pixel of the network's image.
        shift: relative inverse depth where the standardised one is 0.
        span: relative inverse depth per unit of the standardised one.
    """
    if unit.gain > 0:
        offset = unit.gain * shift + unit.offset
        gain = np.float32(unit.gain * span)
        return fused.u * gain + np.float32(offset), fused.sigma * gain
    kappa = np.float32(unit.focus.kappa_px / scale)
    away, wrong = blur.px / kappa, 1.0 / (1.0 + np.exp(np.minimum(np.abs(fused.log_odds), 30)))
    inv_depth = np.float32(unit.focus.u_focus) - np.where(fused.log_odds < 0, -away, away)
    return inv_depth, np.sqrt(np.square(blur.sigma_px / kappa) + np.square(2 * away) * wrong).astype(np.float32)


def _agreement(fused: Fused, blur: Blur, plane: Plane) -> Float32Array:
    """Agreement of the scene's depth with the blur, (h, w) in (0, 1]: exp(-difference / (1 px + a quarter of the CoC)).

    The difference is that of the sizes, plus the cost of a wrong sign times the probability of the opposite sign.
    """
    law = signed_defocus_px(fused.scene_u, plane.u_focus, plane.kappa_px)
    against = 1.0 / (1.0 + np.exp(np.clip(np.where(law < 0, -fused.log_odds, fused.log_odds), -30, 30)))
    size = np.abs(law)
    difference = np.abs(size - blur.px) + 2.0 * np.minimum(size, blur.px) * against
    return np.exp(-difference / (1.0 + 0.25 * blur.px)).astype(np.float32)


def _notes(
    inv_depth: Float32Array, unit: InvDepthScale, coc_px: Float32Array, cap_px: float, scale: float
) -> list[str]:
    """What is limited: depth at infinity, and blur beyond what the model can measure."""
    notes = []
    beyond = float((inv_depth < 1.0 / MAX_DEPTH_M).mean()) if unit.unit == "1/m" else 0.0
    if beyond > 0:
        notes.append(f"{beyond:.1%} of the photo is at infinity or beyond; its depth_m is inf.")
    clipped = float((coc_px > CLIPPED_SHARE * cap_px).mean())
    if clipped > 0:
        notes.append(
            f"{clipped:.1%} of the photo is blurred by {CLIPPED_SHARE * cap_px * scale:.0f} px or more, which "
            "this model cannot measure reliably; the defocus is a lower limit there."
        )
    return notes

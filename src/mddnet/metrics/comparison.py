"""What a method answers, what is true, and one compared with the other: the input of every registered metric."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics.alignment import AlignmentChoice, aligned_depth_m, fit_alignment
from mddnet.metrics.order import OrdinalPairs
from mddnet.metrics.reference import SHARPNESS_SCALES, negative_sharpness
from mddnet.metrics.sparsification import Sparsification, sparsification
from mddnet.types import BoolArray, Float32Array, InvDepthUnit, LensLawFit, UInt8Array

BLUR_THRESHOLD_PX = 3.0
"""A pixel is blurred where its CoC exceeds this: blur below 2 px cannot be told from a lens in focus."""
SIGN_DEFOCUS_MIN = 0.01
"""The sign is measured where the true CoC exceeds this share of the long side ..."""
SIGN_RANGE_MIN = 0.10
"""... and the distance to the plane of focus this share of the scene's range of inverse depth."""
EDGE_STEP = 0.10
"""A depth edge is a step of more than this share of the scene's range ..."""
EDGE_REACH = 0.02
"""... and reaches as far as this share of the long side."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a method estimates for one photo; None for what it does not. Maps are (H, W) of the photo.

    Attributes:
        inv_depth: larger is nearer, any scale and shift.
        defocus_px: CoC diameter, pixels of the photo.
        signed_defocus_px: the same, positive behind the plane of focus.
        blur_score: larger is blurrier, where there is no diameter but an order.
        blur_threshold: score above which a pixel is blurred; None where only the order is known.
        confidence: in [0, 1], larger is surer.
        focus: the fitted lens law.
    """

    inv_depth: Float32Array | None = None
    defocus_px: Float32Array | None = None
    signed_defocus_px: Float32Array | None = None
    blur_score: NDArray[np.floating] | None = None
    blur_threshold: float | None = None
    confidence: Float32Array | None = None
    focus: LensLawFit | None = None

    @property
    def blur(self) -> NDArray[np.floating] | None:
        """Whatever orders pixels by blur."""
        return self.blur_score if self.defocus_px is None else self.defocus_px

    def detected(self, threshold_px: float) -> BoolArray | None:
        """Where blur is found: a CoC above ``threshold_px``, or a score above its own threshold; else None."""
        if self.defocus_px is not None:
            return np.asarray(self.defocus_px > threshold_px)
        if self.blur_score is None or self.blur_threshold is None:
            return None
        return np.asarray(self.blur_score > self.blur_threshold)


@dataclass(frozen=True, eq=False)
class Truth:
    """One photo with what is known of it; None for what is not known. Maps are (H, W), NaN where unknown.

    Attributes:
        photo: (H, W, 3) uint8, sRGB.
        inv_depth: in ``unit``, larger is nearer.
        unit: of ``inv_depth``.
        range: the scene's 2-98 % range of inverse depth; 0 if none is known.
        signed_defocus_px: CoC diameter, positive behind the plane of focus.
        defocus_px: CoC diameter.
        u_focus: inverse depth of the plane of focus.
        label_noise_px: error of the true CoC itself.
        depth_range_m: depths outside do not count, and predictions are clipped to it; None for no cap.
        mask: bool, pixels at which the plane of focus is compared; None is all known ones.
        rank_mask: bool, pixels whose inverse depths are ranked.
        sign_mask: bool, pixels at which the sign is measured; None is all known ones.
        depth_pairs: pairs of pixels of clearly different inverse depth.
        sharp_pairs: the same, where ``photo`` is the all-in-focus image.
        defocus_pairs: pairs of pixels of clearly different CoC.
        near_far_pairs: pixels of two stacked photos of one view, of which one is clearly blurrier.
        drawn_depth: flat indices of drawn pixels of known inverse depth.
        drawn_defocus: flat indices of drawn pixels whose blur is known.
        blurred_there: bool, where blur is among ``drawn_defocus``; None if ``defocus_px`` says it.
        textured: bool, pixels over which the answer to uniform blur is read; None for any other photo.
    """

    photo: UInt8Array
    inv_depth: Float32Array | None = None
    unit: InvDepthUnit = "1/m"
    range: float = 0.0
    signed_defocus_px: Float32Array | None = None
    defocus_px: Float32Array | None = None
    u_focus: float | None = None
    label_noise_px: float | None = None
    depth_range_m: tuple[float, float] | None = None
    mask: BoolArray | None = None
    rank_mask: BoolArray | None = None
    sign_mask: BoolArray | None = None
    depth_pairs: OrdinalPairs | None = None
    sharp_pairs: OrdinalPairs | None = None
    defocus_pairs: OrdinalPairs | None = None
    near_far_pairs: OrdinalPairs | None = None
    drawn_depth: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    drawn_defocus: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    blurred_there: BoolArray | None = None
    textured: BoolArray | None = None

    @cached_property
    def near_edges(self) -> BoolArray | None:
        """Pixels near a depth edge."""
        if self.inv_depth is None or not self.range > 0:
            return None
        reach_px = round(EDGE_REACH * max(self.inv_depth.shape))
        return near_depth_edges(self.inv_depth, EDGE_STEP * self.range, reach_px)

    @cached_property
    def dullness(self) -> dict[float, Float32Array]:
        """Negative sharpness of the photo, (H, W), by the scale of its smoothing."""
        return dict(zip(SHARPNESS_SCALES, negative_sharpness(self.photo, *SHARPNESS_SCALES), strict=True))

    @property
    def defocus_there(self) -> Float32Array | None:
        """(N,) true CoC at ``drawn_defocus``."""
        return None if self.defocus_px is None else self.defocus_px.ravel()[self.drawn_defocus]

    def states_blur(self) -> bool:
        """Whether anything is known of the blur."""
        known = (self.defocus_px, self.near_far_pairs, self.textured)
        return any(value is not None for value in known)

    def states_depth(self) -> bool:
        """Whether anything is known of the depth."""
        return self.inv_depth is not None or self.sharp_pairs is not None


@dataclass(frozen=True, eq=False)
class Comparison:
    """One answer beside the truth. What a metric needs is an attribute; None means that it does not apply.

    Attributes:
        truth: of the photo.
        answer: of the method.
        rotated: the answer to the photo rotated by 180 degrees, rotated back; None if there is none.
        alignment: of depth with the truth, before it is compared in metres.
        blur_threshold_px: a pixel is blurred where its CoC exceeds this, in truth and in the answer.
    """

    truth: Truth
    answer: Answer
    rotated: Answer | None = None
    alignment: AlignmentChoice = field(default_factory=AlignmentChoice)
    blur_threshold_px: float = BLUR_THRESHOLD_PX

    @cached_property
    def blurred(self) -> BoolArray | None:
        """(N,) where blur is among the drawn pixels."""
        there = self.truth.defocus_there
        if there is None:
            return self.truth.blurred_there
        return np.asarray(there > self.blur_threshold_px)

    @cached_property
    def detected(self) -> BoolArray | None:
        """(N,) where the answer finds blur among the drawn pixels."""
        found = self.answer.detected(self.blur_threshold_px)
        return None if found is None else found.ravel()[self.truth.drawn_defocus]

    @cached_property
    def blur_there(self) -> NDArray[np.floating] | None:
        """(N,) the answered order of blur at the drawn pixels."""
        blur = self.answer.blur
        return None if blur is None else blur.ravel()[self.truth.drawn_defocus]

    @cached_property
    def metres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """(H, W) aligned depth and true depth in metres, the latter NaN where unknown; None if it is not metric."""
        u, answered = self.truth.inv_depth, self.answer.inv_depth
        if u is None or answered is None or self.truth.unit != "1/m":
            return None
        positive = np.isfinite(u) & (u > 0)
        if not positive.any():
            return None
        known = np.where(positive, u, np.nan).astype(np.float64)
        depth_m = aligned_depth_m(answered, known, self.alignment)
        if self.truth.depth_range_m is not None:
            depth_m = np.clip(depth_m, *self.truth.depth_range_m)
        return depth_m, 1.0 / known

    @cached_property
    def metres_there(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """:attr:`metres` at the known pixels alone, (N,) each."""
        if self.metres is None:
            return None
        known = np.isfinite(self.metres[1])
        return self.metres[0][known], self.metres[1][known]

    @cached_property
    def inv_depth_errors(self) -> NDArray[np.float64] | None:
        """(N,) errors at ``drawn_depth``, after robust alignment to these pixels, over the scene's range."""
        truth, answered, drawn = self.truth, self.answer.inv_depth, self.truth.drawn_depth
        if truth.inv_depth is None or answered is None or truth.unit == "ordinal" or not truth.range > 0:
            return None
        if not len(drawn):
            return None
        u, p = truth.inv_depth.ravel()[drawn], answered.ravel()[drawn]
        aligned = fit_alignment(p, u, kind="scale_and_shift", method="robust").apply(p)
        return np.asarray(np.abs(aligned - u) / truth.range)

    @cached_property
    def coc_errors_px(self) -> NDArray[np.float64] | None:
        """(N,) |CoC error| at ``drawn_depth``."""
        truth, answered, drawn = self.truth, self.answer.defocus_px, self.truth.drawn_depth
        if truth.defocus_px is None or answered is None or not len(drawn):
            return None
        return np.asarray(np.abs(answered.ravel()[drawn] - truth.defocus_px.ravel()[drawn]))

    @cached_property
    def coc_curve(self) -> Sparsification | None:
        """Sparsification of the CoC error."""
        return self._curve(self.coc_errors_px)

    @cached_property
    def inv_depth_curve(self) -> Sparsification | None:
        """Sparsification of the error of inverse depth."""
        return self._curve(self.inv_depth_errors)

    @cached_property
    def order_curve(self) -> Sparsification | None:
        """Sparsification of wrong pairs of the depth order; a pair is as sure as the less sure of its pixels."""
        pairs, answered, confidence = self.truth.depth_pairs, self.answer.inv_depth, self.answer.confidence
        if pairs is None or not len(pairs) or answered is None or confidence is None:
            return None
        flat, sure = answered.ravel(), confidence.ravel()
        nearer, farther = flat[pairs.nearer], flat[pairs.farther]
        wrong = (nearer < farther) + 0.5 * (nearer == farther)
        return sparsification(wrong, np.minimum(sure[pairs.nearer], sure[pairs.farther]))

    def _curve(self, errors: NDArray[np.float64] | None) -> Sparsification | None:
        if errors is None or self.answer.confidence is None:
            return None
        return sparsification(errors, self.answer.confidence.ravel()[self.truth.drawn_depth])


def near_depth_edges(inv_depth: Float32Array, step: float, reach_px: int) -> BoolArray:
    """Pixels within reach of a step in depth: where one thing hides another.

    Args:
        inv_depth: (H, W), NaN where unknown.
        step: smallest difference between neighbours two pixels apart that counts as a step.
        reach_px: how far around, in pixels, a square.

    Returns:
        (H, W) bool.
    """
    edge = np.zeros(inv_depth.shape, dtype=bool)
    with np.errstate(invalid="ignore"):
        edge[:, 1:-1] |= np.abs(inv_depth[:, 2:] - inv_depth[:, :-2]) > step
        edge[1:-1] |= np.abs(inv_depth[2:] - inv_depth[:-2]) > step
    # a square around each edge pixel, by sums over the square
    side = 2 * reach_px + 1
    sums = np.pad(edge.astype(np.int32), ((reach_px + 1, reach_px), (reach_px + 1, reach_px))).cumsum(0).cumsum(1)
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return np.asarray(total > 0)

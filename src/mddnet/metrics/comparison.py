"""The estimate of a method, the truth, and their comparison: the input of every registered metric."""

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

BLUR_THRESHOLD_PX = 3.0  # blurred is a larger CoC: blur below 2 px is not distinguishable from a lens in focus
SIGN_DEFOCUS_MIN = 0.01  # the sign is measured where the true CoC exceeds this share of the long side ...
SIGN_RANGE_MIN = 0.10  # ... and the distance from the plane of focus this share of the scene's range
EDGE_STEP = 0.10  # a depth edge is a step of more than this share of the scene's range ...
EDGE_REACH = 0.02  # ... and includes pixels within this share of the long side


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """The estimate of a method for one photo; None for what it does not estimate. Maps are (H, W) of the photo."""

    inv_depth: Float32Array | None = None  # larger is nearer, any scale and shift
    defocus_px: Float32Array | None = None  # CoC diameter, pixels of the photo
    signed_defocus_px: Float32Array | None = None  # the same, positive behind the plane of focus
    blur_score: NDArray[np.floating] | None = None  # larger is blurrier; for methods without a diameter
    blur_threshold: float | None = None  # score above which a pixel is blurred; None where only the order is known
    confidence: Float32Array | None = None  # in [0, 1], larger is more confident
    expected_defocus_error_px: Float32Array | None = (
        None  # expected error of the CoC; None: its errors are ordered by confidence
    )
    focus: LensLawFit | None = None  # the fitted lens law

    @property
    def blur(self) -> NDArray[np.floating] | None:
        """The map that orders pixels by blur."""
        return self.blur_score if self.defocus_px is None else self.defocus_px

    def detected(self, threshold_px: float) -> BoolArray | None:
        """Blurred pixels: a CoC above ``threshold_px``, or a score above its own threshold; None without either."""
        if self.defocus_px is not None:
            return np.asarray(self.defocus_px > threshold_px)
        if self.blur_score is None or self.blur_threshold is None:
            return None
        return np.asarray(self.blur_score > self.blur_threshold)


@dataclass(frozen=True, eq=False)
class Truth:
    """One photo and what is known about it; None for the unknown. Maps are (H, W), NaN where unknown."""

    photo: UInt8Array  # (H, W, 3) uint8, sRGB
    inv_depth: Float32Array | None = None  # in ``unit``, larger is nearer
    unit: InvDepthUnit = "1/m"  # of ``inv_depth``
    range: float = 0.0  # the scene's 2-98 % range of inverse depth; 0 if none is known
    signed_defocus_px: Float32Array | None = None  # CoC diameter, positive behind the plane of focus
    defocus_px: Float32Array | None = None  # CoC diameter
    u_focus: float | None = None  # inverse depth of the plane of focus
    label_noise_px: float | None = None  # error of the true CoC itself
    depth_range_m: tuple[float, float] | None = None  # range of evaluated depths, predictions are clipped to it
    mask: BoolArray | None = None  # pixels at which the plane of focus is compared; None is all known ones
    rank_mask: BoolArray | None = None  # pixels whose inverse depths are ranked
    sign_mask: BoolArray | None = None  # pixels at which the sign is measured; None is all known ones
    depth_pairs: OrdinalPairs | None = None  # pairs of pixels of clearly different inverse depth
    sharp_pairs: OrdinalPairs | None = None  # the same, where ``photo`` is the all-in-focus image
    defocus_pairs: OrdinalPairs | None = None  # pairs of pixels of clearly different CoC
    near_far_pairs: OrdinalPairs | None = None  # pixels of two stacked photos of one view, one clearly blurrier
    # flat indices of sampled pixels with known inverse depth, and with known blur
    depth_indices: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    defocus_indices: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    sampled_blurred: BoolArray | None = None  # at ``defocus_indices``; None if ``defocus_px`` is known
    textured: BoolArray | None = None  # pixels of a uniformly blurred photo over which the median CoC is taken

    @cached_property
    def near_edges(self) -> BoolArray | None:
        if self.inv_depth is None or not self.range > 0:
            return None
        reach_px = round(EDGE_REACH * max(self.inv_depth.shape))
        return near_depth_edges(self.inv_depth, EDGE_STEP * self.range, reach_px)

    @cached_property
    def blurriness(self) -> dict[float, Float32Array]:
        """Negative sharpness of the photo, (H, W), by the scale of its smoothing."""
        return dict(zip(SHARPNESS_SCALES, negative_sharpness(self.photo, *SHARPNESS_SCALES), strict=True))

    @property
    def sampled_defocus_px(self) -> Float32Array | None:
        """(N,) true CoC at ``defocus_indices``."""
        return None if self.defocus_px is None else self.defocus_px.ravel()[self.defocus_indices]

    def has_blur(self) -> bool:
        return any(value is not None for value in (self.defocus_px, self.near_far_pairs, self.textured))

    def has_depth(self) -> bool:
        return self.inv_depth is not None or self.sharp_pairs is not None


@dataclass(frozen=True, eq=False)
class Comparison:
    """One estimate and the truth. The inputs of metrics are attributes; None means that a metric does not apply."""

    truth: Truth
    estimate: Estimate
    rotated: Estimate | None = None  # for the photo rotated by 180 degrees, rotated back
    alignment: AlignmentChoice = field(default_factory=AlignmentChoice)  # of depth, for the metrics in metres
    blur_threshold_px: float = BLUR_THRESHOLD_PX  # a pixel is blurred where its CoC exceeds this

    @cached_property
    def blurred(self) -> BoolArray | None:
        """(N,) which of the sampled pixels are blurred."""
        defocus_px = self.truth.sampled_defocus_px
        if defocus_px is None:
            return self.truth.sampled_blurred
        return np.asarray(defocus_px > self.blur_threshold_px)

    @cached_property
    def detected(self) -> BoolArray | None:
        """(N,) which of the sampled pixels are estimated to be blurred."""
        found = self.estimate.detected(self.blur_threshold_px)
        return None if found is None else found.ravel()[self.truth.defocus_indices]

    @cached_property
    def sampled_blur(self) -> NDArray[np.floating] | None:
        """(N,) the map that orders pixels by blur, at the sampled pixels."""
        blur = self.estimate.blur
        return None if blur is None else blur.ravel()[self.truth.defocus_indices]

    @cached_property
    def metres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """(H, W) aligned depth and true depth in metres, the latter NaN where unknown; None if it is not metric."""
        u, estimated = self.truth.inv_depth, self.estimate.inv_depth
        if u is None or estimated is None or self.truth.unit != "1/m" or not (u > 0).any():
            return None
        known = np.where(u > 0, u, np.nan).astype(np.float64)
        depth_m = aligned_depth_m(estimated, known, self.alignment)
        if self.truth.depth_range_m is not None:
            depth_m = np.clip(depth_m, *self.truth.depth_range_m)
        return depth_m, 1.0 / known

    @cached_property
    def known_metres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """:attr:`metres` at the known pixels, (N,) each."""
        if self.metres is None:
            return None
        known = np.isfinite(self.metres[1])
        return self.metres[0][known], self.metres[1][known]

    @cached_property
    def inv_depth_errors(self) -> NDArray[np.float64] | None:
        """(N,) errors at ``depth_indices``, after robust alignment to these pixels, over the scene's range."""
        truth, estimated, drawn = self.truth, self.estimate.inv_depth, self.truth.depth_indices
        if truth.inv_depth is None or estimated is None or truth.unit == "ordinal":
            return None
        if not (truth.range > 0 and len(drawn)):
            return None
        u, p = truth.inv_depth.ravel()[drawn], estimated.ravel()[drawn]
        aligned = fit_alignment(p, u).apply(p)
        return np.asarray(np.abs(aligned - u) / truth.range)

    @cached_property
    def coc_errors_px(self) -> NDArray[np.float64] | None:
        truth, estimated, drawn = self.truth, self.estimate.defocus_px, self.truth.depth_indices
        if truth.defocus_px is None or estimated is None or not len(drawn):
            return None
        return np.asarray(np.abs(estimated.ravel()[drawn] - truth.defocus_px.ravel()[drawn]))

    @cached_property
    def coc_curve(self) -> Sparsification | None:  # of ``coc_errors_px``
        expected_px = self.estimate.expected_defocus_error_px
        return self._curve(self.coc_errors_px, self.estimate.confidence if expected_px is None else -expected_px)

    @cached_property
    def inv_depth_curve(self) -> Sparsification | None:  # of ``inv_depth_errors``
        return self._curve(self.inv_depth_errors, self.estimate.confidence)

    @cached_property
    def order_curve(self) -> Sparsification | None:
        """Sparsification of wrongly ordered pairs of depth; the confidence of a pair is the lower of its two pixels."""
        pairs, estimated, confidence = self.truth.depth_pairs, self.estimate.inv_depth, self.estimate.confidence
        if pairs is None or not len(pairs) or estimated is None or confidence is None:
            return None
        flat, confidences = estimated.ravel(), confidence.ravel()
        nearer, farther = flat[pairs.nearer], flat[pairs.farther]
        wrong = (nearer < farther) + 0.5 * (nearer == farther)
        return sparsification(wrong, np.minimum(confidences[pairs.nearer], confidences[pairs.farther]))

    def _curve(self, errors: NDArray[np.float64] | None, confidence: Float32Array | None) -> Sparsification | None:
        if errors is None or confidence is None:
            return None
        return sparsification(errors, confidence.ravel()[self.truth.depth_indices])


def near_depth_edges(inv_depth: Float32Array, step: float, reach_px: int) -> BoolArray:
    """Pixels whose square of half side ``reach_px`` has a difference above ``step`` two columns or rows apart."""
    edge = np.zeros(inv_depth.shape, dtype=bool)
    with np.errstate(invalid="ignore"):
        edge[:, 1:-1] |= np.abs(inv_depth[:, 2:] - inv_depth[:, :-2]) > step
        edge[1:-1] |= np.abs(inv_depth[2:] - inv_depth[:-2]) > step
    # whether the square around a pixel contains an edge, by sums over the square
    side = 2 * reach_px + 1
    sums = np.pad(edge.astype(np.int32), ((reach_px + 1, reach_px), (reach_px + 1, reach_px))).cumsum(0).cumsum(1)
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return np.asarray(total > 0)

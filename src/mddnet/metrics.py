"""Measures of inverse depth and defocus: numpy alone, no files, no global state.

Masks and truths: every measure takes pixels where ``mask`` holds and the truth is finite (unknown is NaN). A measure
without one such pixel is NaN, never 0. All lengths named ``_px`` are in pixels of the image at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mddnet.types import BoolArray, Float32Array

TEXTURE_SHARE = 0.6
"""Share of the pixels, the most textured ones, that the texture mask keeps."""
TEXTURE_SIGMA = 0.005
"""Sigma of the smoothing behind the texture mask, as a fraction of the long side (at least 1 px)."""
DEPTH_GAP = 0.10
"""Inverse depths differ clearly if they differ by more than this share of the scene's 2-98 % range."""
DEFOCUS_GAP = 0.007
"""CoC diameters differ clearly if they differ by more than this share of the image's long side."""

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


# --- texture ----------------------------------------------------------------------------------------------------------


def luminance(image: NDArray[np.generic]) -> Float32Array:
    """Luma in [0, 1] of an sRGB image: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Args:
        image: (H, W, 3) or (H, W); uint8 in 0..255, or float in [0, 1].

    Raises:
        ValueError: for another shape.
    """
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"image has shape {pixels.shape}; expected (H, W, 3) or (H, W)")
    luma = pixels.astype(np.float32) @ _LUMA if pixels.ndim == 3 else pixels.astype(np.float32)
    return luma / np.float32(255.0) if pixels.dtype == np.uint8 else luma


def gaussian_smoothed(values: Float32Array, sigma_px: float) -> Float32Array:
    """Convolution of an (H, W) map with a Gaussian, cut at 3 sigma, edges mirrored; ``sigma_px`` 0 changes nothing.

    Raises:
        ValueError: for a negative sigma or another shape.
    """
    if values.ndim != 2 or not sigma_px >= 0:
        raise ValueError(f"shape {values.shape}, sigma {sigma_px}; expected (H, W) and a sigma of 0 px or more")
    if sigma_px == 0 or values.size == 0:
        return values.astype(np.float32)
    radius = max(1, int(np.ceil(3 * sigma_px)))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma_px) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    height, width = values.shape
    # two products with banded matrices: for wide kernels far cheaper in numpy than a sum over shifted copies
    return _tap_matrix(height, taps) @ values.astype(np.float32) @ _tap_matrix(width, taps).T


def _tap_matrix(size: int, taps: Float32Array) -> Float32Array:
    """(size, size) matrix that convolves a line with odd, symmetric taps, its ends mirrored (edge pixel repeated)."""
    matrix = np.zeros((size, size), dtype=np.float32)
    rows = np.arange(size)
    for k, tap in enumerate(taps):
        source = (rows + k - len(taps) // 2) % (2 * size)
        matrix[rows, np.where(source < size, source, 2 * size - 1 - source)] += tap
    return matrix


def smoothed_laplacian(image: NDArray[np.generic], sigma_px: float) -> Float32Array:
    """Local sharpness: |4-neighbour Laplacian of the luma| smoothed by a Gaussian.

    The sum-modified Laplacian of Nayar and Nakagawa, "Shape from Focus" (IEEE PAMI 1994), in its plainest form.

    Args:
        image: (H, W, 3) or (H, W), see :func:`luminance`.
        sigma_px: smoothing, pixels, >= 0.

    Returns:
        (H, W) float32, >= 0; 0 on flat areas.
    """
    padded = np.pad(luminance(image), 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    laplacian = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * centre
    return gaussian_smoothed(np.abs(laplacian), sigma_px)


def texture_mask(sharp: NDArray[np.generic], share: float = TEXTURE_SHARE) -> BoolArray:
    """Pixels of a *sharp* image whose smoothed Laplacian magnitude is in the upper ``share``.

    Blur can be seen only where there is texture. Flat pixels that tie with the threshold are left out, so a flat
    image has an empty mask.

    Args:
        sharp: (H, W, 3) or (H, W) all-in-focus image.
        share: share of the pixels to keep, in (0, 1].

    Returns:
        (H, W) bool.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; expected a value in (0, 1]")
    sharpness = smoothed_laplacian(sharp, max(1.0, TEXTURE_SIGMA * max(np.shape(sharp)[:2])))
    # float rounding of the smoothing leaves crumbs on flat areas
    return (sharpness > np.quantile(sharpness, 1 - share)) & (sharpness > 1e-6)


# --- order ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrdinalPairs:
    """Random pairs of pixels whose truths differ clearly.

    Attributes:
        nearer: (N,) flat indices of the pixels with the larger truth.
        farther: (N,) flat indices of the pixels with the smaller truth.
        admissible_share: share of all drawn pairs whose truths differed clearly; 0 if none could be drawn.
    """

    nearer: NDArray[np.int64]
    farther: NDArray[np.int64]
    admissible_share: float

    def __len__(self) -> int:
        return len(self.nearer)

    def accuracy(self, pred: NDArray[np.floating]) -> float:
        """Share of the pairs that ``pred`` orders like the truth; ties count half, NaN is wrong; NaN without pairs."""
        if len(self) == 0:
            return float("nan")
        flat = np.asarray(pred).ravel()
        high, low = flat[self.nearer], flat[self.farther]
        return float(np.mean((high > low) + 0.5 * (high == low)))


def ordinal_pairs(
    truth: NDArray[np.floating], mask: BoolArray | None, min_gap: float, *, pairs: int = 20_000, seed: int = 0
) -> OrdinalPairs:
    """Draw random pairs of masked pixels whose truths differ by more than ``min_gap``.

    Args:
        truth: (H, W), NaN where unknown.
        mask: (H, W) bool, or None for every pixel.
        min_gap: smallest difference, exclusive, in the unit of the truth, >= 0.
        pairs: how many pairs to return at most; up to ten times as many are drawn.
        seed: the draw is a function of the seed, the truth and the mask alone.

    Raises:
        ValueError: if the shapes differ or ``min_gap`` is negative or NaN.
    """
    values = np.asarray(truth, dtype=np.float64)
    allowed = np.isfinite(values)
    if mask is not None:
        if mask.shape != values.shape:
            raise ValueError(f"mask has shape {mask.shape}, truth {values.shape}; expected the same")
        allowed &= mask
    if not min_gap >= 0:
        raise ValueError(f"min_gap is {min_gap}; expected 0 or more")
    pool = np.flatnonzero(allowed)
    empty = np.empty(0, dtype=np.int64)
    if len(pool) < 2 or pairs < 1:
        return OrdinalPairs(empty, empty, 0.0)
    rng = np.random.default_rng(seed)
    flat = values.ravel()
    found: list[NDArray[np.int64]] = []
    drawn = kept = 0
    for _ in range(10):
        draw = pool[rng.integers(0, len(pool), size=(pairs, 2))]
        gap = flat[draw[:, 0]] - flat[draw[:, 1]]
        clear = np.abs(gap) > min_gap
        found.append(np.where((gap > 0)[:, None], draw, draw[:, ::-1])[clear])
        drawn += pairs
        kept += int(clear.sum())
        if kept >= pairs:
            break
    every = np.concatenate(found)[:pairs]
    return OrdinalPairs(every[:, 0], every[:, 1], kept / drawn)


def ordinal_accuracy(
    pred: NDArray[np.floating],
    truth: NDArray[np.floating],
    mask: BoolArray | None,
    min_gap: float,
    *,
    pairs: int = 20_000,
    seed: int = 0,
) -> float:
    """Share of random pairs with clearly different truths that ``pred`` puts in the right order, ties half.

    After the ordinal error of Chen et al., "Single-Image Depth Perception in the Wild" (NeurIPS 2016), with the gap
    absolute instead of a ratio. Chance is 0.5; the negated prediction has 1 minus the value.

    Args:
        pred: (H, W), any monotone unit; larger means the same as in ``truth``.
        truth: (H, W), NaN where unknown.
        mask: (H, W) bool, or None for every pixel.
        min_gap: smallest difference of the truths, exclusive, in their unit.

    Returns:
        A value in [0, 1], or NaN if no pair is admissible.

    Example:
        >>> import numpy as np
        >>> truth = np.array([[0.0, 1.0, 2.0]])
        >>> ordinal_accuracy(10 * truth + 3, truth, None, 0.5)
        1.0
    """
    if np.shape(pred) != np.shape(truth):
        raise ValueError(f"pred has shape {np.shape(pred)}, truth {np.shape(truth)}; expected the same")
    return ordinal_pairs(truth, mask, min_gap, pairs=pairs, seed=seed).accuracy(pred)


def inv_depth_range(inv_depth: NDArray[np.floating]) -> float:
    """The scene's range: 98th minus 2nd percentile of the known inverse depths; 0 if none is known."""
    known = np.asarray(inv_depth)[np.isfinite(inv_depth)]
    if known.size == 0:
        return 0.0
    low, high = np.percentile(known, (2, 98))
    return float(high - low)


def depth_ordinal_pairs(
    inv_depth: NDArray[np.floating], mask: BoolArray | None, *, pairs: int = 20_000, seed: int = 0
) -> OrdinalPairs:
    """Pairs whose inverse depths differ by more than 10 % of the scene's 2-98 % range (none in a scene without range).

    The range is that of all known pixels of ``inv_depth``, in the mask or not. Valid for every unit, "ordinal" too.
    """
    spread = inv_depth_range(inv_depth)
    if not spread > 0:
        return ordinal_pairs(inv_depth, np.zeros(np.shape(inv_depth), dtype=np.bool_), 0.0)
    return ordinal_pairs(inv_depth, mask, DEPTH_GAP * spread, pairs=pairs, seed=seed)


def depth_ordinal_accuracy(
    pred: NDArray[np.floating],
    inv_depth: NDArray[np.floating],
    mask: BoolArray | None,
    *,
    pairs: int = 20_000,
    seed: int = 0,
) -> float:
    """:func:`ordinal_accuracy` of inverse depth at a gap of 10 % of the scene's 2-98 % range."""
    if np.shape(pred) != np.shape(inv_depth):
        raise ValueError(f"pred has shape {np.shape(pred)}, truth {np.shape(inv_depth)}; expected the same")
    return depth_ordinal_pairs(inv_depth, mask, pairs=pairs, seed=seed).accuracy(pred)


def defocus_ordinal_pairs(
    defocus_px: NDArray[np.floating], mask: BoolArray | None, *, pairs: int = 20_000, seed: int = 0
) -> OrdinalPairs:
    """Pairs whose CoC diameters differ by more than 0.7 % of the image's long side."""
    return ordinal_pairs(defocus_px, mask, DEFOCUS_GAP * max(np.shape(defocus_px)), pairs=pairs, seed=seed)


def defocus_ordinal_accuracy(
    pred: NDArray[np.floating],
    defocus_px: NDArray[np.floating],
    mask: BoolArray | None,
    *,
    pairs: int = 20_000,
    seed: int = 0,
) -> float:
    """:func:`ordinal_accuracy` of defocus at a gap of 0.7 % of the long side."""
    if np.shape(pred) != np.shape(defocus_px):
        raise ValueError(f"pred has shape {np.shape(pred)}, truth {np.shape(defocus_px)}; expected the same")
    return defocus_ordinal_pairs(defocus_px, mask, pairs=pairs, seed=seed).accuracy(pred)


def spearman(pred: NDArray[np.floating], truth: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Rank correlation: Pearson's r of the ranks, equal values sharing their mean rank (Spearman 1904).

    Returns:
        A value in [-1, 1]; NaN with fewer than two pixels or if either side is constant.
    """
    p, t = _masked(pred, truth, mask)
    if len(p) < 2:
        return float("nan")
    a, b = _mean_ranks(p), _mean_ranks(t)
    a -= a.mean()
    b -= b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else float("nan")


# --- size -------------------------------------------------------------------------------------------------------------


def coc_mae_px(pred_px: NDArray[np.floating], defocus_px: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Mean absolute error of the CoC diameter, in pixels."""
    p, t = _masked(pred_px, defocus_px, mask)
    return float(np.mean(np.abs(p - t))) if len(p) else float("nan")


def constant_mae_px(defocus_px: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Mean absolute error of the best constant for this image, its median: the bar that knowing nothing local sets."""
    _, t = _masked(defocus_px, defocus_px, mask)
    return float(np.mean(np.abs(t - np.median(t)))) if len(t) else float("nan")


def sign_accuracy(
    pred_signed_px: NDArray[np.floating],
    signed_px: NDArray[np.floating],
    mask: BoolArray | None = None,
    *,
    min_defocus_px: float = 0.0,
) -> float:
    """Share of pixels with |CoC| above ``min_defocus_px`` whose sign (behind +, in front -) is right; 0 counts half.

    Args:
        pred_signed_px: (H, W) predicted signed CoC.
        signed_px: (H, W) true signed CoC, NaN where unknown.
        mask: (H, W) bool, or None.
        min_defocus_px: smallest true |CoC|, exclusive, pixels.
    """
    p, t = _masked(pred_signed_px, signed_px, mask)
    clear = np.abs(t) > min_defocus_px
    if not clear.any():
        return float("nan")
    agreement = np.sign(p[clear]) * np.sign(t[clear])
    return float(np.mean(np.where(agreement == 0, 0.5, agreement > 0)))


def abs_rel(pred_m: NDArray[np.floating], truth_m: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Mean of |z - z*| / z* over pixels with z* > 0 (Eigen et al., NeurIPS 2014); state the alignment beside it."""
    p, t = _positive(pred_m, truth_m, mask)
    return float(np.mean(np.abs(p - t) / t)) if len(p) else float("nan")


def rmse(pred: NDArray[np.floating], truth: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Root mean square error, in the unit of the arrays (Eigen et al., NeurIPS 2014)."""
    p, t = _masked(pred, truth, mask)
    return float(np.sqrt(np.mean((p - t) ** 2))) if len(p) else float("nan")


def delta(
    pred_m: NDArray[np.floating],
    truth_m: NDArray[np.floating],
    mask: BoolArray | None = None,
    *,
    power: int = 1,
    base: float = 1.25,
) -> float:
    """Share of pixels with max(z / z*, z* / z) < base^power (Eigen et al., NeurIPS 2014); z <= 0 is a miss."""
    p, t = _positive(pred_m, truth_m, mask)
    if not len(p):
        return float("nan")
    with np.errstate(divide="ignore"):
        ratio = np.where(p > 0, np.maximum(p / t, t / np.where(p > 0, p, 1.0)), np.inf)
    return float(np.mean(ratio < base**power))


def silog(pred_m: NDArray[np.floating], truth_m: NDArray[np.floating], mask: BoolArray | None = None) -> float:
    """Scale-invariant log error, 100 sqrt(mean d^2 - (mean d)^2) with d = ln z - ln z*.

    Eigen et al. (NeurIPS 2014), eq. 1, times 100 as the KITTI benchmark reports it. A prediction <= 0 makes it
    infinite.
    """
    p, t = _positive(pred_m, truth_m, mask)
    if not len(p):
        return float("nan")
    if (p <= 0).any():
        return float("inf")
    return float(100.0 * np.std(np.log(p) - np.log(t)))


def _masked(
    pred: NDArray[np.floating], truth: NDArray[np.floating], mask: BoolArray | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p, t = np.asarray(pred, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if p.shape != t.shape or (mask is not None and mask.shape != t.shape):
        shapes = f"pred {p.shape}, truth {t.shape}" + ("" if mask is None else f", mask {mask.shape}")
        raise ValueError(f"shapes differ: {shapes}; expected one shape")
    use = np.isfinite(t) if mask is None else np.isfinite(t) & mask
    return p[use], t[use]


def _positive(
    pred: NDArray[np.floating], truth: NDArray[np.floating], mask: BoolArray | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    p, t = _masked(pred, truth, mask)
    return p[t > 0], t[t > 0]


def _mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts).astype(np.float64)
    return np.asarray((last - (counts - 1) / 2.0)[inverse.ravel()])

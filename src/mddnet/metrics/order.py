"""Ordinal accuracy of depth and defocus, and rank correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics.known import Values, check_shapes, known_values, mean_of
from mddnet.metrics.registry import Measures, Metric, register
from mddnet.types import BoolArray

DEPTH_GAP = 0.10  # inverse depths differ clearly if they differ by more than this share of the scene's 2-98 % range
DEFOCUS_GAP = 0.007  # CoC diameters differ clearly if they differ by more than this share of the image's long side


@dataclass(frozen=True, slots=True)
class OrdinalPairs:
    """Random pairs of pixels whose truths differ clearly."""

    nearer: NDArray[np.int64]  # (N,) flat indices of the pixels with the larger truth
    farther: NDArray[np.int64]  # (N,) flat indices of the pixels with the smaller truth
    admissible_share: float  # share of the drawn pairs whose truths differ clearly; 0 if none could be drawn

    def __len__(self) -> int:
        return len(self.nearer)

    def accuracy(self, pred: Values) -> float:
        """Share of pairs that ``pred`` orders correctly; ties count half, a NaN is wrong. NaN without pairs.

        After the ordinal error of Chen et al., "Single-Image Depth Perception in the Wild" (NeurIPS 2016), with the gap
        absolute instead of a ratio. Any monotone unit of ``pred`` gives the same value; chance is 0.5; the negated
        prediction has 1 minus the value.
        """
        if len(self) == 0:
            return float("nan")
        flat = np.asarray(pred).ravel()
        high, low = flat[self.nearer], flat[self.farther]
        return float(np.mean((high > low) + 0.5 * (high == low)))


def ordinal_pairs(
    truth: Values, mask: BoolArray | None, min_gap: float, *, pairs: int = 20_000, seed: int = 0
) -> OrdinalPairs:
    """Draw random pairs of masked, known pixels whose truths differ by more than ``min_gap``, which is >= 0.

    At most ``pairs`` are returned, of up to ten times as many that are drawn. The draw depends on the seed, the truth
    and the mask only. ValueError for other shapes or an invalid gap.
    """
    check_shapes(truth, truth, mask)
    if not min_gap >= 0:
        raise ValueError(f"min_gap is {min_gap}; expected 0 or more")
    flat = np.asarray(truth, dtype=np.float64).ravel()
    pool = np.flatnonzero(np.isfinite(flat) if mask is None else np.isfinite(flat) & mask.ravel())
    if len(pool) < 2 or pairs < 1:
        nothing = np.empty(0, dtype=np.int64)
        return OrdinalPairs(nothing, nothing, 0.0)
    rng = np.random.default_rng(seed)
    found: list[NDArray[np.int64]] = []
    kept = 0
    while kept < pairs and len(found) < 10:
        draw = pool[rng.integers(0, len(pool), size=(pairs, 2))]
        gap = flat[draw[:, 0]] - flat[draw[:, 1]]
        found.append(np.where((gap > 0)[:, None], draw, draw[:, ::-1])[np.abs(gap) > min_gap])
        kept += len(found[-1])
    every = np.concatenate(found)[:pairs]
    return OrdinalPairs(every[:, 0], every[:, 1], kept / (pairs * len(found)))


def inv_depth_range(inv_depth: Values) -> float:
    """The scene's range: 98th minus 2nd percentile of the known inverse depths; 0 if none is known."""
    known = np.asarray(inv_depth)[np.isfinite(inv_depth)]
    low, high = np.percentile(known, (2, 98)) if known.size else (0.0, 0.0)
    return float(high - low)


def depth_ordinal_pairs(
    inv_depth: Values, mask: BoolArray | None, *, pairs: int = 20_000, seed: int = 0
) -> OrdinalPairs:
    """:func:`ordinal_pairs` of inverse depth in any unit that differ by more than a tenth of the scene's range.

    The range is that of all known pixels; there are no pairs if it is 0.
    """
    gap = DEPTH_GAP * inv_depth_range(inv_depth) or float("inf")
    return ordinal_pairs(inv_depth, mask, gap, pairs=pairs, seed=seed)


def defocus_ordinal_pairs(
    defocus_px: Values, mask: BoolArray | None, *, pairs: int = 20_000, seed: int = 0
) -> OrdinalPairs:
    """:func:`ordinal_pairs` of CoC diameters that differ by more than 0.7 % of the long side."""
    return ordinal_pairs(defocus_px, mask, DEFOCUS_GAP * max(np.shape(defocus_px)), pairs=pairs, seed=seed)


def depth_ordinal_accuracy(pred: Values, inv_depth: Values, mask: BoolArray | None) -> float:
    """Ordinal accuracy of inverse depth, of :func:`depth_ordinal_pairs`."""
    check_shapes(pred, inv_depth)
    return depth_ordinal_pairs(inv_depth, mask).accuracy(pred)


def defocus_ordinal_accuracy(pred: Values, defocus_px: Values, mask: BoolArray | None) -> float:
    """Ordinal accuracy of defocus, of :func:`defocus_ordinal_pairs`."""
    check_shapes(pred, defocus_px)
    return defocus_ordinal_pairs(defocus_px, mask).accuracy(pred)


def spearman(pred: Values, truth: Values, mask: BoolArray | None = None) -> float:
    """Rank correlation in [-1, 1]: Pearson's r of the ranks, equal values sharing their mean rank (Spearman 1904).

    NaN with fewer than two pixels or if either input is constant.
    """
    p, t = known_values(pred, truth, mask)
    if len(p) < 2:
        return float("nan")
    a, b = _mean_ranks(p), _mean_ranks(t)
    a -= a.mean()
    b -= b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else float("nan")


def _mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]


def _worst_pair(rows: Sequence[Measures]) -> float | None:
    found = [row.get("near_far_accuracy", np.nan) for row in rows]
    return min((value for value in found if np.isfinite(value)), default=None)


def _law(pairs: OrdinalPairs, signed_px: Values) -> float:
    return pairs.accuracy(-signed_px)


def _law_with_true_sign(pairs: OrdinalPairs, true_signed_px: Values, found_px: Values, _: object) -> float:
    return pairs.accuracy(-np.sign(true_signed_px) * found_px)


_depth = partial(Metric, group="depth", function=OrdinalPairs.accuracy)
_defocus = partial(Metric, group="defocus order", function=OrdinalPairs.accuracy)
_near_far = partial(Metric, group="near/far pairs")
_DEPTH, _SHARP, _DEFOCUS = "truth.depth_pairs", "truth.sharp_pairs", "truth.defocus_pairs"
# fmt: off
register(
    _depth(
        "depth_ordinal", "ordinal", inputs=(_DEPTH, "estimate.inv_depth"), reference_key="vertical_position_prior",
        note="Ordinal: share of correctly ordered pairs of pixels whose inverse depths differ by "
        f"> {DEPTH_GAP:.0%} of the scene's 2-98 % range.", compared=True,
    ),
    _depth(
        "depth_ordinal_rotated", "rotated", inputs=(_DEPTH, "rotated.inv_depth"),
        note="Rotated: the photo rotated by 180 degrees.", compared=True,
    ),
    _depth(
        "depth_ordinal_law", "law", function=_law, inputs=(_DEPTH, "estimate.signed_defocus_px"),
        note="Law: order by the signed CoC alone.",
    ),
    _depth(
        "depth_ordinal_law_rotated", "law rotated", function=_law, inputs=(_DEPTH, "rotated.signed_defocus_px"),
    ),
    _depth(
        "depth_ordinal_law_true_sign", "law, true sign", function=_law_with_true_sign,
        inputs=(_DEPTH, "truth.signed_defocus_px", "estimate.defocus_px", "estimate.signed_defocus_px"),
        note="True sign: order by the estimated CoC with the true sign.",
    ),
    _depth(
        "depth_ordinal_sharp", "sharp", inputs=(_SHARP, "estimate.inv_depth"), note="Sharp: on the all-in-focus image.",
    ),
    _depth("depth_ordinal_sharp_rotated", "sharp rotated", inputs=(_SHARP, "rotated.inv_depth")),
    _depth(
        "depth_spearman", "rank corr.", function=spearman,
        inputs=("estimate.inv_depth", "truth.inv_depth", "truth.rank_mask"), note="Rank corr.: Spearman's.",
        compared=True,
    ),
    _depth(
        "inv_depth_error", "inv. depth error", function=mean_of, inputs=("inv_depth_errors",), better="lower",
        note="Inverse depth error: mean, over the scene's range, after robust scale-and-shift alignment at sampled "
        "pixels.",
    ),
    _defocus(
        "defocus_ordinal", "ordinal", inputs=(_DEFOCUS, "estimate.blur"), reference_key="defocus_ordinal_sharpness",
        note=f"Ordinal: pairs of pixels whose CoCs differ by > {DEFOCUS_GAP:.1%} of the long side.", compared=True,
    ),
    _defocus("defocus_ordinal_rotated", "rotated", inputs=(_DEFOCUS, "rotated.blur")),
    _defocus(
        "defocus_spearman", "rank corr.", function=lambda found, true_px, _: spearman(found, true_px),
        inputs=("sampled_blur", "truth.sampled_defocus_px", _DEFOCUS), compared=True,
        note="Rank corr.: Spearman's, sampled known pixels.",
    ),
    _near_far(
        "near_far_accuracy", "accuracy", function=OrdinalPairs.accuracy,
        inputs=("truth.near_far_pairs", "estimate.blur"), digits=4, compared=True,
        note="Share of clear pixels at which the less sharp photo has the larger defocus; ties count half.",
    ),
    _near_far(
        "near_far_pixels", "pixels", function=lambda pairs: float(len(pairs)), inputs=("truth.near_far_pairs",),
        reference=True, digits=0, better="",
    ),
    _near_far(
        "near_far_worst", "worst", digits=4, over_photos=_worst_pair, note="Worst: of all pairs.", compared=True,
    ),
)
# fmt: on

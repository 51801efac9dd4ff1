"""The plane of focus: where along the scene's depth the sign of the defocus changes.

The scene gives an order of inverse depth, blur the size of the defocus. Everything farther than the plane of focus is
behind it and everything nearer in front, so the signed defocus falls with the scene's inverse depth. Each of some forty
hypotheses places the change of sign at one depth, inside the scene or outside. Its signed defocus is fitted by a
falling function: isotonic regression, pulled towards the straight line of the lens law where blur says little. The
misfit, the other evidence for the sign and a prior decide.

Inverse depth is standardised here: less its median, over its mean absolute deviation. CoCs are compared by their square
roots, in which the network's error is about the same for all sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mddnet.types import Float32Array

Float64Array = NDArray[np.float64]

BINS = 32
"""Bins of equal numbers of cells by the scene's inverse depth; the sign may change between any two of them."""
OUTSIDE = np.array((0.1, 0.25, 0.5, 1.0, 2.0))
"""Distances of the plane of focus from a scene that is wholly on one side, over its 2-98 % range of inverse depth."""
PRIOR_INSIDE = 0.7
"""Prior probability that the plane of focus lies within the scene; each side has half of the rest."""
INDEPENDENT = 60.0
"""Number of independent errors of all cells of a photo; those of neighbours are much the same."""
NETWORK_SHARE = 0.3
"""Weight of the network's log-odds against this: when they are wrong, they are wrong in most of a photo. On training
locations, signs of RGB-D and stereo scenes wholly on one side are right in .90 and .69 of the pixels with a weight of
1, in .99 and .83 with .3; signs of focal stacks in .992 and .993."""
STRAIGHT = 0.15
"""Weight of the straight line against that of the blur of an average bin."""
MOST_ERROR = 3.0
"""The cost of an error is quadratic up to one standard deviation, linear above, and at most this."""
CLEARLY_OTHER = 0.25
"""Hypotheses differ if more than this share of the blur, in square roots of the CoC, changes its sign."""


@dataclass(frozen=True, slots=True)
class Cells:
    """(N,) arrays of what is known of the cells of a photo."""

    depth: Float64Array  # standardised inverse depth by the scene
    root: Float64Array  # square root of the CoC in pixels
    root_sigma: Float64Array  # its error
    log_odds: Float64Array  # of being behind the plane of focus, without the scene


@dataclass(frozen=True, slots=True)
class Plane:
    """The most probable plane of focus, and the signed defocus by the scene's inverse depth.

    Attributes:
        u_focus: the plane of focus, standardised inverse depth.
        kappa_px: CoC diameter in pixels per unit of standardised inverse depth.
        knots: (K,) standardised inverse depths, rising.
        signed_px: (K,) signed defocus at the knots, falling.
        log_odds: of this plane of focus against the best one that is clearly different.
        gain: log-likelihood of the CoCs, less that of one CoC for the whole photo.
        cost: negative log-likelihood of CoCs, signs and place.
    """

    u_focus: float
    kappa_px: float
    knots: Float64Array
    signed_px: Float64Array
    log_odds: float
    gain: float
    cost: float

    def defocus_px(self, depth: Float32Array) -> Float32Array:
        """The signed defocus at standardised inverse depths: straight lines of slope kappa beyond the knots."""
        inside = np.interp(depth, self.knots, self.signed_px)
        beyond = depth - np.clip(depth, self.knots[0], self.knots[-1])
        return np.asarray(inside - self.kappa_px * beyond, dtype=np.float32)


def find_plane(cells: Cells) -> Plane:
    """Compare all hypotheses."""
    index, depth, root, precision = _binned(cells)
    places, prior = _places(cells.depth, depth)
    sign = np.sign(places[:, None] - depth[None, :])  # (T, B)
    away = np.sqrt(np.abs(places[:, None] - depth[None, :]))
    root_kappa = (away @ (precision * root)) / (away * away @ precision)
    straight = STRAIGHT * precision.mean()
    pulled = sign * (precision * root + straight * root_kappa[:, None] * away) / (precision + straight)
    fitted = -isotonic(-pulled, precision + straight)  # (T, B) signed roots, falling

    misfit = _cost(np.abs(np.abs(fitted)[:, index] - cells.root) / cells.root_sigma)
    wrong = np.logaddexp(0.0, -sign[:, index] * cells.log_odds).mean(axis=1)
    cost = INDEPENDENT * (misfit + wrong) + prior
    best = int(np.argmin(cost))

    changed = np.bincount(index, cells.root, len(depth))
    other = (sign != sign[best]) @ changed > CLEARLY_OTHER * changed.sum()
    log_odds = float(cost[other].min() - cost[best]) if other.any() else float("inf")
    levels = np.quantile(cells.root, np.arange(1, 16) / 16)
    constant = _cost(np.abs(cells.root - levels[:, None]) / cells.root_sigma).min()

    signed = fitted[best] * np.abs(fitted[best])
    u_focus = _zero(depth, signed, root, precision, float(places[best]))
    away = np.sqrt(np.abs(u_focus - depth))
    kappa = float((away @ (precision * root)) / (away * away @ precision)) ** 2
    return Plane(
        u_focus, kappa, depth, signed, log_odds, INDEPENDENT * float(constant - misfit[best]), float(cost[best])
    )


def _binned(cells: Cells) -> tuple[NDArray[np.intp], Float64Array, Float64Array, Float64Array]:
    """The bin of every cell, and the bins' mean depth, robust mean root and its precision.

    Equal depths are in one bin.
    """
    edges = np.unique(np.quantile(cells.depth, np.arange(1, BINS) / BINS))
    used, index = np.unique(np.searchsorted(edges, cells.depth), return_inverse=True)
    count = len(used)
    depth = np.bincount(index, cells.depth, count) / np.bincount(index, minlength=count)
    weight = 1.0 / np.square(cells.root_sigma)
    mean = np.bincount(index, weight * cells.root, count) / np.bincount(index, weight, count)
    for _ in range(3):
        error = np.abs(cells.root - mean[index]) / cells.root_sigma
        robust = weight / np.maximum(error, 1.0)
        mean = np.bincount(index, robust * cells.root, count) / np.bincount(index, robust, count)
    return index, depth, mean, np.bincount(index, robust, count).astype(np.float64)


def _places(cells: Float64Array, bins: Float64Array) -> tuple[Float64Array, Float64Array]:
    """(T,) places of the plane of focus, and the negative logarithm of their prior."""
    low, high = np.quantile(cells, (0.02, 0.98))
    reach = (high - low) * OUTSIDE if high > low else OUTSIDE
    inside = 0.5 * (bins[1:] + bins[:-1])
    places = np.concatenate([bins[0] - reach[::-1], inside, bins[-1] + reach])
    prior = np.full(len(places), (1 - PRIOR_INSIDE) / (2 * len(OUTSIDE)))
    prior[len(OUTSIDE) : -len(OUTSIDE)] = PRIOR_INSIDE / max(len(inside), 1)
    return places, -np.log(prior)


def _cost(error: Float64Array) -> Float64Array:
    """Mean robust cost of each row of errors over their standard deviation."""
    capped = np.minimum(error, 1.0)
    return np.asarray(np.minimum(capped * (error - 0.5 * capped), MOST_ERROR).mean(axis=1))


def _zero(
    depth: Float64Array, signed: Float64Array, root: Float64Array, precision: Float64Array, place: float
) -> float:
    """Where the falling function crosses zero; outside the scene, where the best straight line does, near ``place``."""
    after = int(np.searchsorted(-signed, 0.0))
    if 0 < after < len(signed):
        before = after - 1
        share = signed[before] / max(signed[before] - signed[after], 1e-12)
        return float(depth[before] + share * (depth[after] - depth[before]))
    edge = depth[0] if place < depth[0] else depth[-1]
    places = edge + (place - edge) * 2.0 ** np.linspace(-1, 1, 33)
    away = np.sqrt(np.abs(places[:, None] - depth))
    root_kappa = (away @ (precision * root)) / (away * away @ precision)
    misfit = np.square(root - root_kappa[:, None] * away) @ precision
    return float(places[np.argmin(misfit)])


def isotonic(values: Float64Array, weight: Float64Array) -> Float64Array:
    """Weighted least-squares fit of each row of (T, B) values by a rising sequence.

    The max-min formula (Barlow et al., "Statistical Inference under Order Restrictions", 1972): the fit at k is the
    largest, over the starts up to k, of the smallest mean of a run from there to k or beyond.

    Args:
        values: (T, B).
        weight: (B,), > 0.
    """
    summed = np.pad(np.cumsum(values * weight, axis=1), ((0, 0), (1, 0)))
    total = np.pad(np.cumsum(weight), (1, 0))
    start, stop = np.indices((len(weight), len(weight)))
    means = (summed[:, None, 1:] - summed[:, :-1, None]) / np.where(start <= stop, total[1:] - total[:-1, None], 1.0)
    means[:, start > stop] = np.inf
    least = np.minimum.accumulate(means[:, :, ::-1], axis=2)[:, :, ::-1]
    least[:, start > stop] = -np.inf
    return np.asarray(least.max(axis=1))

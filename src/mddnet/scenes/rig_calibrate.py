"""Calibration of a rig by re-rendering: A (aperture over pixel pitch) and e (sensor distance minus reading).

The paper's formula c = A |D - D_f| / D F / (D_f - F) with D_f = 1 / (1/F - 1/(v + e)) is the lens law: with
v' = v + e, a frame scaled by v_ref'/v' (which removes breathing) has

    c = A v_ref' |1/F - 1/v' - 1/D|

(He et al., arXiv:2208.09848). A and e minimise the squared difference between the frames and the all-in-focus image
blurred by discs of diameter c, over pixels of known depth. Two sources of bias are corrected. First, the fused image
is slightly blurred, since it mixes the two frames focused next to a pixel's depth: this blur follows from the law, and
its square is subtracted from c^2. Second, noise of the fused image adds a difference that decreases with blur, which
favours a large A: the noise of the frames is measured where they are strongly blurred, synthetic noise of that size is
processed in the same way, and the resulting errors are subtracted.

The intervals are 1.96 standard errors of a delete-one jackknife over frames and over image tiles (Efron and Stein, "The
jackknife estimate of variance", Annals of Statistics 9, 1981), which covers errors that are common to a frame (its
sensor reading) or to an area (its depth). Model errors common to all are not covered; in simulations without noise they
are below 0.4 % of A and 0.05 px of blur, which are added in quadrature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize

from mddnet.color import srgb_from_linear
from mddnet.errors import RejectedScene
from mddnet.optics import sweep_u_focus
from mddnet.scenes.align import PairFit, register_pair, scaled_about
from mddnet.scenes.all_in_focus import fuse
from mddnet.scenes.depth_from_focus import FocusDepth, depth_from_sharpness
from mddnet.scenes.filling import nearest_filled
from mddnet.scenes.kappa_fit import BlurBank, blur_bank
from mddnet.scenes.sharpness import sharpness_profile
from mddnet.types import BoolArray, Float32Array

DEPTH_BINS = 48
TILES = 4  # number of image tiles along each edge for the jackknife
ROUNDS = 3
LARGEST_BLUR_OF_WIDTH = 0.08  # blur beyond this diameter is ignored: it spreads over too much of the image
MIN_LARGEST_BLUR_PX = 1.5
EDGE_BLUR_PX = 1.5  # jump of the CoC within 5 x 5 pixels at a depth edge, near which two surfaces mix
MIN_PIXELS = 400
MIN_INTERIOR = 0.15
"""Minimum share of the textured pixels that are sharpest inside the sweep, not in its first or last frame."""
MIN_CONFIDENCE = 0.3
MODEL_ERROR_SHARE = 0.004
MODEL_ERROR_PX = 0.05
MAX_RELATIVE_APERTURE_ERROR = 0.05
MAX_OFFSET_ERROR_MM = 0.5
LARGEST_OPENING = 0.7  # lowest f-number of lenses; it bounds A by the focal length in pixels
STRIDE_TARGET = 60_000


@dataclass(frozen=True, slots=True)
class RigLaw:
    """The calibrated quantities of a rig: A, aperture diameter over pixel pitch, and e."""

    aperture_px: float
    offset_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class RigSweep:
    """Input of the calibration, at the working size."""

    frames: Sequence[Float32Array]  # N arrays (h, w) float32, linear luminance, as captured
    inv_depth: Float32Array  # (h, w) float32, 1/m, NaN where unknown
    focal_mm: float  # F
    sensor_mm: NDArray[np.float64]  # (N,) readings v
    reference_mm: float  # reading at which the depth was measured
    centre: tuple[float, float]  # (x, y) principal point, the fixed point of breathing, pixels
    aligned: bool  # whether breathing is already removed from the frames
    focal_px: float  # focal length in pixels at this size, which bounds A
    shifts_px: NDArray[np.complex128]  # (N,) complex, x + iy, displacement of each frame in addition to breathing

    def u_focus(self, offset_mm: float) -> NDArray[np.float64]:
        """(N,) 1/m, 1 / D_f of every frame."""
        return np.asarray(sweep_u_focus((self.sensor_mm + offset_mm) / 1000.0, self.focal_mm))

    def kappa_px(self, law: RigLaw) -> float:
        """CoC px per 1/m of frames without breathing."""
        return law.aperture_px * (self.reference_mm + law.offset_mm) / 1000.0

    def zooms(self, offset_mm: float) -> NDArray[np.float64]:
        """(N,) magnification of the frames as captured relative to the depth map."""
        if self.aligned:
            return np.ones(len(self.sensor_mm))
        return (self.sensor_mm + offset_mm) / (self.reference_mm + offset_mm)


@dataclass(frozen=True, slots=True)
class RigFit:
    """A calibrated rig."""

    law: RigLaw  # A and e
    aperture_error_px: float  # half widths of their 95 % intervals
    offset_error_mm: float
    error_fraction: float  # root mean square re-rendering error over that of the sharp image
    frame_errors: NDArray[np.float64]  # (N,) root mean square re-rendering errors, sRGB 0..1, NaN if not compared
    largest_blur_px: float  # largest compared CoC


def without_breathing(sweep: RigSweep, offset_mm: float) -> list[Float32Array]:
    """The frames without breathing and displacement."""
    return [
        scaled_about(frame, float(zoom), sweep.centre, complex(shift))
        for frame, zoom, shift in zip(sweep.frames, sweep.zooms(offset_mm), sweep.shifts_px, strict=True)
    ]


def equalising_gains(frames: Sequence[Float32Array]) -> NDArray[np.float32]:
    """(N,) factors for equal brightness, which varies with sensor distance and lamps, not with blur."""
    height, width = frames[0].shape
    inner = (slice(height // 8, height - height // 8), slice(width // 8, width - width // 8))
    means = np.array([float(frame[inner].mean()) for frame in frames])
    return (np.median(means) / np.maximum(means, 1e-6)).astype(np.float32)


def stabilised(sweep: RigSweep, offset_mm: float) -> list[Float32Array]:
    """The frames without breathing and with equal brightness."""
    frames = without_breathing(sweep, offset_mm)
    return [np.asarray(frame * gain) for frame, gain in zip(frames, equalising_gains(frames), strict=True)]


def depth_of_grey(frames: Sequence[Float32Array]) -> tuple[FocusDepth, Float32Array]:
    """Depth from the sharpness of grey frames, and the sRGB-encoded mean that guides it."""
    colour = [np.repeat(frame[:, :, None], 3, axis=2) for frame in frames]
    guide = srgb_from_linear(np.asarray(np.mean(colour, axis=0, dtype=np.float32)))
    return depth_from_sharpness(sharpness_profile(colour, 1.5), guide), guide


def first_offset_mm(sweep: RigSweep) -> float:
    """Initial e from the frames in which the pixels of known depth are sharpest; RejectedScene if they are too few."""
    known = np.isfinite(sweep.inv_depth)
    at = 1000.0 / (1000.0 / sweep.focal_mm - float(np.median(sweep.inv_depth[known])))
    offset = at - float(np.median(sweep.sensor_mm))
    for _ in range(2):
        frames = stabilised(sweep, offset)
        found, _ = depth_of_grey(frames)
        use = known & (found.confidence > MIN_CONFIDENCE)
        if use.sum() < MIN_PIXELS:
            raise RejectedScene(
                f"only {int(use.sum())} pixels of known depth have texture that changes sharpness over the sweep, "
                f"expected {MIN_PIXELS}: A and e are not determined"
            )
        inside = use & (found.index > 0.5) & (found.index < len(frames) - 1.5)
        share = float(inside.sum() / use.sum())
        if share < MIN_INTERIOR:
            raise RejectedScene(
                f"{1 - share:.0%} of the textured pixels are sharpest in the first or last frame, expected at most "
                f"{1 - MIN_INTERIOR:.0%}: the sweep does not cover the scene, so e is not determined"
            )
        v = np.interp(found.index[inside], np.arange(len(frames)), sweep.sensor_mm)
        offset = float(np.median(1000.0 / (1000.0 / sweep.focal_mm - sweep.inv_depth[inside]) - v))
    return offset


@dataclass(frozen=True, slots=True, eq=False)
class RigTable:
    """Squared re-rendering errors by tile, frame, depth and blur."""

    diameters_px: NDArray[np.float64]  # (B,) discs of the bank
    squares: NDArray[np.float64]  # (T, N, J, B) summed squared errors
    counts: NDArray[np.float64]  # (T, N, J) pixels
    inv_depth: NDArray[np.float64]  # (J,) middle of the depth bins, 1/m
    own_blur: NDArray[np.float64]  # (J,) blur of the fused image: its CoC over kappa


@dataclass(frozen=True, slots=True, eq=False)
class _Fused:
    """The stabilised frames of a sweep and what is derived from them by a law."""

    frames: list[Float32Array]
    filled: Float32Array  # (h, w) inverse depth without gaps
    index: Float32Array  # (h, w) fractional number of the frame in focus
    sharp: Float32Array  # (h, w) all-in-focus image
    bank: BlurBank
    largest_blur_px: float


def _fused(sweep: RigSweep, law: RigLaw) -> _Fused:
    frames, filled = stabilised(sweep, law.offset_mm), nearest_filled(sweep.inv_depth)
    index = index_by_law(filled, sweep.u_focus(law.offset_mm))
    sharp = fuse(frames, index)
    largest_px = max(12.0, LARGEST_BLUR_OF_WIDTH * sharp.shape[1])
    return _Fused(frames, filled, index, sharp, blur_bank(sharp, 1.3 * largest_px), largest_px)


def index_by_law(inv_depth: Float32Array, u_focus: NDArray[np.float64]) -> Float32Array:
    """(H, W) fractional number of the frame focused at each depth, clamped to the sweep."""
    order = np.argsort(u_focus)
    return np.interp(inv_depth, u_focus[order], order.astype(np.float64)).astype(np.float32)


def _away_from_edges(filled: Float32Array, u_focus: float, kappa: float) -> BoolArray:
    """Pixels of a frame that blur across a depth edge does not reach."""
    window = np.ones((5, 5), np.uint8)
    jump = cv2.dilate(filled, window) - cv2.erode(filled, window)
    coc = (kappa * np.abs(u_focus - filled)).astype(np.float32)
    reach = np.where(kappa * jump > EDGE_BLUR_PX, cv2.dilate(coc, window) / 2 + 2.0, 0).astype(np.float32)
    clear = np.ones(filled.shape, bool)
    level = 4.0
    while level / 2 < reach.max():
        here = (reach > level / 2 * (level > 4)) & (reach <= level)
        if here.any():
            clear &= cv2.distanceTransform((~here).astype(np.uint8), cv2.DIST_L2, 5) > level
        level *= 1.5 if level > 6 else 2.0
    return clear


def measure_noise(sweep: RigSweep, law: RigLaw) -> tuple[float, float]:
    """Read and shot noise of the frames as captured, from the detail of their most blurred parts, which is noise only.

    Its variance is read + shot * light, in linear light. The detail is the difference of two Laplacians (Immerkaer,
    "Fast noise variance estimation", CVIU 64, 1996).
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    kappa, u_focus = sweep.kappa_px(law), sweep.u_focus(law.offset_mm)
    filled = nearest_filled(sweep.inv_depth)
    least = max(3.0, 0.6 * float(np.nanmax(kappa * np.abs(u_focus[:, None] - np.nanquantile(filled, [0.1, 0.9])))))
    detail, light = [], []
    for frame, u in zip(sweep.frames, u_focus, strict=True):
        use = (kappa * np.abs(u - filled) > least) & (frame < 0.95)
        detail.append(cv2.filter2D(frame, cv2.CV_32F, mask)[use])
        light.append(cv2.blur(frame, (5, 5))[use])
    values, level = np.abs(np.concatenate(detail)), np.concatenate(light)
    if len(values) < MIN_PIXELS:
        return 0.0, 0.0
    edges = np.quantile(level, np.linspace(0, 1, 9))
    position = np.clip(np.searchsorted(edges, level, side="right") - 1, 0, 7)
    groups = [position == k for k in range(8) if (position == k).any()]
    at = np.array([level[group].mean() for group in groups])
    variance = np.array([np.median(values[group]) / 0.6745 / 6 for group in groups]) ** 2
    if np.ptp(at) > 1e-3:
        shot, read = np.polyfit(at, variance, 1)
        if shot >= 0 and read >= 0:
            return float(read), float(shot)
    return float(np.mean(variance)), 0.0


def _with_added_noise(sweep: RigSweep, read: float, shot: float) -> RigSweep:
    rng = np.random.default_rng(0)
    noisy = [
        frame
        + np.sqrt(read + shot * np.clip(frame, 0, 1)).astype(np.float32)
        * rng.standard_normal(frame.shape, dtype=np.float32)
        for frame in sweep.frames
    ]
    return replace(sweep, frames=noisy)


def tabulate(sweep: RigSweep, law: RigLaw, noise: tuple[float, float] | None = None) -> RigTable:
    """Errors of every blur, with fusion and pixel selection by an approximate law, less the part due to ``noise``."""
    kappa, u_focus = sweep.kappa_px(law), sweep.u_focus(law.offset_mm)
    fused = _fused(sweep, law)
    frames, filled, bank, largest = fused.frames, fused.filled, fused.bank, fused.largest_blur_px
    height, width = filled.shape
    border = np.zeros(filled.shape, bool)
    reach = int(np.ceil(largest / 2)) + 1 + int(np.ceil(np.abs(sweep.zooms(law.offset_mm) - 1).max() * width / 2))
    border[reach : height - reach, reach : width - reach] = True
    known = np.isfinite(sweep.inv_depth) & border & (fused.sharp < 0.95)
    if known.sum() < MIN_PIXELS:
        raise RejectedScene(
            f"{int(known.sum())} pixels of known depth remain for the comparison, expected {MIN_PIXELS}"
        )
    stride = max(1, int(np.sqrt(known.sum() / STRIDE_TARGET)))
    low, high = np.quantile(sweep.inv_depth[known], [0.0, 1.0])
    edges = np.linspace(low, high, DEPTH_BINS + 1) if high > low else np.array([low, low + 1e-9])
    bins = np.clip(np.searchsorted(edges, filled, side="right") - 1, 0, len(edges) - 2)
    ys, xs = np.indices(filled.shape)
    tile = (ys * TILES // height) * TILES + xs * TILES // width
    tiles, depths = TILES * TILES, len(edges) - 1
    counts = np.zeros((tiles, len(frames), depths))
    squares = np.zeros((*counts.shape, len(bank.diameters_px)))
    noisy = None if noise is None else _fused(_with_added_noise(sweep, *noise), law)
    for i, frame in enumerate(frames):
        use = (
            known & _away_from_edges(filled, float(u_focus[i]), kappa) & (kappa * np.abs(u_focus[i] - filled) < largest)
        )
        use[np.arange(height) % stride > 0] = False
        use[:, np.arange(width) % stride > 0] = False
        cell = (tile * depths + bins)[use]
        observed = srgb_from_linear(frame[use])
        counts[:, i] = np.bincount(cell, minlength=tiles * depths).reshape(tiles, depths)
        for b in range(len(bank.diameters_px)):
            rendered = bank.encoded[b][use]
            error = np.square(observed - rendered, dtype=np.float64)
            if noisy is not None:
                more = srgb_from_linear(noisy.frames[i][use]) - observed - (noisy.bank.encoded[b][use] - rendered)
                error -= np.square(more, dtype=np.float64)
            squares[:, i, :, b] = np.bincount(cell, error, tiles * depths).reshape(tiles, depths)
    at = np.floor(fused.index)
    lower = np.clip(at.astype(int), 0, len(frames) - 1)
    upper = np.minimum(lower + 1, len(frames) - 1)
    t = fused.index - at
    spread = (1 - t) * (u_focus[lower] - filled) ** 2 + t * (u_focus[upper] - filled) ** 2
    total = np.bincount(bins[known], minlength=depths)
    own = np.sqrt(np.bincount(bins[known], spread[known], depths) / np.maximum(total, 1))
    middle = np.bincount(bins[known], filled[known], depths) / np.maximum(total, 1)
    return RigTable(bank.diameters_px, squares, counts, middle, own)


class _Cost:
    """Summed squared error as a smooth function of A and e."""

    def __init__(self, sweep: RigSweep, table: RigTable, tile: int | None = None) -> None:
        self.sweep, self.table = sweep, table
        chosen = slice(None) if tile is None else slice(tile, tile + 1)
        self.squares, self.counts = table.squares[chosen].sum(axis=0), table.counts[chosen].sum(axis=0)
        # cubic polynomials of all intervals between discs, for all cells
        self.coefficients = CubicSpline(table.diameters_px, self.squares, axis=2).c

    def diameters(self, law: RigLaw) -> NDArray[np.float64]:
        """(N, J) disc diameters for blurring the fused image."""
        kappa, u_focus = self.sweep.kappa_px(law), self.sweep.u_focus(law.offset_mm)
        coc = kappa * (u_focus[:, None] - self.table.inv_depth[None, :])
        own = kappa * self.table.own_blur[None, :]
        return np.sqrt(np.maximum(coc**2 - own**2, 0.0))

    def cells(self, law: RigLaw) -> NDArray[np.float64]:
        """(N, J) squared errors."""
        grid = self.table.diameters_px
        c = np.minimum(self.diameters(law), grid[-1])
        k = np.clip(np.searchsorted(grid, c, side="right") - 1, 0, len(grid) - 2)
        t = c - grid[k]
        i, j = np.indices(c.shape)
        value = np.zeros(c.shape)
        for power in range(4):
            value = value * t + self.coefficients[power, k, i, j]
        return value

    def __call__(self, law: RigLaw) -> float:
        return float(self.cells(law).sum())

    def best(self, start: RigLaw) -> RigLaw:
        """The minimum near ``start``; the parameters are log A and e in units of 0.1 mm."""

        def cost(x: NDArray[np.float64]) -> float:
            return self(RigLaw(start.aperture_px * float(np.exp(x[0])), start.offset_mm + 0.1 * float(x[1]))) / scale

        scale = max(self(start), 1e-12)
        simplex = np.array([[0.0, 0.0], [0.05, 0.0], [0.0, 0.2]])
        options = {"initial_simplex": simplex, "xatol": 1e-5, "fatol": 1e-10, "maxiter": 200}
        found = minimize(cost, np.zeros(2), method="Nelder-Mead", options=options).x
        return RigLaw(start.aperture_px * float(np.exp(found[0])), start.offset_mm + 0.1 * float(found[1]))


def first_aperture_px(sweep: RigSweep, cost: _Cost, offset_mm: float) -> float:
    """A with the lowest error at a given e; raises RejectedScene if the error has no minimum in the range of lenses."""
    bounded = sweep.focal_px / LARGEST_OPENING
    trials = np.geomspace(bounded / 200, bounded, 80)
    errors = [cost(RigLaw(float(a), offset_mm)) for a in trials]
    best = int(np.argmin(errors))
    if best in (0, len(trials) - 1):
        limit = "no blur at all" if best == 0 else f"an aperture of f/{LARGEST_OPENING}"
        raise RejectedScene(
            f"A is not determined: {limit} fits the frames best; check that sensor positions and translation are in "
            "mm, that the frames were taken at maximum aperture, and that nothing moved"
        )
    return float(trials[best])


def calibrate_rig(sweep: RigSweep, known: RigLaw | None = None) -> RigFit:
    """A and e with their intervals, which :func:`check_determined` checks; a ``known`` law is only evaluated."""
    if not np.isfinite(sweep.inv_depth).any():
        raise RejectedScene("no pixel has a known depth: A and e are not determined")
    if known is None:
        offset = first_offset_mm(sweep)
        # For the initial masks, assume an f/2 lens.
        law = RigLaw(sweep.focal_px / 2.0, offset)
        table = tabulate(sweep, law)
        law = RigLaw(first_aperture_px(sweep, _Cost(sweep, table), offset), offset)
        for _ in range(ROUNDS):
            table = tabulate(sweep, law)
            law = _Cost(sweep, table).best(law)
    else:
        law = known
    fit = _summary(_Cost(sweep, tabulate(sweep, law)), law)
    if known is not None:
        return fit
    table = tabulate(sweep, law, measure_noise(sweep, law))
    fit = replace(fit, law=_Cost(sweep, table).best(law))
    return _with_intervals(sweep, table, fit)


def match_frames(sweep: RigSweep, law: RigLaw) -> list[PairFit]:
    """Register every frame to the all-in-focus image blurred by the law."""
    fused, kappa = _fused(sweep, law), sweep.kappa_px(law)
    return [
        register_pair(fused.bank.render(kappa * np.abs(u - fused.filled)), srgb_from_linear(frame))
        for frame, u in zip(fused.frames, sweep.u_focus(law.offset_mm), strict=True)
    ]


def _summary(cost: _Cost, law: RigLaw) -> RigFit:
    cells, counts = cost.cells(law), cost.counts
    sharp = float(cost.squares[:, :, 0].sum())
    per_frame = counts.sum(axis=1)
    errors = np.sqrt(np.maximum(cells.sum(axis=1), 0) / np.maximum(per_frame, 1))
    compared = cost.diameters(law)[counts > 0]
    return RigFit(
        law,
        float("nan"),
        float("nan"),
        float(np.sqrt(max(float(cells.sum()), 0.0) / max(sharp, 1e-12))),
        np.where(per_frame > 0, errors, np.nan),
        float(compared.max(initial=0.0)),
    )


def _with_intervals(sweep: RigSweep, table: RigTable, fit: RigFit) -> RigFit:
    """Jackknife intervals, with one Newton step for each left-out part."""
    per_mm = sweep.kappa_px(fit.law) * 1000.0 / (sweep.reference_mm + fit.law.offset_mm) ** 2
    steps = np.array([0.01, 0.1 / per_mm])

    def law_at(i: int, j: int) -> RigLaw:
        return RigLaw(fit.law.aperture_px * float(np.exp(i * steps[0])), fit.law.offset_mm + j * float(steps[1]))

    grid = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    costs = [_Cost(sweep, table, tile) for tile in range(len(table.squares))]
    rows = np.array([[cost.cells(law_at(i, j)).sum(axis=1) for i, j in grid] for cost in costs])  # (T, 9, N)
    variance = np.zeros(2)
    for part, values, used in (
        ("tile", rows.sum(axis=2), table.counts.sum(axis=(1, 2))),
        ("frame", rows.sum(axis=0).T, table.counts.sum(axis=(0, 2))),
    ):
        values = values[used > 0]
        if len(values) < 2:
            raise RejectedScene(f"all compared pixels are in one {part}: the errors of A and e are unknown")
        rest = values.sum(axis=0)[None] - values
        moved = np.array([_newton_step(row.reshape(3, 3)) for row in rest]) * steps
        variance += (len(moved) - 1) / len(moved) * ((moved - moved.mean(axis=0)) ** 2).sum(axis=0)
    relative, offset = 1.96 * np.sqrt(variance)
    return replace(
        fit,
        aperture_error_px=float(np.hypot(relative, MODEL_ERROR_SHARE)) * fit.law.aperture_px,
        offset_error_mm=float(np.hypot(offset, MODEL_ERROR_PX / per_mm)),
    )


def _newton_step(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Step from the middle of a (3, 3) grid of costs to its minimum; NaN if it has none."""
    gradient = np.array([cost[2, 1] - cost[0, 1], cost[1, 2] - cost[1, 0]]) / 2
    twice = np.array([cost[2, 1] - 2 * cost[1, 1] + cost[0, 1], cost[1, 2] - 2 * cost[1, 1] + cost[1, 0]])
    across = (cost[2, 2] - cost[2, 0] - cost[0, 2] + cost[0, 0]) / 4
    hessian = np.array([[twice[0], across], [across, twice[1]]])
    if twice.min() <= 0 or np.linalg.det(hessian) <= 0:
        return np.full(2, np.nan)
    return -np.linalg.solve(hessian, gradient)


def check_determined(fit: RigFit) -> None:
    """Raise RejectedScene, with the reason, if the data do not determine A and e."""
    if fit.largest_blur_px < MIN_LARGEST_BLUR_PX:
        raise RejectedScene(
            f"the largest blur is {fit.largest_blur_px:.2g} px, expected >= {MIN_LARGEST_BLUR_PX} px: A is not "
            "determined; open the aperture or widen the sweep"
        )
    if not fit.aperture_error_px <= MAX_RELATIVE_APERTURE_ERROR * fit.law.aperture_px:
        raise RejectedScene(
            f"A = {fit.law.aperture_px:.4g} +- {fit.aperture_error_px:.2g} px (95 %), expected within "
            f"{MAX_RELATIVE_APERTURE_ERROR:.0%}: the frames do not determine it; add texture or frames, or widen the "
            "sweep"
        )
    if not fit.offset_error_mm <= MAX_OFFSET_ERROR_MM:
        raise RejectedScene(
            f"e = {fit.law.offset_mm:.4g} +- {fit.offset_error_mm:.2g} mm (95 %), expected within "
            f"{MAX_OFFSET_ERROR_MM} mm: the frames do not determine it"
        )

"""Builder of scenes from light fields: order of the views, disparity, refocused frames, check of the lens law.

The frames are integrals of recorded rays, so the scene counts as ``"real"``. Intermediate views, which avoid ghosts,
are interpolated from recorded views along the disparity map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mddnet.captures.light_field import LightField, read_light_field
from mddnet.color import linear_from_srgb, srgb8_from_linear, srgb_from_linear
from mddnet.errors import RejectedScene
from mddnet.scenes import store
from mddnet.scenes.disparity import (
    DisparityMap,
    ViewGrid,
    disparity_map,
    find_orientation,
    find_range,
    grid_positions,
    occlusion_vote,
    refine_positions,
    sample_image,
    seen_from,
    texture_strength,
    view_error,
    view_grid,
)
from mddnet.scenes.kappa_fit import blur_bank, encoded_luminance
from mddnet.scenes.refocus import RefocusedFrame, ViewDisc, ViewInterpolator, refocus, steps_between_views, view_discs
from mddnet.types import Float32Array, FrameRecord, SceneRecord

RADIUS_SHARES = (0.35, 0.6, 1.0)  # radii of the three discs of views, as shares of the largest possible radius
FOCUS_PLANES = 8
LARGEST_COC_OF_WIDTH = 0.08
LARGEST_BORDER_OF_SIDE = 0.08
"""Maximum shift of a view as a share of the short edge; the shift leaves an empty border, which is cropped."""
SMALLEST_BORDER_PX = 4
SMALLEST_COC_PX = 3.0
LEAST_KNOWN = 0.1
LEAST_VOTE = 0.6
WORST_ERROR_FRACTION = 0.8
KAPPA_TOLERANCE = 0.25
NOISE_TO_CLEAN = 1.5 / 255
"""Standard deviation of the noise (sRGB) above which the central view is averaged with its neighbours."""


@dataclass(frozen=True, slots=True)
class MeasuredField:
    """Geometry and disparity of a light field."""

    grid: ViewGrid  # the used views, oriented so that larger disparity is nearer
    depth: DisparityMap  # disparity of the central view
    radius: float  # largest radius of a disc of views, in units of one view
    measures: dict[str, float]  # how clear the order and the sign were, and how far the views are off the grid


@dataclass(frozen=True, slots=True)
class LawCheck:
    """Agreement of blur by the lens law with the refocused frames."""

    error_fraction: float  # root mean square re-rendering error over that of the sharp image
    kappa_ratio: float  # best-fit kappa over the kappa from the view positions


def build_light_field_scene(folder: Path, out_root: Path) -> SceneRecord:
    """Build the scene of a light field in ``out_root/<scene>/``; RejectedScene if it is not reliable."""
    field = read_light_field(folder)
    measured = measure_field(field)
    disparity = measured.depth.disparity
    known = float(np.isfinite(disparity).mean())
    if known < LEAST_KNOWN:
        raise RejectedScene(f"disparity is known for {known:.1%} of the pixels, expected >= {LEAST_KNOWN:.0%}")
    low, high = (float(value) for value in np.nanquantile(disparity, [0.02, 0.98]))
    steps = steps_between_views(high - low)
    discs = view_discs(measured.grid, [share * measured.radius for share in RADIUS_SHARES], steps)
    largest_coc = discs[-1].kappa_px * (high - low)
    if largest_coc < SMALLEST_COC_PX:
        raise RejectedScene(
            f"too little parallax: the largest blur is {largest_coc:.1f} px, expected >= {SMALLEST_COC_PX}"
        )
    interpolator = ViewInterpolator(measured.grid, measured.depth.filled)
    noise = noise_of_views(measured.grid, measured.depth)
    sharp = interpolator.real_view(measured.grid.centre)
    if noise > NOISE_TO_CLEAN:
        sharp = clean_central_view(measured.grid, measured.depth)
    planes = np.linspace(low, high, FOCUS_PLANES)
    border = max(SMALLEST_BORDER_PX, int(np.ceil(np.abs(planes).max() * measured.radius)))
    inner = (slice(border, -border), slice(border, -border))
    refocused = refocus(interpolator, discs, planes.tolist())
    frames = [replace(frame, linear=frame.linear[inner]) for frame in refocused]
    law = check_law(sharp[inner], disparity[inner], frames, discs)
    if law.error_fraction > WORST_ERROR_FRACTION:
        raise RejectedScene(
            f"blur explains too little: the re-rendering error is {law.error_fraction:.2f} of that of the sharp image, "
            f"expected <= {WORST_ERROR_FRACTION}"
        )
    if abs(law.kappa_ratio - 1) > KAPPA_TOLERANCE:
        raise RejectedScene(
            f"the blur of the frames is {law.kappa_ratio:.2f} times that from the view positions, "
            f"expected 1 +- {KAPPA_TOLERANCE}"
        )
    measures = {
        "views_used": float((discs[-1].weights > 0).sum() if steps == 1 else len(measured.grid.images)),
        "steps_between_views": float(steps),
        "disparity_low": low,
        "disparity_high": high,
        "largest_coc_px": largest_coc,
        **measured.measures,
        "noise_8bit": 255 * noise,
        "unknown_share": 1 - float(np.isfinite(disparity[inner]).mean()),
        "mean_confidence": float(measured.depth.confidence[inner].mean()),
        "rerender_error_fraction": law.error_fraction,
        "kappa_ratio": law.kappa_ratio,
        "border_px": float(border),
    }
    if steps > 1:
        measures["interpolation_error_8bit"] = 255 * interpolation_error(interpolator)
    return store.write_scene(
        out_root,
        field,
        "light_field",
        unit="relative",
        frames=[FrameRecord(f"frame_{i:02d}.jpg", f.d_focus, discs[f.disc].kappa_px) for i, f in enumerate(frames)],
        images=(srgb8_from_linear(frame.linear) for frame in frames),
        sharp=srgb8_from_linear(np.maximum(sharp[inner], 0)),
        inv_depth=disparity[inner],
        confidence=measured.depth.confidence[inner],
        measures=measures,
    )


def _views(field: LightField, reach: int) -> tuple[Float32Array, int, int, tuple[int, int]]:
    """Views within ``reach`` rows and columns of the centre: images, rows, columns and the new centre."""
    row, col = field.centre
    rows = range(max(0, row - reach), min(field.rows, row + reach + 1))
    cols = range(max(0, col - reach), min(field.cols, col + reach + 1))
    images = np.stack([field.read_view(r, c) for r in rows for c in cols]).astype(np.float32)
    images /= 255
    return images, len(rows), len(cols), (row - rows.start, col - cols.start)


def measure_field(field: LightField) -> MeasuredField:
    """Find the order of the views, sign and map of the disparity, and positions; RejectedScene if one is ambiguous."""
    images, rows, cols, centre = _views(field, 1)
    axes, cost_ratio = find_orientation(images, rows, cols, centre)
    low, high = find_range(view_grid(images, grid_positions(rows, cols, centre, axes)))
    furthest = max(abs(low), abs(high))
    reach = min(
        min(field.rows, field.cols) / 2,
        LARGEST_BORDER_OF_SIDE * min(field.height, field.width) / max(furthest, 1e-6),
        LARGEST_COC_OF_WIDTH * field.width / (2 * max(high - low, 1e-6)),
    )
    if reach < 1:
        raise RejectedScene(
            f"the views are too far apart: {furthest:.1f} px per view allow {reach:.2f} views, expected >= 1"
        )
    images, rows, cols, centre = _views(field, int(np.ceil(reach - 0.5)))
    grid = view_grid(images, grid_positions(rows, cols, centre, axes))
    depth = disparity_map(grid.within(2), low, high)
    vote = occlusion_vote(grid.within(2) if high - low > 2 else grid, depth.filled)
    if max(vote, 1 - vote) < LEAST_VOTE:
        raise RejectedScene(
            f"near and far are ambiguous: {vote:.0%} of the occlusions support larger as near, "
            f"expected >= {LEAST_VOTE:.0%} or <= {1 - LEAST_VOTE:.0%}"
        )
    if vote < 0.5:
        grid = replace(grid, positions=-grid.positions)
        depth = replace(depth, disparity=-depth.disparity, filled=-depth.filled)
        low, high, vote = -high, -low, 1 - vote
    fitted = refine_positions(grid, depth.disparity)
    off_grid = float(np.sqrt(((fitted.positions - grid.positions) ** 2).mean()))
    if view_error(fitted, depth.disparity) < view_error(grid, depth.disparity):
        grid = fitted
    clear = {"near_vote": vote, "order_cost_ratio": cost_ratio}
    return MeasuredField(grid, disparity_map(grid, low, high), reach, clear | {"views_off_grid": off_grid})


def _neighbours(grid: ViewGrid) -> NDArray[np.intp]:
    near = np.abs(grid.positions).max(axis=1) < 1.5
    near[grid.centre] = False
    return np.flatnonzero(near)


def _onto_centre(grid: ViewGrid, view: int, disparity: Float32Array) -> Float32Array:
    return sample_image(grid.images[view], *seen_from(grid.positions[view], disparity, grid.offsets_px[view]))


def noise_of_views(grid: ViewGrid, depth: DisparityMap) -> float:
    """Standard deviation of the noise of one view (sRGB in [0, 1]), from its difference to neighbours.

    Robust: the median absolute difference where the disparity is known, over sqrt(2) (two noisy values) and 0.6745.
    """
    known = np.isfinite(depth.disparity)
    reference = grid.images[grid.centre]
    differences = []
    for view in _neighbours(grid):
        apart = _onto_centre(grid, int(view), depth.filled)[known] - reference[known]
        differences.append(float(np.median(np.abs(apart - np.median(apart)))))
    return float(np.median(differences) / (0.6745 * np.sqrt(2)))


def clean_central_view(grid: ViewGrid, depth: DisparityMap) -> Float32Array:
    """Central view averaged with its matching neighbours along the disparity, linear light."""
    reference = grid.images[grid.centre]
    total = linear_from_srgb(np.clip(reference, 0, 1))
    weights = np.ones(reference.shape[:2], dtype=np.float32)
    smooth_reference = cv2.blur(reference, (3, 3))
    for view in _neighbours(grid):
        warped = _onto_centre(grid, int(view), depth.filled)
        apart = np.abs(cv2.blur(warped, (3, 3)) - smooth_reference).max(axis=2)
        weight = np.exp(-((apart / 0.03) ** 2)) * np.clip(2 * depth.confidence, 0, 1)
        total += weight[..., None] * linear_from_srgb(np.clip(warped, 0, 1)) * np.float32(grid.gains[view])
        weights += weight
    return np.asarray(total / weights[..., None], dtype=np.float32)


def interpolation_error(interpolator: ViewInterpolator) -> float:
    """Root mean square error (sRGB, 0..1) of the views next to the centre, interpolated from those around each."""
    grid = interpolator.grid
    errors = []
    for view in _neighbours(grid):
        position = grid.positions[view]
        interpolated = interpolator.view_at(position, leave_out=int(view))
        apart = srgb_from_linear(interpolated) - srgb_from_linear(interpolator.real_view(int(view)))
        errors.append(float((apart[8:-8, 8:-8] ** 2).mean()))
    return float(np.sqrt(np.mean(errors)))


def check_law(
    sharp_linear: Float32Array, disparity: Float32Array, frames: Sequence[RefocusedFrame], discs: Sequence[ViewDisc]
) -> LawCheck:
    """Compare the refocused frames with the sharp image blurred by ``kappa |d_focus - d|`` where d is known."""
    texture = texture_strength(srgb_from_linear(sharp_linear))
    known = np.isfinite(disparity)
    d = np.where(known, disparity, 0.0).astype(np.float32)
    # Exclude depth edges, where two surfaces mix.
    closed = np.where(known, d, np.nanmedian(disparity)).astype(np.float32)
    step = cv2.morphologyEx(closed, cv2.MORPH_GRADIENT, np.ones((9, 9)))
    flat = step < 0.15 * (np.nanquantile(disparity, 0.98) - np.nanquantile(disparity, 0.02))
    use = known & (texture >= np.quantile(texture, 0.4))
    use = use & flat if (use & flat).mean() > 0.02 else use
    largest = max(disc.kappa_px for disc in discs) * float(np.nanmax(disparity) - np.nanmin(disparity))
    bank = blur_bank(sharp_linear, 1.6 * largest)
    pictures = [encoded_luminance(frame.linear) for frame in frames]

    def error_at(ratio: float) -> float:
        squares = []
        for picture, frame in zip(pictures, frames, strict=True):
            diameter = ratio * discs[frame.disc].kappa_px * np.abs(frame.d_focus - d)
            squares.append(float(((bank.render(diameter) - picture)[use] ** 2).mean()))
        return float(np.sqrt(np.mean(squares)))

    ratios = np.geomspace(0.6, 1.6, 21)
    best = int(np.argmin([error_at(ratio) for ratio in ratios]))
    unblurred = float(np.sqrt(np.mean([((picture - bank.encoded[0])[use] ** 2).mean() for picture in pictures])))
    return LawCheck(error_at(1.0) / max(unblurred, 1e-9), float(ratios[best]))

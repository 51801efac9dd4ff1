"""Disparity of the central view of a light field by plane sweep, and the geometry of its views.

Convention: a point at pixel x of the central view with disparity d is at ``x - d * p`` in the view at position
p = (row, column), in units of one view. d is in pixels per view and **larger is nearer**, which makes it an affine
inverse depth (for parallel cameras d = baseline * focal length * (1/z - 1/z0)). The directions of rows and columns are
estimated: the axes from agreement of the views, near against far from occlusion.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

from mddnet.errors import RejectedScene
from mddnet.scenes.align import scaled_about
from mddnet.scenes.guided_filter import grey_guided
from mddnet.types import BoolArray, Float32Array

AXES: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "rows down, columns right": ((1, 0), (0, 1)),
    "rows down, columns left": ((1, 0), (0, -1)),
    "rows right, columns down": ((0, 1), (1, 0)),
    "rows left, columns down": ((0, -1), (1, 0)),
}
"""Orientations of a grid, up to the common sign that occlusion determines: name -> step of a row, of a column."""

SMOOTHNESS = 0.3  # weight of the differences of neighbours against the data
MIN_CONFIDENCE = 0.2
COST_CAP = 0.12  # truncation of the colour difference (sRGB in [0, 1]), for occluded points


@dataclass(frozen=True, slots=True)
class ViewGrid:
    """Views with their positions relative to the central one."""

    images: Float32Array  # (N, H, W, 3) float32, sRGB-encoded in [0, 1]
    positions: NDArray[np.float64]  # (N, 2) row and column of each view, in views; images[centre] is at (0, 0)
    offsets_px: NDArray[np.float64]  # (N, 2) residual shift (row, column): x of the centre is at x - d p + offset
    gains: NDArray[np.float64]  # (N,) factor in linear light that equalises a view with the central one
    centre: int  # index of the central view

    def within(self, radius: float) -> ViewGrid:
        """The views within ``radius`` of the centre (largest absolute row or column)."""
        return self.only(np.abs(self.positions).max(axis=1) <= radius + 0.25)

    def only(self, chosen: BoolArray) -> ViewGrid:
        """The chosen views, which must include the central one."""
        keep = np.flatnonzero(chosen)
        centre = int(np.flatnonzero(keep == self.centre)[0])
        return ViewGrid(self.images[keep], self.positions[keep], self.offsets_px[keep], self.gains[keep], centre)


@dataclass(frozen=True, slots=True)
class DisparityMap:
    """Disparity of the central view."""

    disparity: Float32Array  # (H, W) float32, pixels per view, larger is nearer; NaN without a match
    filled: Float32Array  # (H, W) float32, the same with gaps filled by the smoothness term; for rendering only
    confidence: Float32Array  # (H, W) float32 in [0, 1]: agreement of two disjoint halves of the views, and texture


def shift_image(image: Float32Array, dy: float, dx: float) -> Float32Array:
    """Sample ``image`` at (y + dy, x + dx) with cubic interpolation and replicated border."""
    return scaled_about(image, 1.0, shift=complex(dx, dy))


def sample_image(image: Float32Array, y: Float32Array, x: Float32Array) -> Float32Array:
    """Sample ``image`` at pixel coordinates with cubic interpolation and replicated border."""
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)


def seen_from(
    position: NDArray[np.float64], disparity: Float32Array, offset_px: NDArray[np.float64] | None = None
) -> tuple[Float32Array, Float32Array]:
    """Row and column, x - d p + o, at which the view at ``position`` sees each point of the central view."""
    y, x = np.indices(disparity.shape, dtype=np.float32)
    dy, dx = np.zeros(2) if offset_px is None else offset_px
    rows, columns = y - disparity * position[0] + dy, x - disparity * position[1] + dx
    return rows.astype(np.float32), columns.astype(np.float32)


def grid_positions(rows: int, cols: int, centre: tuple[int, int], axes: str) -> NDArray[np.float64]:
    """(rows * cols, 2) positions of a regular grid with ``axes`` of :data:`AXES`, in views, (0, 0) at ``centre``."""
    row_step, col_step = np.array(AXES[axes], dtype=np.float64)
    r, c = np.mgrid[:rows, :cols]
    return (r.reshape(-1, 1) - centre[0]) * row_step + (c.reshape(-1, 1) - centre[1]) * col_step


def texture_strength(image: Float32Array) -> Float32Array:
    """(H, W) root mean square of the gradient in a 7x7 window, sRGB units per pixel."""
    grey = image.mean(axis=2)
    gx = cv2.Scharr(grey, cv2.CV_32F, 1, 0) / 32
    gy = cv2.Scharr(grey, cv2.CV_32F, 0, 1) / 32
    return np.sqrt(cv2.blur(gx * gx + gy * gy, (7, 7))).astype(np.float32)


def matching_costs(grid: ViewGrid, planes: NDArray[np.float64], radius: int = 3) -> Float32Array:
    """(D, H, W) cost of the central view against the best half of the views, aggregated along edges in windows.

    Halves are the views above, below, left and right of the centre: a point hidden in one is visible in another (Kang,
    Szeliski and Chai, "Handling Occlusions in Dense Multi-view Stereo", CVPR 2001).
    """
    reference = grid.images[grid.centre]
    guide = reference.mean(axis=2)
    sides = [grid.positions[:, axis] * sign > 0.25 for axis in (0, 1) for sign in (-1, 1)]
    halves = [np.flatnonzero(side) for side in sides if side.any()]
    costs = np.empty((len(planes), *guide.shape), dtype=np.float32)
    gains = grid.gains ** (1 / 2.2)  # sRGB is close to a power of 1 / 2.2 of linear light
    for plane, d in enumerate(planes):
        sums = np.zeros((len(halves), *guide.shape), dtype=np.float32)
        for view in range(len(grid.images)):
            if view == grid.centre:
                continue
            dy, dx = -d * grid.positions[view] + grid.offsets_px[view]
            shifted = shift_image(grid.images[view], dy, dx) * np.float32(gains[view])
            difference = np.minimum(cv2.absdiff(shifted, reference).mean(axis=2), COST_CAP)
            for half, members in enumerate(halves):
                if view in members:
                    sums[half] += difference
        means = [sums[half] / len(members) for half, members in enumerate(halves)]
        if radius > 0:
            means = [grey_guided(guide, mean, radius, 1e-3, cv2.BORDER_REFLECT_101) for mean in means]
        costs[plane] = np.min(means, axis=0)
    return costs


def _sweep(costs: Float32Array, edge_weight: Float32Array, p1: float, p2: float) -> Float32Array:
    """One direction of semi-global matching over (N, M, D) costs: paths run along the first axis."""
    out = np.empty_like(costs)
    out[0] = costs[0]
    for i in range(1, len(costs)):
        before = out[i - 1]
        low = before.min(axis=1, keepdims=True)
        best = np.minimum(before, low + p2 * edge_weight[i][:, None])
        best[:, 1:] = np.minimum(best[:, 1:], before[:, :-1] + p1)
        best[:, :-1] = np.minimum(best[:, :-1], before[:, 1:] + p1)
        out[i] = costs[i] + best - low
    return out


def smooth_costs(costs: Float32Array, guide: Float32Array, p1: float, p2: float) -> Float32Array:
    """Semi-global aggregation of (D, H, W) costs along four directions (Hirschmüller, PAMI 2008, eq. 13).

    ``p1`` is the penalty of a step of one plane, ``p2`` that of a larger jump, which edges of the grey ``guide`` lower.
    """
    volume = np.ascontiguousarray(costs.transpose(1, 2, 0))  # H W D
    total = np.zeros_like(volume)
    for axis in (0, 1):
        lines = np.ascontiguousarray(np.moveaxis(volume, axis, 0))
        step = np.abs(np.diff(np.moveaxis(guide, axis, 0), axis=0))
        forward = np.vstack([np.ones_like(step[:1]), 1.0 / (1.0 + step / 0.02)])
        backward = np.vstack([np.ones_like(step[:1]), 1.0 / (1.0 + step[::-1] / 0.02)])
        total += np.moveaxis(_sweep(lines, forward, p1, p2), 0, axis)
        total += np.moveaxis(_sweep(lines[::-1], backward, p1, p2)[::-1], 0, axis)
    return np.asarray(total.transpose(2, 0, 1) / 4, dtype=np.float32)


def subpixel_argmin(costs: Float32Array, planes: NDArray[np.float64]) -> Float32Array:
    """(H, W) plane of least cost, refined by the parabola through its neighbours; ``planes`` must be evenly spaced."""
    best = costs.argmin(axis=0)
    inner = np.clip(best, 1, len(planes) - 2)[None]
    before, here, after = (np.take_along_axis(costs, inner + step, axis=0)[0] for step in (-1, 0, 1))
    bend = before + after - 2 * here
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(bend > 0, 0.5 * (before - after) / bend, 0.0)
    refined = inner[0] + np.clip(shift, -1, 1)
    refined = np.where((best == 0) | (best == len(planes) - 1), best, refined)
    return (planes[0] + refined * (planes[1] - planes[0])).astype(np.float32)


def smooth_map(values: Float32Array, weights: Float32Array, guide: Float32Array) -> Float32Array:
    """Fill and smooth a finite (H, W) map along the edges of an (H, W, 3) image by weighted least squares.

    Minimises sum w (s - v)^2 + 0.3 * sum over neighbours a (s_i - s_j)^2 with a = 1 / (1 + (|difference of the
    guide| / 0.02)^2) (Farbman et al., SIGGRAPH 2008, eq. 1, with confidence as the weight of the data).
    """
    height, width = values.shape
    count = height * width
    index = np.arange(count).reshape(height, width)
    i = np.concatenate([index[1:].ravel(), index[:, 1:].ravel()])
    j = np.concatenate([index[:-1].ravel(), index[:, :-1].ravel()])
    steps = np.concatenate([np.abs(np.diff(guide, axis=axis)).max(axis=2).ravel() for axis in (0, 1)])
    a = SMOOTHNESS / (1 + (steps / 0.02) ** 2) + 1e-5
    trust = weights.astype(np.float64).ravel() + 1e-6
    diagonal = trust + np.bincount(i, a, count) + np.bincount(j, a, count)
    at = (np.concatenate([i, j]), np.concatenate([j, i]))
    off = sparse.coo_matrix((np.concatenate([-a, -a]), at), (count, count))
    matrix = (off + sparse.diags(diagonal)).tocsc()
    solved = spsolve(matrix, trust * values.astype(np.float64).ravel(), permc_spec="MMD_AT_PLUS_A")
    return np.asarray(solved, dtype=np.float32).reshape(height, width)


def find_orientation(
    images: Float32Array, rows: int, cols: int, centre: tuple[int, int], search_px: float = 16.0
) -> tuple[str, float]:
    """Directions of rows and columns, up to the common sign, by which the views, (N, H, W, 3), agree at the centre.

    Returns one of :data:`AXES`, and its mean matching cost over that of the second best.
    """
    reference = images[centre[0] * cols + centre[1]]
    texture = texture_strength(reference)
    textured = texture >= np.quantile(texture, 0.6)
    grey = images.mean(axis=3)
    reference_grey = reference.mean(axis=2)
    step = 0.5
    planes = np.arange(-search_px, search_px + step / 2, step)
    scored = []
    for name in AXES:
        positions = grid_positions(rows, cols, centre, name)
        # All direct and diagonal neighbours: one disparity must explain all of them.
        near = [i for i in range(rows * cols) if 0 < np.abs(positions[i]).max() <= 1]
        best = np.full(texture.shape, np.inf, dtype=np.float32)
        for d in planes:
            cost = np.zeros_like(texture)
            for i in near:
                dy, dx = -d * positions[i]
                cost += np.minimum(np.abs(shift_image(grey[i], dy, dx) - reference_grey), COST_CAP)
            best = np.minimum(best, cv2.blur(cost, (9, 9)) / len(near))
        scored.append((float(best[textured].mean()), name))
    scored.sort()
    (lowest, name), (runner_up, other) = scored[0], scored[1]
    if not lowest < 0.95 * runner_up:
        raise RejectedScene(
            f"the order of the views is ambiguous: {name!r} costs {lowest:.4f}, {other!r} {runner_up:.4f}, "
            "expected a difference of 5 %"
        )
    return name, lowest / runner_up


def find_range(grid: ViewGrid, search_px: float = 16.0) -> tuple[float, float]:
    """Lowest and highest disparity of clearly matched pixels, from the views next to the centre."""
    near = grid.within(1)
    planes = np.arange(-search_px, search_px + 0.125, 0.25)
    costs = matching_costs(near, planes, radius=4)
    d = subpixel_argmin(costs, planes)
    texture = texture_strength(near.images[near.centre])
    clear = (texture >= np.quantile(texture, 0.5)) & (costs.min(axis=0) < 0.4 * np.median(costs, axis=0))
    if clear.mean() < 0.02:
        raise RejectedScene(f"only {clear.mean():.1%} of the pixels match between neighbouring views, expected 2 %")
    low, high = np.quantile(d[clear], [0.01, 0.99])
    return float(low), float(high)


def forward_map(
    values: Float32Array, disparity: Float32Array, position: NDArray[np.float64], near_wins: bool = True
) -> Float32Array:
    """Warp (H, W) ``values`` from the centre to ``position``, NaN where there is none; of two, the nearer wins."""
    height, width = disparity.shape
    order = np.argsort(disparity.ravel() if near_wins else -disparity.ravel(), kind="stable")
    ty, tx = (at.ravel()[order] for at in seen_from(position, disparity))
    flat = values.ravel()[order]
    out = np.full(height * width, np.nan, dtype=np.float32)
    # The last write wins, so the nearer values are written last; splats of 2x2 avoid cracks in slanted surfaces.
    rows = np.stack([np.floor(ty), np.floor(ty), np.ceil(ty), np.ceil(ty)], axis=1).astype(np.int64).ravel()
    cols = np.stack([np.floor(tx), np.ceil(tx), np.floor(tx), np.ceil(tx)], axis=1).astype(np.int64).ravel()
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    out[rows[inside] * width + cols[inside]] = np.repeat(flat, 4)[inside]
    return out.reshape(height, width)


def occlusion_vote(grid: ViewGrid, disparity: Float32Array) -> float:
    """Share, weighted by error, of occlusions that support "larger disparity is nearer" over its opposite.

    Both hypotheses predict every view from the central one. They differ only where two surfaces map to one pixel, and
    there the outermost views show which is visible. RejectedScene if too few pixels decide, as with a single plane.
    """
    reach = np.abs(grid.positions).max(axis=1)
    voters = np.flatnonzero(reach >= reach.max() - 0.25)
    reference = grid.images[grid.centre]
    for_larger, weight, contested = 0.0, 0.0, 0
    for view in voters:
        near = forward_map(disparity, disparity, grid.positions[view])
        far = forward_map(disparity, disparity, grid.positions[view], near_wins=False)
        differs = np.isfinite(near) & np.isfinite(far) & (np.abs(near - far) * reach[view] > 1.5)
        if not differs.any():
            continue
        dy, dx = grid.offsets_px[view]
        observed = shift_image(grid.images[view], dy, dx)
        errors = []
        for candidate in (near, far):
            predicted = sample_image(reference, *seen_from(-grid.positions[view], np.nan_to_num(candidate)))
            errors.append(cv2.blur(np.abs(predicted - observed).mean(axis=2), (3, 3)))
        clear = differs & (np.abs(errors[0] - errors[1]) > 0.02)
        gain = (errors[1] - errors[0])[clear]
        for_larger += float(gain[gain > 0].sum())
        weight += float(np.abs(gain).sum())
        contested += int(clear.sum())
    if contested < 50:
        raise RejectedScene(f"near and far are ambiguous: {contested} pixels at occlusions decide, expected 50")
    return for_larger / weight


def refine_positions(grid: ViewGrid, disparity: Float32Array, rounds: int = 2) -> ViewGrid:
    """Fit each view's position, residual shift and gain to the central view, by Gauss-Newton on the colour difference.

    Solves I_v(x - d p + o) + grad I . (-d dp + do) = I_c(x) for dp and do over textured, matching pixels (Lucas and
    Kanade, IJCAI 1981, with two unknown vectors). The mean scale of the grid, and so the unit of disparities, is kept.
    """
    reference = grid.images[grid.centre].mean(axis=2)
    texture = texture_strength(grid.images[grid.centre])
    trusted = np.isfinite(disparity) & (texture >= np.nanquantile(texture, 0.5))
    d = np.nan_to_num(disparity)
    positions, offsets, gains = grid.positions.copy(), grid.offsets_px.copy(), grid.gains.copy()
    border = 4
    for view in range(len(grid.images)):
        if view == grid.centre:
            continue
        grey = grid.images[view].mean(axis=2)
        for _ in range(rounds):
            sy, sx = seen_from(positions[view], d, offsets[view])
            warped = sample_image(grey, sy, sx) * np.float32(gains[view] ** (1 / 2.2))
            inside = (sy > border) & (sx > border) & (sy < d.shape[0] - border) & (sx < d.shape[1] - border)
            difference = reference - warped
            use = trusted & inside & (np.abs(difference) < COST_CAP)
            if use.sum() < 200:
                break
            gy = cv2.Scharr(warped, cv2.CV_32F, 0, 1)[use] / 32
            gx = cv2.Scharr(warped, cv2.CV_32F, 1, 0)[use] / 32
            # Position and shift can only be separated if disparities vary; the ridge term handles other cases.
            columns = [-d[use] * gy, -d[use] * gx, gy, gx, warped[use]]
            matrix = np.stack(columns, axis=1).astype(np.float64)
            ridge = np.diag([1e-3, 1e-3, 1e-3, 1e-3, 0.0]) * len(matrix) * float((gy**2 + gx**2).mean())
            step = np.linalg.solve(matrix.T @ matrix + ridge, matrix.T @ difference[use].astype(np.float64))
            positions[view] += np.clip(step[:2], -0.3, 0.3)
            offsets[view] += np.clip(step[2:4], -1.0, 1.0)
            gains[view] *= float(np.clip(1 + step[4], 0.8, 1.25)) ** 2.2
    # Keep the unit: remove the least-squares scale between the fitted and the nominal grid.
    scale = float((positions * grid.positions).sum() / (grid.positions**2).sum())
    positions /= scale
    return replace(grid, positions=positions, offsets_px=offsets, gains=gains)


def view_error(grid: ViewGrid, disparity: Float32Array) -> float:
    """Mean colour difference (sRGB, truncated) between the central view and the others where the disparity is known."""
    known = np.isfinite(disparity)
    d = np.nan_to_num(disparity)
    reference = grid.images[grid.centre].mean(axis=2)
    errors = []
    for image, position, offset_px, gain in zip(grid.images, grid.positions, grid.offsets_px, grid.gains, strict=True):
        warped = sample_image(image.mean(axis=2), *seen_from(position, d, offset_px)) * np.float32(gain ** (1 / 2.2))
        errors.append(float(np.minimum(np.abs(warped - reference), COST_CAP)[known].mean()))
    return float(np.mean(errors))


def disparity_map(grid: ViewGrid, low: float, high: float) -> DisparityMap:
    """Disparity of the central view by occlusion-aware plane sweep, semi-global smoothing and edge-aware filling.

    The search is from ``low`` to ``high``, pixels per view; below ``MIN_CONFIDENCE`` it is unknown (NaN). The
    confidence is the product of the agreement of two disjoint halves of the views and the contrast of the matching
    cost.
    """
    reference = grid.images[grid.centre]
    reach = float(np.abs(grid.positions).max())
    finest = min(0.5 / reach, (high - low) / 8)
    margin = max(2 * finest, 0.05 * (high - low))
    planes = np.linspace(low - margin, high + margin, max(5, int(np.ceil((high - low + 2 * margin) / finest)) + 1))
    # two disjoint halves of the views, as on a checkerboard, each around the same centre
    parity = np.rint(grid.positions).astype(int).sum(axis=1) % 2
    central = np.arange(len(parity)) == grid.centre
    parts = [matching_costs(grid.only((parity == half) | central), planes) for half in (0, 1)]
    costs = np.asarray((parts[0] + parts[1]) / 2, dtype=np.float32)
    noise = float(np.median(costs.min(axis=0)))
    smooth = smooth_costs(costs, reference.mean(axis=2), p1=0.5 * noise + 0.002, p2=4 * noise + 0.03)
    matched = np.asarray(cv2.medianBlur(subpixel_argmin(smooth, planes), 3), dtype=np.float32)

    step = planes[1] - planes[0]
    rough = [subpixel_argmin(part, planes) for part in parts]
    apart = np.maximum(np.abs(rough[0] - matched), np.abs(rough[1] - matched))
    agreement = np.exp(-((apart / (2 * step)) ** 2) / 2)
    at = np.clip(np.rint((matched - planes[0]) / step).astype(int), 0, len(planes) - 1)
    rise = np.median(costs, axis=0) - np.take_along_axis(costs, at[None], axis=0)[0]
    contrast = np.clip(rise / (2 * noise + 0.004), 0, 1)
    confidence = (agreement * contrast).astype(np.float32)
    # Many weak matches would pull flat areas towards the middle of the range: below 0.1, they have no weight.
    filled = np.clip(
        smooth_map(matched, np.where(confidence > 0.1, confidence**2, 0), reference), planes[0], planes[-1]
    )
    confidence = np.clip(cv2.blur(confidence, (5, 5)), 0, 1).astype(np.float32)
    # Where filled and matched values differ, the pixel is between two surfaces.
    known = (confidence >= MIN_CONFIDENCE) & (np.abs(filled - matched) <= 2 * step)
    disparity = np.where(known, filled, np.float32(np.nan)).astype(np.float32)
    return DisparityMap(disparity, filled, confidence)


def view_grid(views: Iterable[Float32Array], positions: NDArray[np.float64]) -> ViewGrid:
    """A grid of views at the given positions, one of them (0, 0), with zero shifts and unit gains."""
    images = np.stack(list(views)).astype(np.float32)
    if len(images) != len(positions):
        raise ValueError(f"{len(images)} views at {len(positions)} positions; expected as many positions as views")
    at_centre = np.flatnonzero(np.abs(positions).max(axis=1) == 0)
    if len(at_centre) != 1:
        raise ValueError(f"{len(at_centre)} views at position (0, 0); expected exactly one")
    shifts, gains = np.zeros((len(images), 2)), np.ones(len(images))
    return ViewGrid(images, np.asarray(positions, dtype=np.float64), shifts, gains, int(at_centre[0]))

"""Refocusing of light fields: integration of a disc of views, in linear light, for a given plane of focus.

A view at position p is sampled at ``x - d_focus * p``. A point at disparity d is then spread by ``(d_focus - d) * p``
over the disc, so its circle of confusion is ``kappa * |d_focus - d|`` (Ng et al., "Light Field Photography with a
Hand-held Plenoptic Camera", 2005, eq. 4 as shift and add). Views that are too far apart would leave separate ghosts:
intermediate views are then interpolated along the disparity map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mddnet.color import linear_from_srgb
from mddnet.optics import light_field_kappa_px
from mddnet.scenes.disparity import ViewGrid, forward_map, sample_image, seen_from, shift_image
from mddnet.scenes.filling import fill_from_behind
from mddnet.types import Float32Array

MAX_GHOST_PX = 1.0  # maximum distance between the images of a point in two adjacent views at the worst focus


@dataclass(frozen=True, slots=True)
class ViewDisc:
    """The views of one disc."""

    positions: NDArray[np.float64]  # (N, 2) row and column of the views, in units of one view
    weights: NDArray[np.float64]  # (N,) share of each view's cell inside the disc; they sum to 1

    @property
    def kappa_px(self) -> float:
        """CoC diameter in pixels per (pixel per view) of disparity."""
        return light_field_kappa_px(self.positions, self.weights)


@dataclass(frozen=True, slots=True)
class RefocusedFrame:
    """One refocused image."""

    linear: Float32Array  # (H, W, 3) float32, linear light
    d_focus: float  # disparity in focus, pixels per view
    disc: int  # index of the disc of views


def disc_weights(positions: NDArray[np.float64], radius: float, spacing: float) -> NDArray[np.float64]:
    """(N,) share of each view's square cell, of edge ``spacing``, inside the disc around (0, 0); not normalised."""
    sub = (np.arange(8) + 0.5) / 8 - 0.5
    oy, ox = np.meshgrid(sub * spacing, sub * spacing, indexing="ij")
    y = positions[:, 0, None] + oy.ravel()
    x = positions[:, 1, None] + ox.ravel()
    return np.asarray((y * y + x * x <= radius * radius).mean(axis=1))


def steps_between_views(disparity_range: float) -> int:
    """Number of steps between two views that avoids ghosts, for a largest |d_focus - d| in pixels per view."""
    return max(1, int(np.ceil(disparity_range / MAX_GHOST_PX)))


def _nearest_views(grid: ViewGrid, position: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The up to four views around a position, with the weights of bilinear interpolation."""
    away = np.abs(grid.positions - position)
    weight = np.clip(1 - away, 0, None).prod(axis=1)
    views = np.argsort(-weight, kind="stable")[:4]
    views = views[weight[views] > 0.02]
    if len(views) == 0:
        views = np.array([int(away.sum(axis=1).argmin())], dtype=np.intp)
        return views, np.ones(1)
    return views, weight[views] / weight[views].sum()


class ViewInterpolator:
    """Interpolates views of a light field in linear light, using the central disparity map."""

    def __init__(self, grid: ViewGrid, disparity: Float32Array) -> None:
        if disparity.shape != grid.images.shape[1:3] or not np.isfinite(disparity).all():
            raise ValueError(
                f"disparity has shape {disparity.shape}, {np.isfinite(disparity).mean():.1%} of it finite; "
                f"expected a map without gaps of shape {grid.images.shape[1:3]}"
            )
        self.grid = grid
        self.disparity = disparity
        self._linear: dict[int, Float32Array] = {}
        self._maps: dict[int, Float32Array] = {}

    def real_view(self, view: int) -> Float32Array:
        """(H, W, 3) linear light of a real view with its residual shift and gain corrected."""
        if view not in self._linear:
            dy, dx = self.grid.offsets_px[view]
            linear = linear_from_srgb(self.grid.images[view]) * np.float32(self.grid.gains[view])
            self._linear[view] = shift_image(linear, dy, dx) if max(abs(dy), abs(dx)) > 0.01 else linear
        return self._linear[view]

    def disparity_at(self, position: NDArray[np.float64]) -> Float32Array:
        """(H, W) disparity at ``position``; areas hidden from the centre are filled from behind."""
        return fill_from_behind(forward_map(self.disparity, self.disparity, position))

    def view_at(self, position: NDArray[np.float64], leave_out: int | None = None) -> Float32Array:
        """Linear light of the view at ``position``, from the views around it (but ``leave_out``) that see the point."""
        grid = self.grid
        if leave_out is not None:
            keep = np.flatnonzero(np.arange(len(grid.images)) != leave_out)
            reach = np.abs(grid.positions[keep] - position)
            views = keep[np.argsort(reach.sum(axis=1), kind="stable")[:4]]
            weights = np.full(len(views), 1 / len(views))
        else:
            views, weights = _nearest_views(grid, position)
            if len(views) == 1 and np.abs(grid.positions[views[0]] - position).max() < 0.02:
                return self.real_view(int(views[0]))
        d = self.disparity_at(position)
        total = np.zeros((*d.shape, 3), dtype=np.float32)
        weight_sum = np.zeros(d.shape, dtype=np.float32)
        for view, weight in zip(views, weights, strict=True):
            step = grid.positions[view] - position
            sy, sx = seen_from(step, d)
            if view not in self._maps:
                self._maps[view] = self.disparity_at(grid.positions[view])
            there = cv2.remap(self._maps[view], sx, sy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            hidden = (there - d) * np.float32(np.abs(step).max()) > 0.75
            share = np.where(hidden, np.float32(1e-3), np.float32(1)) * np.float32(weight)
            total += sample_image(self.real_view(int(view)), sy, sx) * share[..., None]
            weight_sum += share
        return np.asarray(total / weight_sum[..., None], dtype=np.float32)


def disc_lattice(grid: ViewGrid, radius: float, steps: int) -> NDArray[np.float64]:
    """(N, 2) positions whose cells touch a disc of ``radius``: the real views, or a lattice of ``steps`` per view."""
    if steps == 1:
        return grid.positions[np.hypot(*grid.positions.T) <= radius + 0.75]
    count = int(np.ceil((radius + 1 / steps) * steps))
    line = np.arange(-count, count + 1) / steps
    lattice = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    low, high = grid.positions.min(axis=0) - 1e-6, grid.positions.max(axis=0) + 1e-6
    inside = (lattice >= low).all(axis=1) & (lattice <= high).all(axis=1)
    return lattice[inside]


def view_discs(grid: ViewGrid, radii: Sequence[float], steps: int) -> list[ViewDisc]:
    """Discs of views around the central one, with ``steps`` samples per view (see :func:`steps_between_views`)."""
    lattice = disc_lattice(grid, max(radii), steps)
    discs = []
    for radius in radii:
        weights = disc_weights(lattice, radius, 1 / steps)
        if (weights > 0).sum() < 2:
            raise ValueError(f"a disc of radius {radius} holds {(weights > 0).sum()} view(s); expected at least 2")
        discs.append(ViewDisc(lattice, weights / weights.sum()))
    return discs


def refocus(
    interpolator: ViewInterpolator, discs: Sequence[ViewDisc], d_focus: Sequence[float]
) -> Iterator[RefocusedFrame]:
    """Refocus a light field at every disparity with every disc of one lattice, in one pass over the views.

    Pixels closer to the border than ``max |d_focus| * radius`` contain replicated border pixels.
    """
    height, width = interpolator.disparity.shape
    sums = np.zeros((len(discs), len(d_focus), height, width, 3), dtype=np.float32)
    for index, position in enumerate(discs[0].positions):
        shares = [float(disc.weights[index]) for disc in discs]
        if not any(shares):
            continue
        image = interpolator.view_at(position)
        for plane, d in enumerate(d_focus):
            shifted = shift_image(image, *(-d * position))
            for disc, share in enumerate(shares):
                if share > 0:
                    sums[disc, plane] += np.float32(share) * shifted
    for plane, d in enumerate(d_focus):
        for disc in range(len(discs)):
            yield RefocusedFrame(np.maximum(sums[disc, plane], 0), float(d), disc)

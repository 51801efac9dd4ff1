"""Synthetic depth for sharp photos: slanted planes, smooth relief and foreground pieces with various outlines.

Rendered blur is exact for any depth, so the depth need not be plausible, but it must be predictable from blur alone.
Hence pieces have random positions and slopes have random directions, so that the vertical-position prior is right half
of the time. The sign of the defocus shows at occlusion edges, by which surface the sharp outline belongs to; so most
scenes paste a piece of a second photo over the first, whose outline is a true edge.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2, vq

from mddnet.color import linear_from_srgb8
from mddnet.scenes.render import Surface, render_surfaces, with_hidden
from mddnet.types import BoolArray, Float32Array, UInt8Array

Outline = Literal["ellipse", "polygon", "blob", "segment"]
OUTLINES: tuple[Outline, ...] = ("ellipse", "polygon", "blob", "segment")

MIN_PIECE_SHARE = 0.008
MAX_PIECE_SHARE = 0.35
OCCLUSION_JUMP = 0.05  # minimum step of relative inverse depth of an occlusion edge within one photo
HIDDEN_REACH_PX = 16


@dataclass(frozen=True, slots=True)
class SyntheticScene:
    """Input of :func:`mddnet.scenes.render.render_surfaces`."""

    surfaces: tuple[Surface, ...]  # nearest first; the last ones cover everything
    inv_depth: Float32Array  # (H, W) relative inverse depth of the visible surfaces, 0 farthest and 1 nearest
    pasted: int  # number of pieces of the second photo

    def sharp_linear(self) -> Float32Array:
        """(H, W, 3) linear light of the scene without blur."""
        return render_surfaces(self.surfaces, 0.0, 0.0)


def smooth_noise(shape: tuple[int, int], cells: int, rng: np.random.Generator) -> Float32Array:
    """Smooth noise in [0, 1] with about ``cells`` hills along the long edge."""
    height, width = shape
    step = max(height, width) / cells
    grid = rng.standard_normal((int(np.ceil(height / step)) + 4, int(np.ceil(width / step)) + 4)).astype(np.float32)
    large = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return _unit_range(np.asarray(large, dtype=np.float32)[top : top + height, left : left + width])


def slanted_plane(shape: tuple[int, int], rng: np.random.Generator) -> Float32Array:
    """A plane that rises from 0 to 1 in a random direction of the image."""
    height, width = shape
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return _unit_range(np.cos(angle) * x + np.sin(angle) * y)


def segments(srgb8: UInt8Array, count: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """(H, W) labels, from 0, of connected pieces of similar colour: k-means of colour and position at half size."""
    height, width = srgb8.shape[:2]
    half_size = (max(8, width // 2), max(8, height // 2))
    small = cv2.medianBlur(cv2.resize(srgb8, half_size, interpolation=cv2.INTER_AREA), 5)
    rows, columns = small.shape[:2]
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    position_weight = 100.0 * float(rng.uniform(0.3, 1.0)) / max(rows, columns)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    features = np.dstack([lab, x * position_weight, y * position_weight]).reshape(-1, 5)
    centres = features[rng.choice(len(features), count, replace=False)]
    # Not OpenCV's k-means, whose random generator would make scenes irreproducible.
    sample = features[rng.choice(len(features), min(len(features), 4000), replace=False)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about clusters without a member, which stay where they are
        centres, _ = kmeans2(sample, centres, iter=6, minit="matrix")
    labels = cv2.medianBlur(vq(features, centres)[0].astype(np.uint8).reshape(rows, columns), 5)
    full = cv2.medianBlur(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST), 5)
    pieces = np.zeros((height, width), dtype=np.int32)
    used = 0
    for k in range(count):
        number, parts = cv2.connectedComponents((full == k).astype(np.uint8), connectivity=4)
        inside = parts > 0
        pieces[inside] = parts[inside] - 1 + used
        used += number - 1
    return pieces


def random_outline(
    shape: tuple[int, int], outline: Outline, rng: np.random.Generator, labels: NDArray[np.int32]
) -> BoolArray | None:
    """A random (H, W) mask of a kind, or None if its size is not useful; a segment is made of ``labels``."""
    height, width = shape
    long_side = max(height, width)
    mask = np.zeros(shape, dtype=np.uint8)
    centre = np.array([rng.uniform(0, width), rng.uniform(0, height)])
    if outline == "segment":
        sizes = np.bincount(labels.ravel())
        fit = np.flatnonzero((sizes > MIN_PIECE_SHARE * labels.size) & (sizes < MAX_PIECE_SHARE * labels.size))
        if not len(fit):
            return None
        chosen = rng.choice(fit, min(len(fit), int(rng.integers(1, 3))), replace=False)
        round_window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
        closed = cv2.morphologyEx(np.isin(labels, chosen).astype(np.uint8), cv2.MORPH_CLOSE, round_window)
        mask = np.asarray(closed, dtype=np.uint8)
    elif outline == "ellipse":
        axes = long_side * np.exp(rng.uniform(np.log(0.04), np.log(0.35), 2))
        angle_deg = float(rng.uniform(0, 180))
        cv2.ellipse(mask, ((centre[0], centre[1]), (2 * axes[0], 2 * axes[1]), angle_deg), 1, -1)
    elif outline == "polygon":
        corners = int(rng.integers(3, 12))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radii = long_side * rng.uniform(0.06, 0.4) * rng.uniform(0.3, 1.0, corners)
        points = centre + radii[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
        cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 1)
    else:
        noise = smooth_noise(shape, int(rng.integers(3, 14)), rng)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        reach = long_side * rng.uniform(0.1, 0.4)
        mask = (noise - 0.6 * np.hypot(x - centre[0], y - centre[1]) / reach > rng.uniform(0.1, 0.4)).astype(np.uint8)
    share = float(mask.mean())
    return mask.astype(bool) if MIN_PIECE_SHARE < share < 2 * MAX_PIECE_SHARE else None


def texture(srgb8: UInt8Array) -> float:
    """Mean absolute Laplacian of the grey image, in 8-bit steps: a measure of the detail that blur removes."""
    grey = cv2.cvtColor(srgb8, cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())


def _unit_range(values: Float32Array) -> Float32Array:
    low, high = float(values.min()), float(values.max())
    return ((values - low) / max(high - low, 1e-9)).astype(np.float32)


def _background_depth(srgb8: UInt8Array, labels: NDArray[np.int32], rng: np.random.Generator) -> Float32Array:
    """Inverse depth in [0, 1] of a whole photo: planes, relief, and steps along segments or random outlines."""
    shape = srgb8.shape[:2]
    relief = smooth_noise(shape, int(rng.integers(2, 6)), rng)
    mix = rng.dirichlet([1.0, 0.8])
    depth = (mix[0] * slanted_plane(shape, rng) + mix[1] * relief) * rng.uniform(0.1, 1.0)
    for _ in range(int(rng.integers(0, 5))):
        outline: Outline = "segment" if rng.random() < 0.6 else OUTLINES[int(rng.integers(0, 3))]
        mask = random_outline(shape, outline, rng, labels)
        if mask is None:
            continue
        tilt = slanted_plane(shape, rng) * rng.uniform(0.0, 0.3)
        raised = float(depth[mask].max()) + rng.uniform(0.05, 0.6)
        depth = np.where(mask, np.maximum(raised + tilt - tilt[mask].mean(), depth), depth)
    return _unit_range(depth.astype(np.float32))


def _random_part(srgb8: UInt8Array, shape: tuple[int, int], rng: np.random.Generator) -> UInt8Array:
    """The most textured of three random crops of another photo, since blur shows only in texture."""
    height, width = shape
    # Enlarging would soften areas labelled as sharp, so it is kept to a minimum.
    scale = max(height / srgb8.shape[0], width / srgb8.shape[1], float(rng.uniform(0.6, 1.0)))
    if abs(scale - 1.0) > 1e-3:
        size = (int(np.ceil(srgb8.shape[1] * scale)), int(np.ceil(srgb8.shape[0] * scale)))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        srgb8 = np.asarray(cv2.resize(srgb8, size, interpolation=how), dtype=np.uint8)
    crops = []
    for _ in range(3):
        top = int(rng.integers(0, srgb8.shape[0] - height + 1))
        left = int(rng.integers(0, srgb8.shape[1] - width + 1))
        crops.append(np.ascontiguousarray(srgb8[top : top + height, left : left + width]))
    return max(crops, key=texture)


def synthetic_scene(
    srgb8: UInt8Array, rng: np.random.Generator, other_srgb8: UInt8Array | None = None
) -> SyntheticScene:
    """A synthetic scene from a photo of at least 16 x 16 px, and 1 to 4 pieces of a second one in front of it."""
    if srgb8.dtype != np.uint8 or srgb8.ndim != 3 or srgb8.shape[2] != 3 or min(srgb8.shape[:2]) < 16:
        raise ValueError(f"photo {srgb8.shape} {srgb8.dtype}; expected (H, W, 3) uint8 with H, W >= 16")
    height, width = srgb8.shape[:2]
    labels = segments(srgb8, int(rng.integers(6, 20)), rng)
    ground = _background_depth(srgb8, labels, rng)
    pieces: list[tuple[Float32Array, Float32Array, BoolArray]] = []
    top = ground
    if other_srgb8 is not None:
        part = _random_part(other_srgb8, (height, width), rng)
        part_linear = linear_from_srgb8(part)
        part_labels = segments(part, int(rng.integers(6, 20)), rng)
        wanted = int(rng.integers(1, 5))
        for _ in range(3 * wanted):
            outline: Outline = "segment" if rng.random() < 0.5 else OUTLINES[int(rng.integers(0, 3))]
            mask = random_outline((height, width), outline, rng, part_labels)
            if mask is None:
                continue
            slope = slanted_plane((height, width), rng) * np.float32(rng.uniform(0.0, 0.25))
            lowest = float((top - slope)[mask].max()) + np.exp(rng.uniform(np.log(0.06), np.log(0.8)))
            depth = (slope + np.float32(lowest)).astype(np.float32)
            pieces.append((part_linear, depth, mask))
            top = np.where(mask, depth, top)
            if len(pieces) == wanted:
                break
    low, high = float(top.min()), float(top.max())

    def relative(u: Float32Array) -> Float32Array:
        return ((u - low) / max(high - low, 1e-9)).astype(np.float32)

    surfaces = []
    for linear, depth, mask in reversed(pieces):
        # A photographed outline is about a pixel soft.
        coverage = np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6), dtype=np.float32)
        coverage[coverage < 0.02] = 0.0
        surfaces.append(Surface(linear, relative(depth), coverage))
    surfaces += with_hidden(linear_from_srgb8(srgb8), relative(ground), OCCLUSION_JUMP, HIDDEN_REACH_PX)
    return SyntheticScene(tuple(surfaces), relative(top), len(pieces))

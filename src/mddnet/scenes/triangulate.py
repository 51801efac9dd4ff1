"""Depth from fringes: intersection of the ray of a camera pixel with the light plane of its projector line.

With d = (x, y, 1) the ray of a pixel, X = z d a point on it, and x' the column (or row) of the projector in units of
its focal length, the point's image in the projector gives

    x' = (R1 d z + t1) / (R3 d z + t3)    hence    z = (x' t3 - t1) / (R1 d - x' R3 d)

(Zhang and Huang, "Novel method for structured light system calibration", Opt. Eng. 45(8), 2006, section 4, solved for
z; row 2 of R and t in place of row 1 for horizontal stripes).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mddnet.captures.structured_light import FringeAxis, Intrinsics, ProjectorGeometry
from mddnet.errors import RejectedScene
from mddnet.scenes.fringes import FringeCode
from mddnet.types import Float32Array

Float64Array = NDArray[np.float64]

MAX_RELATIVE_NOISE = 0.004  # depth is unknown where its relative noise exceeds this share
EDGE_JUMP = 0.02  # relative change of depth in a window at a depth edge, where a pixel may mix two surfaces
EDGE_OF_WIDTH = 1.0 / 250.0
SPIKE = 0.01
DARK = 0.2
FADED = 0.6  # modulation over the largest within 5 x 5 pixels below which a pixel is dark, or partly lit
MIN_NEIGHBOURS = 0.3  # minimum known share of the 5 x 5 window around a pixel
LENS_ROUNDS = 4


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredDepth:
    """Depth from fringes."""

    depth_mm: Float32Array  # (H, W) float32 z-depth from the camera's lens, NaN where unknown
    relative_noise: Float32Array  # (H, W) float32, its relative standard deviation from the noise of the images


def _undistorted(pixels: Float64Array, matrix: Float64Array, distortion: Float64Array) -> Float64Array:
    """(N, 2) coordinates at a distance of 1, without distortion, of (N, 2) pixels."""
    precise = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-10)
    points = pixels[:, None]
    before_5 = getattr(cv2, "undistortPointsIter", None)  # of OpenCV 4, whose undistortPoints has no criteria
    if before_5 is not None:
        found = before_5(points, matrix, distortion, None, None, precise)
    else:
        found = cv2.undistortPoints(points, matrix, distortion, criteria=precise)
    return np.asarray(found, np.float64)[:, 0]


def triangulate(code: FringeCode, geometry: ProjectorGeometry, axis: FringeAxis) -> MeasuredDepth:
    """Z-depth of every pixel with a known fringe code; RejectedScene if most intersections are behind the camera."""
    shape = code.position.shape
    depth, relative = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    rows, columns = np.nonzero(np.isfinite(code.position))
    if not len(rows):
        return MeasuredDepth(depth, relative)
    pixels = np.stack([columns, rows], axis=1).astype(np.float64)
    straightened = _undistorted(pixels, geometry.camera.matrix, np.array(geometry.camera.distortion))
    rays = np.column_stack([straightened, np.ones(len(rows))])
    line = code.position[rows, columns] * geometry.lines(axis) - 0.5
    k = 0 if axis == "x" else 1
    projector = geometry.projector
    focal, centre = (projector.fx, projector.cx) if axis == "x" else (projector.fy, projector.cy)
    rotated, t = rays @ geometry.rotation.T, geometry.translation_mm
    measured = (line - centre) / focal
    # The distortion of the projector bends the light plane depending on the position of the point.
    straight = measured.copy()
    z = np.zeros(len(rows))
    for _ in range(LENS_ROUNDS if any(projector.distortion) else 1):
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (straight * t[2] - t[k]) / (rotated[:, k] - straight * rotated[:, 2])
            there = rotated * z[:, None] + t
            ideal = there[:, :2] / there[:, 2:]
        straight = measured - (_distorted(ideal, projector) - ideal)[:, k]
    good = np.isfinite(z) & (z > 0)
    if good.mean() < 0.5:
        raise RejectedScene(
            f"{1 - good.mean():.0%} of the rays meet their light plane behind the camera; check the order of fringe "
            "images, fringes.axis, and that rotation and translation are those of X_projector = R X_camera + t"
        )
    # dz/dx' by the quotient rule.
    slope = (t[2] + z * rotated[:, 2]) / (rotated[:, k] - straight * rotated[:, 2])
    sigma = np.abs(slope) * code.noise[rows, columns] * geometry.lines(axis) / focal
    with np.errstate(divide="ignore", invalid="ignore"):
        share = sigma / z
    good &= share < MAX_RELATIVE_NOISE
    depth[rows[good], columns[good]], relative[rows[good], columns[good]] = z[good], share[good]
    # at the edges of shadows, which blur illuminates, pixels are partly lit and next to dark ones
    top = cv2.dilate(code.modulation, np.ones((5, 5), np.uint8))
    dark = (code.modulation < DARK * top).astype(np.uint8)
    depth[(cv2.dilate(dark, np.ones((3, 3), np.uint8)) > 0) & (code.modulation < FADED * top)] = np.nan
    depth = without_edges(depth)
    relative[np.isnan(depth)] = np.nan
    return MeasuredDepth(depth, relative)


def without_edges(depth_mm: Float32Array) -> Float32Array:
    """Remove depth at edges of depth and shadow, where a pixel mixes two surfaces, and isolated pixels."""
    reach = max(2, round(EDGE_OF_WIDTH * depth_mm.shape[1]))
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    unknown = np.isnan(depth_mm)
    largest = np.float32(np.finfo(np.float32).max / 4)
    low = cv2.erode(np.where(unknown, largest, depth_mm), window)
    high = cv2.dilate(np.where(unknown, -largest, depth_mm), window)
    with np.errstate(invalid="ignore"):
        jump = (high - low) / depth_mm > EDGE_JUMP * (2 * reach + 1) / 5
    # single dark pixels are texture, larger ones are shadows
    dark = cv2.morphologyEx(unknown.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    jump |= cv2.dilate(dark, window) > 0
    # depth edges just outside the image are unknown
    inner = np.zeros(depth_mm.shape, bool)
    inner[reach:-reach, reach:-reach] = True
    kept = np.where(jump | ~inner, np.nan, depth_mm)
    known = np.isfinite(kept).astype(np.float32)
    share = ndimage.uniform_filter(known, 5)
    around = ndimage.uniform_filter(np.where(np.isnan(kept), 0, kept), 5) / np.maximum(share, 1e-6)
    with np.errstate(invalid="ignore"):
        spike = np.abs(kept / around - 1) > SPIKE
    return np.where((share < MIN_NEIGHBOURS) | spike, np.nan, kept).astype(np.float32)


def _distorted(ideal: NDArray[np.float64], lens: Intrinsics) -> NDArray[np.float64]:
    """(N, 2) distorted coordinates, in focal lengths (OpenCV's model)."""
    k1, k2, p1, p2, k3 = lens.distortion
    x, y = ideal[:, 0], ideal[:, 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return np.column_stack(
        [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y]
    )

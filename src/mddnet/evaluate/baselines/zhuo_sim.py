"""Defocus estimation from the gradient ratio of re-blurred edges, with a matting Laplacian, by Zhuo and Sim.

Zhuo and Sim, "Defocus map estimation from a single image" (Pattern Recognition 44(9), 2011). Needs SciPy and OpenCV
(extra ``build``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mddnet.evaluate.methods import FunctionMethod
from mddnet.metrics import luminance
from mddnet.types import BoolArray, Float32Array, UInt8Array

if TYPE_CHECKING:
    import scipy.sparse

DERIVATIVE_SIGMA_PX = 1.0  # gradients are derivatives of this Gaussian; plain differences of pixels are too noisy
REBLUR_SIGMA_PX = 1.0
MAX_SIGMA_PX = 5.0  # larger blur is clipped: its gradient ratio differs from 1 by less than the noise
CANNY_HIGH, CANNY_LOW = 0.1, 0.04  # as shares of the largest gradient, as in the authors' demonstration
BILATERAL_SHARE = 0.1  # widths of the bilateral filter: this share of the image's long side, and of its range of luma
FIDELITY = 0.001  # weight of the blur at edges against the smoothness of the map
MATTING_EPSILON = 1e-7
PROPAGATION_LONG_SIDE_PX = 320  # two seconds instead of a minute; the map is smooth anyway
_GRID = 2
_CANNY_RANGE = 16_000
NO_GRADIENT = 1e-6


@dataclass(frozen=True)
class Gradient:
    """A gradient at one scale."""

    across: NDArray[np.float64]  # (H, W), along the rows
    down: NDArray[np.float64]  # (H, W), along the columns

    @classmethod
    def of(cls, image: NDArray[np.floating], sigma_px: float) -> Gradient:
        """Gradient of an (H, W) image by derivatives of a Gaussian. Needs SciPy."""
        from scipy.ndimage import gaussian_filter

        values = image.astype(np.float64)
        return cls(*(gaussian_filter(values, sigma_px, order=order, mode="nearest") for order in ((0, 1), (1, 0))))

    @cached_property
    def size(self) -> NDArray[np.float64]:
        return np.hypot(self.across, self.down)

    def edges(self, low: float, high: float) -> BoolArray:
        """Canny edges, (H, W); the thresholds have the unit of the gradient. Needs OpenCV."""
        import cv2

        largest = float(self.size.max())
        if not largest > NO_GRADIENT:
            return np.zeros(self.across.shape, dtype=bool)
        unit = _CANNY_RANGE / largest
        across, down = (np.rint(values * unit).astype(np.int16) for values in (self.across, self.down))
        return np.asarray(cv2.Canny(across, down, low * unit, high * unit, L2gradient=True) > 0)


def sigma_map(photo: UInt8Array) -> NDArray[np.floating]:
    """Sigma of the blur, (H, W) px; 0 everywhere in a photo without edges."""
    edges, sigma_px = edge_blur(photo)
    if not edges.any():
        return np.zeros(photo.shape[:2])
    full = propagated(sparse_bilateral(sigma_px, edges, luminance(photo)), edges, photo)
    return np.clip(full, 0.0, MAX_SIGMA_PX).astype(np.float32)


def edge_blur(photo: UInt8Array) -> tuple[BoolArray, NDArray[np.float64]]:
    """Edges, and the blur of a step edge at each of them.

    The gradient of a step that is blurred by sigma falls by R when it is blurred once more by sigma_0 (equation 6 of
    the paper); with derivatives of a Gaussian s,

        R^2 = (sigma^2 + s^2 + sigma_0^2) / (sigma^2 + s^2)

    Returns, (H, W) each, the edges, without those that the second blur makes steeper, and sigma, 0 without an edge.
    """
    luma = luminance(photo)
    first = Gradient.of(luma, DERIVATIVE_SIGMA_PX)
    sharp, blurred = first.size, Gradient.of(luma, float(np.hypot(DERIVATIVE_SIGMA_PX, REBLUR_SIGMA_PX))).size
    largest = float(sharp.max())
    edges = first.edges(CANNY_LOW * largest, CANNY_HIGH * largest) & (sharp > blurred)
    ratio_squared = (sharp[edges] / blurred[edges]) ** 2
    variance = REBLUR_SIGMA_PX**2 / (ratio_squared - 1.0) - DERIVATIVE_SIGMA_PX**2
    sigma_px = np.zeros(luma.shape)
    sigma_px[edges] = np.sqrt(np.clip(variance, 0.0, MAX_SIGMA_PX**2))
    return edges, sigma_px


def sparse_bilateral(values: NDArray[np.float64], where: BoolArray, guide: Float32Array) -> NDArray[np.float64]:
    """Joint bilateral filter of values that are known at few pixels, weighted by distance and difference of luma.

    On a bilateral grid (Chen et al., "Real-time edge-aware image processing with the bilateral grid", SIGGRAPH 2007)
    of two cells per sigma. (H, W), 0 without a value.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    cell_px = BILATERAL_SHARE * max(guide.shape) / _GRID
    span = max(float(guide.max() - guide.min()), 1e-6)
    rows, columns = np.nonzero(where)
    at = np.stack([rows / cell_px, columns / cell_px, (guide[where] - guide.min()) / (BILATERAL_SHARE * span / _GRID)])
    cells = np.rint(at).astype(np.int64)
    shape = tuple(cells.max(axis=1) + 2)
    flat = np.ravel_multi_index(tuple(cells), shape)
    size = int(np.prod(shape))
    total = np.bincount(flat, weights=values[where], minlength=size).reshape(shape)
    count = np.bincount(flat, minlength=size).reshape(shape).astype(np.float64)
    total, count = (gaussian_filter(grid, _GRID, mode="constant") for grid in (total, count))
    filtered = np.zeros(values.shape)
    filtered[where] = map_coordinates(total, at, order=1) / np.maximum(map_coordinates(count, at, order=1), 1e-12)
    return filtered


def propagated(
    values: NDArray[np.float64], where: BoolArray, photo: UInt8Array, long_side_px: int = PROPAGATION_LONG_SIDE_PX
) -> NDArray[np.float64]:
    """The map d that minimises d' L d + lambda sum over edges (d - values)^2, L the matting Laplacian of the photo.

    Section 5 of the paper: (L + lambda D) d = lambda D values, with D = 1 at edges on the diagonal, by sparse LU. A
    photo with a longer side is downsampled for this step, its values are averaged, and the map is upsampled.
    """
    from scipy.sparse import diags
    from scipy.sparse.linalg import splu

    height, width = where.shape
    scale = min(1.0, long_side_px / max(height, width))
    h, w = max(3, round(height * scale)), max(3, round(width * scale))
    small = np.asarray(Image.fromarray(photo).resize((w, h), Image.Resampling.BOX))
    rows, columns = np.nonzero(where)
    cells = (rows * h // height) * w + columns * w // width
    count = np.bincount(cells, minlength=h * w)
    mean = np.bincount(cells, weights=values[where], minlength=h * w) / np.maximum(count, 1)
    weight = FIDELITY * (count > 0)
    system = (matting_laplacian(small) + diags(weight)).tocsc()
    # the matrix is symmetric positive definite: diagonal pivots keep the factors sparse
    factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    solved = factors.solve(weight * mean).reshape(h, w).astype(np.float32)
    if (h, w) == (height, width):
        return solved.astype(np.float64)
    return np.array(Image.fromarray(solved).resize((width, height), Image.Resampling.BILINEAR), dtype=np.float64)


def matting_laplacian(photo: UInt8Array) -> scipy.sparse.dia_matrix:
    """The matting Laplacian of windows of 3 x 3 pixels, (H W, H W), symmetric, its rows sum to 0.

    Levin et al., "A Closed-Form Solution to Natural Image Matting" (IEEE PAMI 2008), equation 12.
    """
    from scipy.sparse import dia_matrix

    height, width = photo.shape[:2]
    colours = photo.astype(np.float64) / 255.0
    positions = [(i, j) for i in range(3) for j in range(3)]
    count = len(positions)
    inner = {(i, j): np.s_[i : height - 2 + i, j : width - 2 + j] for i, j in positions}
    window = np.stack([colours[inner[position]] for position in positions])  # (9, H - 2, W - 2, 3)
    window -= window.mean(axis=0)
    covariance = np.einsum("nijc,nijd->ijcd", window, window, optimize=True) / count
    inverse = np.linalg.inv(covariance + (MATTING_EPSILON / count) * np.eye(3))
    whitened = np.einsum("ijcd,nijd->nijc", inverse, window, optimize=True)
    diagonals = {down * width + across: np.zeros((height, width)) for down in range(-2, 3) for across in range(-2, 3)}
    for a, (row_a, column_a) in enumerate(positions):
        for b, (row_b, column_b) in enumerate(positions):
            affinity = (1.0 + np.einsum("ijc,ijc->ij", whitened[a], window[b])) / count
            # stored by column: the pixel at position b
            diagonals[(row_b - row_a) * width + column_b - column_a][inner[row_b, column_b]] += (a == b) - affinity
    data = np.stack([values.ravel() for values in diagonals.values()])
    return dia_matrix((data, list(diagonals)), shape=(height * width, height * width))


BASELINES = {"zhuo-sim": partial(FunctionMethod, "zhuo-sim", "sigma_px", sigma_map, ("cv2", "scipy"))}

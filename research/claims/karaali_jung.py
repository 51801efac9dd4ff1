"""Edge-based defocus estimation with an adaptive scale for each edge, by Karaali and Jung.

Karaali and Jung, "Edge-Based Defocus Blur Estimation With Adaptive Scale Selection" (IEEE Transactions on Image
Processing 27(3), 2018). The constants are those of the authors' public code. Needs SciPy and OpenCV (extra ``build``).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mddnet.color import linear_from_srgb
from mddnet.evaluate.baselines.zhuo_sim import Gradient
from mddnet.metrics import luminance
from mddnet.types import BoolArray, UInt8Array

SCALES_PX = tuple(1.0 + 0.5 * n for n in range(9))  # sigmas of the edge detection
AGREEING = 4  # an edge must be detected at this number of the finest scales
FINE_PX = SCALES_PX[0]  # sigma of the finer of the two compared gradients
NOT_EDGES, LOW_TO_HIGH = 0.7, 0.4  # Canny: quantile of the gradient for the higher threshold; lower over higher
MAX_SIGMA_PX = 5.0
CONNECTION = 10.0  # weight of the smoothness along edges
GUIDE_SIGMA_PX, GUIDE_RANGE = 7.0, 0.5  # widths of the filter that smooths the photo into the guide of the propagation
SPREAD_SHARE, SPREAD_RANGE = 1 / 8, 3.75  # widths of the propagation: over the short side, and in colour
PASSES = 5


def sigma_map(photo: UInt8Array) -> NDArray[np.floating]:
    """Sigma of the blur, (H, W) px; 0 everywhere in a photo without edges."""
    scales, sigma_px = edge_blur(photo)
    edges = scales >= AGREEING
    if not edges.any():
        return np.zeros(photo.shape[:2])
    return propagated(along_edges(sigma_px, edges, scales), edges, photo).astype(np.float32)


def edge_blur(photo: UInt8Array) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Edges that are detected at all of the finest scales, and their blur.

    The gradients by derivatives of Gaussians s_1 and s_2 at a step edge of blur sigma have the ratio R:

        R^2 = (sigma^2 + s_2^2) / (sigma^2 + s_1^2),  sigma^2 = (R^2 s_1^2 - s_2^2) / (1 - R^2)

    s_1 is 1 px; s_2 is half of the coarsest scale up to which the edge is detected without a gap, so that neighbouring
    edges have no influence. In linear light. Returns, (H, W) each, the number of scales at which the edge is detected,
    0 where a finest scale misses it; and sigma in px, at most 5, 0 without an edge.
    """
    light = linear_from_srgb(luminance(photo))
    gradients = [Gradient.of(light, scale) for scale in SCALES_PX]
    detected = np.stack([_edges(gradient) for gradient in gradients])
    unbroken = np.logical_and.accumulate(detected).sum(axis=0)
    edges = unbroken >= AGREEING
    fine = gradients[0].size
    sigma_px = np.zeros(light.shape)
    for count in range(AGREEING, len(SCALES_PX) + 1):
        here = unbroken == count
        if not here.any():
            continue
        coarse_px = SCALES_PX[count - 1] / 2
        ratio_squared = (fine[here] / np.maximum(Gradient.of(light, coarse_px).size[here], 1e-12)) ** 2
        above = ratio_squared * FINE_PX**2 - coarse_px**2
        below = np.minimum(1.0 - ratio_squared, -1e-9)  # without noise, the coarser gradient is the smaller one
        sigma_px[here] = np.sqrt(np.clip(above / below, 0.0, MAX_SIGMA_PX**2))
    return np.where(edges, detected.sum(axis=0), 0), sigma_px


def _edges(gradient: Gradient) -> BoolArray:
    high = float(np.quantile(gradient.size, NOT_EDGES))
    return gradient.edges(LOW_TO_HIGH * high, high)


def along_edges(values: NDArray[np.float64], edges: BoolArray, scales: NDArray[np.integer]) -> NDArray[np.float64]:
    """The connected edge filter, (H, W), 0 outside the edges.

    Its values x minimise

        sum_i (1 + scales_i) (x_i - values_i)^2 + gamma sum_i sum_{j next to i} (x_i - x_j)^2

    over edge pixels i and those of their eight neighbours j that are edge pixels; gamma is 10.
    """
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import splu

    count = int(edges.sum())
    number = np.full(np.add(edges.shape, 2), -1)  # of every edge pixel, with a border
    number[1:-1, 1:-1][edges] = np.arange(count)
    near = sliding_window_view(number, edges.shape)[..., edges].reshape(9, count)  # numbers in its 3 x 3 pixels
    near[4] = -1  # not its own neighbour
    position, row = np.nonzero(near >= 0)
    links = coo_matrix((np.full(len(row), 2.0 * CONNECTION), (row, near[position, row])), shape=(count, count))
    weight = 1.0 + scales[edges]
    system = diags(weight + np.asarray(links.sum(axis=1)).ravel()) - links
    result = np.zeros(values.shape)
    result[edges] = splu(system.tocsc()).solve(weight * values[edges])
    return result


def propagated(values: NDArray[np.float64], edges: BoolArray, photo: UInt8Array) -> NDArray[np.float64]:
    """Propagate (H, W) values from edge pixels to all pixels: an edge-aware weighted mean by the domain transform."""
    colours = photo.astype(np.float64) / 255.0
    guide = domain_transform(colours, colours, GUIDE_SIGMA_PX, GUIDE_RANGE)
    both = np.stack([values * edges, edges.astype(np.float64)], axis=2)
    spread = domain_transform(both, guide, min(edges.shape) * SPREAD_SHARE, SPREAD_RANGE)
    return spread[..., 0] / np.maximum(spread[..., 1], 1e-300)


def domain_transform(
    image: NDArray[np.float64], guide: NDArray[np.float64], sigma_px: float, sigma_range: float
) -> NDArray[np.float64]:
    """Smoothing of an image (H, W, C) that stops at the edges of the guide (H, W, G): a recursive filter.

    Gastal and Oliveira, "Domain Transform for Edge-Aware Image and Video Processing" (ACM Transactions on Graphics
    30(4), 2011), equations 11, 14, 21 and appendix. The widths are in space and in the values of the guide.
    """
    result = image
    distances = [
        1.0 + sigma_px / sigma_range * np.abs(np.diff(guide, axis=axis)).sum(axis=2, keepdims=True) for axis in (0, 1)
    ]
    for n in range(PASSES):
        width = sigma_px * np.sqrt(3.0) * 2.0 ** (PASSES - 1 - n) / np.sqrt(4.0**PASSES - 1.0)
        feedback = np.exp(-np.sqrt(2.0) / width)
        for axis in (1, 0):
            lines = np.moveaxis(result, axis, 0).copy()
            kept = np.moveaxis(feedback ** distances[axis], axis, 0)
            for i in range(1, len(lines)):
                lines[i] += kept[i - 1] * (lines[i - 1] - lines[i])
            for i in range(len(lines) - 2, -1, -1):
                lines[i] += kept[i] * (lines[i + 1] - lines[i])
            result = np.moveaxis(lines, 0, axis)
    return result

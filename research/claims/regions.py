"""Regions of a scene: by texture of the sharp image, by distance to the nearest texture, and by depth edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mddnet.evaluate.scenes import SceneMaps
from mddnet.metrics import TEXTURE_SIGMA, gaussian_smoothed, luminance, near_depth_edges
from mddnet.metrics.comparison import EDGE_REACH, EDGE_STEP
from mddnet.types import BoolArray, Float32Array

SHARE = 1 / 3
"""Weak texture is the third of the pixels with the least gradient energy, strong texture that with the most."""
BETWEEN, AFAR = 0.01, 0.03
"""Limits of the distance to strong texture, as shares of the long side."""
REGIONS = {
    "weak": "weak texture",
    "strong": "strong texture",
    "close": "up to 1 % of the long side from strong texture",
    "between": "1 to 3 %",
    "far": "more than 3 %",
    "edge": "near depth edges",
    "away": "away from them",
}


def gradient_energy(sharp: NDArray[np.generic]) -> Float32Array:
    """Squared gradient of the luma, smoothed by a Gaussian of the texture mask's width, (H, W).

    ``sharp`` is the all-in-focus image, (H, W, 3) or (H, W); in a blurred one it would depend on blur.
    """
    luma = luminance(sharp)
    down, across = np.gradient(luma)
    sigma_px = max(1.0, TEXTURE_SIGMA * max(luma.shape))
    return gaussian_smoothed((down * down + across * across).astype(np.float32), sigma_px)


def regions(truth: SceneMaps) -> dict[str, BoolArray]:
    """(H, W) masks by the names of :data:`REGIONS`.

    Weak and strong texture omit the third in between; the three distances have every pixel outside strong texture.
    """
    energy = gradient_energy(truth.sharp)
    long_side = max(energy.shape)
    low, high = np.quantile(energy, (SHARE, 1 - SHARE))
    strong = energy > high
    distance = cv2.distanceTransform((~strong).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / long_side
    edge = near_depth_edges(truth.inv_depth, EDGE_STEP * truth.range, round(EDGE_REACH * long_side))
    return {
        "weak": energy <= low,
        "strong": strong,
        "close": ~strong & (distance <= BETWEEN),
        "between": (distance > BETWEEN) & (distance <= AFAR),
        "far": distance > AFAR,
        "edge": edge,
        "away": ~edge,
    }

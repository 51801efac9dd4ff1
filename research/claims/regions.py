"""Regions of a scene: weak and strong texture of the sharp image, near depth edges and away from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mddnet.evaluate.scenes import SceneMaps
from mddnet.metrics import TEXTURE_SIGMA, gaussian_smoothed, luminance, near_depth_edges
from mddnet.metrics.comparison import EDGE_REACH, EDGE_STEP
from mddnet.types import BoolArray, Float32Array

WEAK, STRONG, EDGE, AWAY = "weak", "strong", "edge", "away"
REGIONS = (WEAK, STRONG, EDGE, AWAY)
SHARE = 1 / 3
"""Weak texture is the third of the pixels with the least gradient energy, strong texture that with the most."""


def gradient_energy(sharp: NDArray[np.generic]) -> Float32Array:
    """Squared gradient of the luma, smoothed by a Gaussian of the texture mask's width, (H, W).

    Args:
        sharp: (H, W, 3) or (H, W), the all-in-focus image; in a blurred one it would depend on blur.
    """
    luma = luminance(sharp)
    down, across = np.gradient(luma)
    sigma_px = max(1.0, TEXTURE_SIGMA * max(luma.shape))
    return gaussian_smoothed((down * down + across * across).astype(np.float32), sigma_px)


def regions(truth: SceneMaps) -> dict[str, BoolArray]:
    """(H, W) masks by name; weak and strong omit the third in between, edge and away are complements."""
    energy = gradient_energy(truth.sharp)
    low, high = np.quantile(energy, (SHARE, 1 - SHARE))
    edge = near_depth_edges(truth.inv_depth, EDGE_STEP * truth.range, round(EDGE_REACH * max(energy.shape)))
    return {WEAK: energy <= low, STRONG: energy > high, EDGE: edge, AWAY: ~edge}

"""Texture of an image: blur is visible only where there is texture."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mddnet.types import BoolArray, Float32Array

TEXTURE_SHARE = 0.6  # share of the pixels, the most textured ones, that the texture mask keeps
TEXTURE_SIGMA = 0.005  # sigma of the smoothing behind the texture mask, as a fraction of the long side (at least 1 px)

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def luminance(image: NDArray[np.generic]) -> Float32Array:
    """Luma in [0, 1] of an sRGB image: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    The image is (H, W, 3) or (H, W), uint8 or float in [0, 1]; ValueError for another shape.
    """
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"image has shape {pixels.shape}; expected (H, W, 3) or (H, W)")
    luma = pixels.astype(np.float32) @ _LUMA if pixels.ndim == 3 else pixels.astype(np.float32)
    return luma / np.float32(255.0) if pixels.dtype == np.uint8 else luma


def gaussian_smoothed(values: Float32Array, sigma_px: float) -> Float32Array:
    """Convolution of an (H, W) map with a Gaussian, cut at 3 sigma, edges mirrored; ``sigma_px`` 0 changes nothing."""
    if values.ndim != 2 or not sigma_px >= 0:
        raise ValueError(f"shape {values.shape}, sigma {sigma_px}; expected (H, W) and a sigma of 0 px or more")
    if sigma_px == 0 or values.size == 0:
        return values.astype(np.float32)
    height, width = values.shape
    # matrices are cached, since consecutive photos often have one size; those of large photos are too large to cache
    matrix = _cached_matrix if max(height, width) <= 1024 else _smoothing_matrix
    # for wide kernels, two products with banded matrices are much cheaper in NumPy than a sum over shifted copies
    return matrix(height, sigma_px) @ values.astype(np.float32) @ matrix(width, sigma_px).T


def _smoothing_matrix(size: int, sigma_px: float) -> Float32Array:
    """(size, size) matrix that convolves a line with a Gaussian, its ends mirrored (edge pixel repeated)."""
    radius = max(1, int(np.ceil(3 * sigma_px)))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma_px) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    matrix = np.zeros((size, size), dtype=np.float32)
    rows = np.arange(size)
    for k, tap in enumerate(taps):
        source = (rows + k - len(taps) // 2) % (2 * size)
        matrix[rows, np.where(source < size, source, 2 * size - 1 - source)] += tap
    return matrix


_cached_matrix = lru_cache(maxsize=16)(_smoothing_matrix)


def smoothed_laplacian(image: NDArray[np.generic], sigma_px: float) -> Float32Array:
    """Local sharpness, (H, W) >= 0: |4-neighbour Laplacian of the :func:`luminance`| smoothed by a Gaussian.

    A simple form of the sum-modified Laplacian of Nayar and Nakagawa, "Shape from Focus" (IEEE PAMI 1994).
    """
    padded = np.pad(luminance(image), 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    laplacian = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * centre
    return gaussian_smoothed(np.abs(laplacian), sigma_px)


def texture_mask(sharp: NDArray[np.generic], share: float = TEXTURE_SHARE) -> BoolArray:
    """Pixels of a *sharp* image, (H, W), whose smoothed Laplacian magnitude is in the upper ``share``, in (0, 1].

    Flat pixels that tie with the threshold are left out, so a flat image has an empty mask.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; expected a value in (0, 1]")
    sharpness = smoothed_laplacian(sharp, max(1.0, TEXTURE_SIGMA * max(np.shape(sharp)[:2])))
    # the smoothing leaves small rounding errors on flat areas
    return (sharpness > np.quantile(sharpness, 1 - share)) & (sharpness > 1e-6)

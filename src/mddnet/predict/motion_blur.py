"""Detection of motion blur, which the network takes for defocus, from the power spectrum of one image.

Defocus takes fine detail away in all directions, motion in one: the spectrum of the photo is multiplied by that of a
line, sinc(length * frequency along the motion). Natural photos have directions too, but at all scales alike.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mddnet.types import Float32Array, UInt8Array

BANDS = ((0.02, 0.05), (0.05, 0.10), (0.10, 0.18), (0.18, 0.28), (0.28, 0.42))
"""Rings of spatial frequency, cycles per pixel."""
FINE_BANDS = slice(2, None)  # the rings in which the direction of the motion is sought
DIRECTIONS = 18  # directions of spatial frequency, over half a turn
LEAST_POWER = 1e-7  # added to the power, grey values in [0, 1]: well below the noise of a photo
LEAST_SIDE_PX = 64  # smaller images are not judged: their rings hold too few frequencies
WEIGHTS = (
    0.2393, 0.2135, -1.022, -1.205, -0.5093, 0.1655, -0.3637, -0.3188, 0.9862, -0.1682, -0.6145, -1.281, -0.1397,
    -0.6008, -11.71,
)  # fmt: skip
"""Weights of :func:`spectral_contrasts` and the constant; by ``research.verdict.motion`` on photos that
are used for calibration only."""


def has_motion_blur(photo: UInt8Array) -> bool:
    """Whether an (H, W, 3) uint8 image at network resolution is blurred by a motion of about 6 px or more."""
    if min(photo.shape[:2]) < LEAST_SIDE_PX:
        return False
    return float(np.dot(WEIGHTS[:-1], spectral_contrasts(photo)) + WEIGHTS[-1]) > 0


def spectral_contrasts(photo: UInt8Array) -> NDArray[np.float64]:
    """(14,) differences of log power: along the likely motion less across it, less at 45 degrees, and between rings."""
    power = log_power(photo)
    rings = power.mean(axis=1)
    power = power - rings[:, None]
    quarter = DIRECTIONS // 2
    smooth = (2 * power + np.roll(power, 1, axis=1) + np.roll(power, -1, axis=1)) / 4
    contrast = smooth - np.roll(smooth, -quarter, axis=1)
    along = int(np.argmin(contrast[FINE_BANDS].mean(axis=0)))
    eighth = DIRECTIONS // 4
    oblique = (power[:, (along + eighth) % DIRECTIONS] + power[:, (along - eighth) % DIRECTIONS]) / 2
    return np.concatenate([contrast[:, along], smooth[:, along] - oblique, np.diff(rings)])


def log_power(photo: UInt8Array) -> NDArray[np.float64]:
    """(rings, directions) logarithm of the mean power of the grey values."""
    height, width = photo.shape[:2]
    sectors, window, counts = _sectors(height, width)
    grey = photo.mean(axis=2, dtype=np.float32) / np.float32(255)
    spectrum = np.fft.rfft2((grey - grey.mean()) * window)
    power = np.bincount(sectors, (np.square(spectrum.real) + np.square(spectrum.imag)).ravel(), counts.size + 1)[:-1]
    scale = float(np.square(window).sum())
    return np.asarray(np.log(power.reshape(counts.shape) / counts / scale + LEAST_POWER))


@lru_cache(maxsize=8)
def _sectors(height: int, width: int) -> tuple[NDArray[np.intp], Float32Array, NDArray[np.float64]]:
    """Index of the ring and direction of every frequency, the window, and the number of frequencies of each.

    Frequencies on the axes belong to none: the borders of a photo and the blocks of JPEG lie there.
    """
    down, right = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    radius = np.hypot(down, right)
    direction = np.floor(np.mod(np.arctan2(down, right), np.pi) / np.pi * DIRECTIONS + 0.5).astype(np.intp) % DIRECTIONS
    none = len(BANDS) * DIRECTIONS
    index = np.full(radius.shape, none, dtype=np.intp)
    for band, (low, high) in enumerate(BANDS):
        ring = (radius >= low) & (radius < high)
        index[ring] = band * DIRECTIONS + direction[ring]
    index[(np.abs(down) < 1.5 / height) | (np.abs(right) < 1.5 / width)] = none
    window = (np.hanning(height)[:, None] * np.hanning(width)[None, :]).astype(np.float32)
    counts = np.maximum(np.bincount(index.ravel(), minlength=none + 1)[:-1], 1)
    return index.ravel(), window, counts.reshape(len(BANDS), DIRECTIONS).astype(np.float64)

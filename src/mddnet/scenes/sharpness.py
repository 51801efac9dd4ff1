"""Local sharpness in linear light, normalised by photon noise."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mddnet.types import Float32Array

READ_NOISE_FLOOR = 0.01
"""Linear light below which the noise no longer falls with the signal (8-bit sRGB files: quantisation and JPEG)."""


def modified_laplacian(linear: Float32Array, presmooth_px: float = 0.7) -> Float32Array:
    """``|d2/dx2| + |d2/dy2|`` of smoothed linear light, (H, W) or (H, W, C) (Nayar and Nakagawa, PAMI 1994, eq. 13)."""
    smooth = cv2.GaussianBlur(linear, (0, 0), presmooth_px) if presmooth_px > 0 else linear
    second = np.array([[-1, 2, -1]], dtype=np.float32)
    along_x = cv2.filter2D(smooth, cv2.CV_32F, second, borderType=cv2.BORDER_REFLECT)
    along_y = cv2.filter2D(smooth, cv2.CV_32F, second.T, borderType=cv2.BORDER_REFLECT)
    return np.asarray(np.abs(along_x) + np.abs(along_y), dtype=np.float32)


def sharpness_profile(linear_frames: Sequence[Float32Array], window_px: float) -> Float32Array:
    """(N, H, W) sharpness of (H, W, 3) linear light: mean square of the modified Laplacian over the noise variance."""
    light = noise_variance(linear_frames, window_px)
    return np.stack([sharpness(frame, light, window_px) for frame in linear_frames])


def noise_variance(linear_frames: Sequence[Float32Array], window_px: float) -> Float32Array:
    """(H, W, 3) mean light of frames, to which the variance of shot noise is proportional.

    It is the same divisor for all frames of a stack, which does not move the peak of their sharpness.
    """
    mean = np.zeros(linear_frames[0].shape, dtype=np.float32)
    for frame in linear_frames:
        mean += frame / np.float32(len(linear_frames))
    smooth = cv2.GaussianBlur(mean, (0, 0), max(window_px, 1.0)) + np.float32(READ_NOISE_FLOOR)
    return np.asarray(smooth, dtype=np.float32)


def sharpness(linear: Float32Array, noise: Float32Array, window_px: float) -> Float32Array:
    """(H, W) sharpness of one frame, whose noise variance is that of :func:`noise_variance`."""
    energies = modified_laplacian(linear) ** 2 / noise
    # ten times as fast as sum(axis=2)
    energy = energies[:, :, 0] + energies[:, :, 1] + energies[:, :, 2]
    return np.asarray(cv2.GaussianBlur(energy, (0, 0), window_px), dtype=np.float32)


def noise_floor(profile: Float32Array) -> float:
    """Sharpness from noise alone: 5 % quantile over pixels of the minimum over frames, > 0."""
    return max(float(np.quantile(profile.min(axis=0), 0.05)), 1e-9)

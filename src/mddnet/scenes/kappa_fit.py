"""Kappa fit of a focal stack by re-rendering its frames from its sharp image.

By the lens law, the CoC diameter of depth index j in frame i is |X_i - X_j| with X = kappa * u_focus in pixels. The
unknown is the increasing sequence X: one number if the sweep is even (X_i = k i), or N - 1 steps. Both fits use one
table, E[i, j, b]: the squared error of frame i, over the pixels of depth index j, when the sharp image is blurred by
disc b of a bank. Blur is applied in linear light; errors are sRGB-encoded, which approximates perception.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from mddnet.color import srgb_from_linear
from mddnet.scenes.render import psf_kernel
from mddnet.types import Float32Array

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
ERROR_CAP = 0.15  # cap of the sRGB-encoded error of a frame
STEP_SMOOTHNESS = 0.01  # penalty, relative to the error, of neighbouring steps that differ by a factor e


def bank_diameters(largest_px: float) -> NDArray[np.float64]:
    """Disc diameters from 0 to at least ``largest_px``: steps of 0.25 px, then of 8 %."""
    steps = math.ceil(math.log(max(largest_px / 3.0, 1.0), 1.08))
    return np.concatenate([0.25 * np.arange(13), 3.0 * 1.08 ** np.arange(1, steps + 1)])


def between_discs(
    bank_px: NDArray[np.float64], diameters_px: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Index of the disc below each diameter, and the weight of the next disc in a linear mixture."""
    position = np.interp(diameters_px, bank_px, np.arange(len(bank_px)))
    low = np.minimum(position.astype(np.int64), len(bank_px) - 2)
    return low, position - low


@dataclass(frozen=True, slots=True)
class BlurBank:
    """A sharp image blurred by discs of rising diameter."""

    diameters_px: NDArray[np.float64]  # (B,) rising, from 0
    encoded: Float32Array  # (B, H, W) float32, luminance blurred in linear light, then sRGB-encoded

    def render(self, diameter_px: NDArray[np.floating]) -> Float32Array:
        """(H, W) image with a blur diameter per pixel, mixed from the two nearest discs."""
        low, t = between_discs(self.diameters_px, diameter_px)
        t = t.astype(np.float32)
        a = np.take_along_axis(self.encoded, low[None], axis=0)[0]
        b = np.take_along_axis(self.encoded, low[None] + 1, axis=0)[0]
        return np.asarray((1 - t) * a + t * b, dtype=np.float32)


def encoded_luminance(linear: Float32Array) -> Float32Array:
    """(H, W) sRGB-encoded luminance of (H, W, 3) linear light."""
    return srgb_from_linear(linear @ LUMINANCE)


def blur_bank(sharp_linear: Float32Array, largest_px: float) -> BlurBank:
    """Blur a sharp image, (H, W, 3) linear light or (H, W) luminance, by every disc of the bank."""
    diameters = bank_diameters(largest_px)
    luminance = sharp_linear @ LUMINANCE if sharp_linear.ndim == 3 else sharp_linear
    encoded = np.empty((len(diameters), *luminance.shape), dtype=np.float32)
    for b, diameter in enumerate(diameters):
        blurred = cv2.filter2D(luminance, cv2.CV_32F, psf_kernel(float(diameter)), borderType=cv2.BORDER_REFLECT_101)
        encoded[b] = srgb_from_linear(np.asarray(blurred, dtype=np.float32))
    return BlurBank(diameters, encoded)


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """Re-rendering errors of all frames by depth index and blur."""

    diameters_px: NDArray[np.float64]  # (B,) diameters of the bank
    squares: NDArray[np.float64]  # (N, N, B) summed squared error of frame i over pixels of depth index j with blur b
    weights: NDArray[np.float64]  # (N,) summed weight of the pixels of depth index j

    def squares_of(self, positions_px: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, N) squared errors if frame and depth index i are at ``positions_px[i]``."""
        diameter = np.abs(positions_px[:, None] - positions_px[None, :])
        low, t = between_discs(self.diameters_px, diameter)
        i, j = np.indices(diameter.shape)
        return np.asarray((1 - t) * self.squares[i, j, low] + t * self.squares[i, j, low + 1])


def error_table(
    frames: Sequence[Float32Array], bank: BlurBank, index: Float32Array, weight: Float32Array, stride: int = 1
) -> ErrorTable:
    """Errors of N frames, (H, W) sRGB-encoded luminance, at every ``stride``-th pixel of positive weight, for fits."""
    count = len(frames)
    use = weight > 0
    use[np.arange(use.shape[0]) % stride > 0] = False
    use[:, np.arange(use.shape[1]) % stride > 0] = False
    at = np.clip(index[use], 0, count - 1).astype(np.float64)
    low = np.minimum(at.astype(np.int64), count - 2)
    t, w = at - low, weight[use].astype(np.float64)
    share_low, share_high = w * (1 - t), w * t
    observed = [frame[use] for frame in frames]
    squares = np.empty((count, count, len(bank.diameters_px)))
    for b in range(len(bank.diameters_px)):
        blurred = bank.encoded[b][use]
        for i in range(count):
            e = (observed[i] - blurred).astype(np.float64) ** 2
            squares[i, :, b] = np.bincount(low, share_low * e, count) + np.bincount(low + 1, share_high * e, count)
    weights = np.asarray(np.bincount(low, share_low, count) + np.bincount(low + 1, share_high, count), dtype=np.float64)
    return ErrorTable(bank.diameters_px, squares, weights)


@dataclass(frozen=True, slots=True)
class SweepFit:
    """The blur of a stack."""

    positions_px: NDArray[np.float64]  # (N,) X_i = kappa * u_focus up to a constant, rising, in pixels of CoC
    kappa_px_per_frame: float  # mean step, pixels of CoC per frame
    error_fraction: float  # root mean square re-rendering error over that of the sharp image


def _fraction(table: ErrorTable, positions_px: NDArray[np.floating]) -> float:
    return float(np.sqrt(table.squares_of(positions_px).sum() / max(table.squares[:, :, 0].sum(), 1e-12)))


def fit_even_sweep(table: ErrorTable, shape: NDArray[np.floating] | None = None) -> SweepFit:
    """Fit the scale of a sweep whose rising positions, (N,), are ``shape`` (such as dioptres) or the frame numbers."""
    x = np.arange(len(table.weights), dtype=np.float64) if shape is None else np.asarray(shape, dtype=np.float64)
    largest = table.diameters_px[-1] / (x.max() - x.min())
    trials = largest * np.geomspace(0.005, 1.0, 120)
    errors = np.array([table.squares_of(k * x).sum() for k in trials])
    best = int(np.clip(errors.argmin(), 1, len(trials) - 2))
    fine = np.geomspace(trials[best - 1], trials[best + 1], 81)
    k = float(fine[int(np.argmin([table.squares_of(t * x).sum() for t in fine]))])
    return SweepFit(k * x, k * (x.max() - x.min()) / (len(x) - 1), _fraction(table, k * x))


def half_kappas(table: ErrorTable) -> tuple[float, float]:
    """CoC px per frame of the first and the second half of the sweep, fitted separately."""
    count = len(table.weights)
    middle = count // 2
    kappas = []
    for part in (slice(0, middle + 1), slice(middle, count)):
        sub = ErrorTable(table.diameters_px, table.squares[part, part], table.weights[part])
        kappas.append(fit_even_sweep(sub).kappa_px_per_frame if len(sub.weights) >= 3 else float("nan"))
    return kappas[0], kappas[1]


def kappa_error_share(table: ErrorTable, shape: NDArray[np.floating] | None = None) -> float:
    """Half width of the 95 % interval of kappa over kappa: 1.96 standard errors of a jackknife over the frames.

    Each frame is left out in turn (Efron and Stein, "The jackknife estimate of variance", Annals of Statistics 9,
    1981).
    """
    count = len(table.weights)
    without = (np.where(np.arange(count)[:, None, None] == left_out, 0.0, table.squares) for left_out in range(count))
    kappas = [fit_even_sweep(replace(table, squares=squares), shape).kappa_px_per_frame for squares in without]
    variance = (count - 1) * float(np.var(kappas))
    return 1.96 * float(np.sqrt(variance)) / float(np.mean(kappas))


def fit_uneven_sweep(table: ErrorTable, start: SweepFit) -> SweepFit:
    """Fit one step per pair of neighbours, with a smoothness prior, starting from the even fit."""
    scale = max(float(table.squares_of(start.positions_px).sum()), 1e-12)

    def positions(log_steps: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([[0.0], np.cumsum(np.exp(np.clip(log_steps, -6, 6)))])

    def loss(log_steps: NDArray[np.float64]) -> float:
        rough = STEP_SMOOTHNESS * float((np.diff(log_steps) ** 2).sum()) if len(log_steps) > 1 else 0.0
        return float(table.squares_of(positions(log_steps)).sum()) / scale + rough

    steps = np.log(np.maximum(np.diff(start.positions_px), 1e-3))
    best = minimize(loss, steps, method="L-BFGS-B", options={"maxiter": 60, "eps": 1e-3})
    x = positions(np.asarray(best.x))
    return SweepFit(x, float(x[-1] / (len(x) - 1)), _fraction(table, x))


def rerender_cost(
    frames: Sequence[Float32Array],
    bank: BlurBank,
    positions_px: NDArray[np.floating],
    depths_px: NDArray[np.floating],
) -> Float32Array:
    """(M, H, W) cost of M depths at every pixel: mean squared re-rendering error over the N frames.

    These are (H, W) sRGB-encoded luminance; a cap limits the error of a frame, and so the effect of moving objects.
    ``positions_px`` are those of the frames, ``depths_px`` those of the depths.
    """
    cost = np.zeros((len(depths_px), *frames[0].shape), dtype=np.float32)
    lower, share = between_discs(bank.diameters_px, np.abs(positions_px[:, None] - depths_px[None, :]))
    for i, frame in enumerate(frames):
        for j in range(len(depths_px)):
            low, t = lower[i, j], np.float32(share[i, j])
            error = frame - bank.encoded[low]
            error -= t * (bank.encoded[low + 1] - bank.encoded[low])
            cost[j] += np.minimum(error * error, np.float32(ERROR_CAP**2))
    return np.asarray(cost / np.float32(len(frames)), dtype=np.float32)

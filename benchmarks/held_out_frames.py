"""Prediction of held-out frames by the lens law: re-rendering of frames that the kappa fit did not use."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mddnet.color import linear_from_srgb8
from mddnet.scenes.depth_from_focus import FocusDepth
from mddnet.scenes.focal_stack_scene import (
    LARGEST_BLUR_OF_WIDTH,
    Sweep,
    calibration_weights,
    exposure_gain,
    fit_sweep,
    full_size_sweep,
)
from mddnet.scenes.kappa_fit import blur_bank, encoded_luminance
from mddnet.types import Float32Array, UInt8Array

EVERY = 4
"""Every fourth frame is held out, but never the first or the last."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Errors of held-out frames.

    Attributes:
        frames: their numbers in the stack.
        errors: root mean square error of each rendered frame, sRGB-encoded luminance in 0..1.
        sharp_errors: the same for the sharp image.
        sure_errors: as ``errors``, with pixels weighted as in the kappa fit: by confidence, without highlights.
        sure_sharp_errors: as ``sharp_errors``, with these weights.
        sweep: measured from the other frames.
    """

    frames: tuple[int, ...]
    errors: NDArray[np.float64]
    sharp_errors: NDArray[np.float64]
    sure_errors: NDArray[np.float64]
    sure_sharp_errors: NDArray[np.float64]
    sweep: Sweep

    @property
    def error_fraction(self) -> float:
        """Root mean square error of all frames over that of the sharp image, at all pixels of known depth."""
        return _fraction(self.errors, self.sharp_errors)

    @property
    def sure_error_fraction(self) -> float:
        """The same with the weights of the kappa fit."""
        return _fraction(self.sure_errors, self.sure_sharp_errors)


def _fraction(errors: NDArray[np.float64], sharp_errors: NDArray[np.float64]) -> float:
    return float(np.sqrt((errors**2).sum() / max(float((sharp_errors**2).sum()), 1e-12)))


def held_out_frames(count: int, every: int = EVERY) -> tuple[int, ...]:
    """Indices of the frames to hold out: every ``every``-th, but not the first or the last."""
    return tuple(range(every // 2, count - 1, every))


def predict_held_out(frames: list[UInt8Array], values: NDArray[np.float64] | None, every: int = EVERY) -> HeldOut:
    """Measure a stack without its held-out frames, and render these.

    If the dioptres are unknown, the position of a frame is interpolated by its number.

    Args:
        frames: (H, W, 3) uint8 each, sRGB, aligned, in order of focus.
        values: (N,) inverse depths of the planes of focus, 1/m, or None.
        every: every ``every``-th frame is held out.

    Raises:
        RejectedScene: if the remaining frames cannot be measured.
    """
    out = held_out_frames(len(frames), every)
    kept = [i for i in range(len(frames)) if i not in out]
    chosen = [frames[i] for i in kept]
    sweep = full_size_sweep(chosen, fit_sweep(chosen, None if values is None else values[kept]))
    at = np.arange(len(frames), dtype=np.float64) if values is None else values
    order = 1 if at[kept[-1]] > at[kept[0]] else -1
    positions = np.interp(order * at[list(out)], order * at[kept], sweep.fit.chosen.positions_px)
    height, width = frames[0].shape[:2]
    size = (round(width * sweep.fit.work_ratio), round(height * sweep.fit.work_ratio))

    def small(image: Float32Array) -> Float32Array:
        shrunk = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if sweep.fit.work_ratio < 1 else image
        return np.asarray(shrunk, dtype=np.float32)

    sharp = small(linear_from_srgb8(sweep.sharp))
    bank = blur_bank(sharp, LARGEST_BLUR_OF_WIDTH * size[0])
    index = cv2.resize(sweep.depth.index, size, interpolation=cv2.INTER_NEAREST)
    known = np.isfinite(index)
    confidence = cv2.resize(sweep.depth.confidence, size, interpolation=cv2.INTER_AREA)
    sure = calibration_weights(sharp, FocusDepth(index, confidence))[known]
    position = np.interp(np.nan_to_num(index), np.arange(len(kept)), sweep.fit.chosen.positions_px)
    rows = []
    for i, x in zip(out, positions, strict=True):
        real = encoded_luminance(small(linear_from_srgb8(frames[i]) * exposure_gain(frames[i], frames)))[known]
        blurred = (real - bank.render(np.abs(x - position))[known]) ** 2
        unblurred = (real - bank.encoded[0][known]) ** 2
        rows.append(
            [blurred.mean(), unblurred.mean(), np.average(blurred, weights=sure), np.average(unblurred, weights=sure)]
        )
    errors, sharp_errors, sure_errors, sure_sharp_errors = np.sqrt(np.array(rows, dtype=np.float64).T)
    return HeldOut(out, errors, sharp_errors, sure_errors, sure_sharp_errors, sweep)

"""Builder of scenes from focal stacks: alignment, depth from focus, all-in-focus image, kappa fit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mddnet.captures.focal_stack import FocalStack, FramesOnDisk, read_focal_stack
from mddnet.color import linear_from_srgb8, srgb8_from_linear, srgb_from_linear
from mddnet.cores import worker_threads
from mddnet.errors import RejectedScene
from mddnet.metrics import texture_mask
from mddnet.optics import lens_kappa_px
from mddnet.scenes import kappa_fit, store
from mddnet.scenes.align import (
    LINEAR_OF_BYTE,
    AlignedStack,
    Alignment,
    Similarity,
    apply_alignment,
    estimate_alignment,
    flow_ratio,
    parallax_of,
    undo_parallax,
)
from mddnet.scenes.all_in_focus import fuse, fuse_parts, sharpest_nearby
from mddnet.scenes.depth_from_focus import FocusDepth, complete, depth_from_cost, depth_from_sharpness, upsample
from mddnet.scenes.frame_file import FrameFile
from mddnet.scenes.remarks import order_remarks
from mddnet.scenes.sharpness import sharpness_profile
from mddnet.types import Float32Array, FrameRecord, InvDepthUnit, SceneRecord, UInt8Array

WORK_WIDTH = 430
ROUNDS = 2
MAX_FRAMES = 24
DEPTHS_OF_A_PAIR = 9  # depths at and between the planes of focus of two frames
MIN_KNOWN_SHARE = 0.2
LARGEST_BLUR_OF_WIDTH = 0.18
WORST_ERROR_FRACTION = 0.9
ORDINAL_ERROR_FRACTION = 0.75
"""Re-rendering error above which blur sizes, and so depth intervals, are unreliable: the unit is then ordinal."""
PARALLAX_TRIAL_FRACTION = 0.33
PARALLAX_GAIN = 0.1
"""Unaligned stacks with an error above the first value are tried with parallax removed, kept for this gain."""
LEAST_PARALLAX_PX = 3.0  # of images of FLOW_SIDE_PX
BREATHING = 0.005  # minimum change of magnification that determines the direction of the sweep
MIN_NOISE_FRAMES = 5  # label noise is estimated from every other frame if these are at least this many ...
MIN_NOISE_CONFIDENCE = 0.5  # ... at pixels above this confidence, as in evaluations
UNEVEN_GAIN = 0.05  # minimum reduction of the squared error for a fit with uneven steps to be used


@dataclass(frozen=True, slots=True)
class Sweep:
    """Depth, sharp image and blur of a stack, in capture order."""

    depth: FocusDepth  # (H, W) index and confidence at full size
    sharp: UInt8Array  # (H, W, 3) uint8, sRGB
    fit: FittedSweep


@dataclass(frozen=True, slots=True)
class MeasuredStack:
    """An aligned and measured stack."""

    aligned: AlignedStack
    sweep: Sweep
    u_focus: NDArray[np.float64]  # (N,) inverse depth of the planes of focus, 1/m if known, else 0 to 1
    kappa_px: float  # of the full-size image, per unit of u_focus
    parallax_undone: bool
    remarks: tuple[str, ...]


def build_focal_stack_scene(capture: Path, out_root: Path) -> SceneRecord:
    """Build the scene of a focal stack in ``out_root/<scene>/``; RejectedScene if it is not reliable."""
    stack = read_focal_stack(capture)
    measured = measure_stack(stack)
    depth, frames, u_focus = measured.sweep.depth, measured.aligned.frames, measured.u_focus
    spaced = measured.sweep.fit.chosen.error_fraction <= ORDINAL_ERROR_FRACTION
    unit: InvDepthUnit = "1/m" if stack.focus_values is not None else "relative" if spaced else "ordinal"
    count = len(frames)
    kept = np.unique(np.rint(np.linspace(0, count - 1, min(count, MAX_FRAMES))).astype(int))
    return store.write_scene(
        out_root,
        stack,
        "focal_stack",
        unit=unit,
        frames=[FrameRecord(f"frame_{i:02d}.jpg", float(u_focus[i]), measured.kappa_px) for i in kept],
        images=(frames[i] for i in kept),
        sharp=measured.sweep.sharp,
        inv_depth=np.interp(depth.index, np.arange(count), u_focus).astype(np.float32),
        confidence=depth.confidence,
        lens=stack.lens,
        measures=_measures(stack, measured),
        remarks=(*measured.remarks, *stack.remarks()),
    )


def measure_stack(stack: FocalStack) -> MeasuredStack:
    """Align a stack and measure its sweep, with parallax removed if that explains the frames better."""
    values = None if stack.focus_values is None else np.array(stack.focus_values)
    frames = FramesOnDisk(stack)
    aligned = aligned_frames(stack, frames)
    near_to_far = _near_to_far(stack, aligned.alignment)
    remarks = order_remarks(stack.focus.direction, aligned.alignment)
    fitted = fit_sweep(aligned.frames, values)
    closer = None if stack.aligned else without_parallax(frames, aligned, fitted, values)
    aligned, fitted = closer or (aligned, fitted)
    if fitted.chosen.error_fraction > WORST_ERROR_FRACTION:
        raise RejectedScene(
            f"blur explains too little: the re-rendering error is {fitted.chosen.error_fraction:.2f} of that of the "
            f"sharp image, expected <= {WORST_ERROR_FRACTION}"
        )
    sweep = full_size_sweep(aligned.frames, fitted)
    return MeasuredStack(aligned, sweep, *_inverse_depths(fitted, values, near_to_far), closer is not None, remarks)


def without_parallax(
    frames: Sequence[UInt8Array],
    aligned: AlignedStack,
    fitted: FittedSweep,
    values: NDArray[np.float64] | None,
    kept: FrameFile | None = None,
    threads: int = 1,
) -> tuple[AlignedStack, FittedSweep] | None:
    """The stack of a moving camera without parallax, and its fit; None if that does not explain the frames better.

    Large frames without a clear displacement are not tried, since this takes long.
    """
    if fitted.chosen.error_fraction <= PARALLAX_TRIAL_FRACTION:
        return None
    moved = parallax_of(aligned)
    ratio = flow_ratio(aligned)
    if ratio < 1 and max(float(np.abs(off).max()) for off in itertools.chain(*moved)) < LEAST_PARALLAX_PX:
        return None
    closer = undo_parallax(frames, aligned, moved, kept, threads)
    trial = fit_sweep(closer.frames, values, threads)
    better = trial.chosen.error_fraction < (1 - PARALLAX_GAIN) * fitted.chosen.error_fraction
    return (closer, trial) if better else None


def aligned_frames(stack: FocalStack, frames: Sequence[UInt8Array]) -> AlignedStack:
    """Align the frames unless the stack is stated to be aligned; raises RejectedScene if they cannot be aligned."""
    if stack.aligned:
        identity = Alignment(0, tuple(Similarity(1 + 0j, 0j) for _ in frames), 0.0, 1.0)
        return AlignedStack(list(frames), identity, 1.0, slice(0, stack.height), slice(0, stack.width))
    return apply_alignment(frames, estimate_alignment(frames))


@dataclass(frozen=True, slots=True)
class FittedSweep:
    """Depth and blur of a stack at the working size (h, w)."""

    depth: FocusDepth  # (h, w) index and confidence, not yet completed
    sharp: Float32Array  # (h, w, 3) linear light
    gains: tuple[np.float32, ...]  # factors of the linear light of the frames
    shape: NDArray[np.float64] | None  # (N,) known distances of the planes of focus from the first, 1/m
    even: kappa_fit.SweepFit  # fit with even steps (or proportional to the shape)
    chosen: kappa_fit.SweepFit  # the fit that is used
    table: kappa_fit.ErrorTable  # re-rendering errors of both fits
    label_noise_px: float  # lower bound of the error of the CoC; NaN for short stacks
    work_ratio: float  # working width over full width


def fit_sweep(
    frames: Sequence[UInt8Array], values: NDArray[np.float64] | None, threads: int = 1, with_noise: bool = True
) -> FittedSweep:
    """Depth and blur of aligned frames, (H, W, 3) uint8, sRGB, in order of focus, at the working size.

    ``values`` are the known inverse depths of the planes of focus, 1/m; without ``with_noise``, the noise is NaN.
    """
    height, width = frames[0].shape[:2]
    ratio = min(1.0, WORK_WIDTH / width)
    size = (round(width * ratio), round(height * ratio))
    reference = _middle_light(frames)

    def reduced(frame: UInt8Array) -> tuple[np.float32, Float32Array]:
        linear = cv2.LUT(frame, LINEAR_OF_BYTE)
        gain = _gain(reference, linear)
        small = cv2.resize(linear, size, interpolation=cv2.INTER_AREA) if ratio < 1 else linear
        return gain, np.asarray(small * gain, dtype=np.float32)

    with worker_threads(threads) as pool:
        gains, small = zip(*pool.map(reduced, frames), strict=True)
    encoded = [kappa_fit.encoded_luminance(f) for f in small]
    mean = np.asarray(np.mean(small, axis=0, dtype=np.float32))
    depth = depth_from_sharpness(sharpness_profile(small, 1.5), srgb_from_linear(mean))
    shape = None if values is None else np.abs(values - values[0])
    for round_number in range(ROUNDS + 1):
        sharp = fuse(small, sharpest_nearby(small, np.nan_to_num(depth.index), 1.0))
        bank = kappa_fit.blur_bank(sharp, LARGEST_BLUR_OF_WIDTH * size[0])
        weights = calibration_weights(sharp, depth)
        table = kappa_fit.error_table(encoded, bank, np.nan_to_num(depth.index), weights, stride=2)
        even = kappa_fit.fit_even_sweep(table, shape)
        chosen = even
        if shape is None:
            uneven = kappa_fit.fit_uneven_sweep(table, even)
            saved = 1 - (uneven.error_fraction / even.error_fraction) ** 2
            chosen = uneven if saved > UNEVEN_GAIN else even
        if round_number == ROUNDS:
            break
        depth = _depth_round(encoded, bank, chosen.positions_px, sharp)
    noise_px = _label_noise_px(encoded, bank, chosen.positions_px, sharp) if with_noise else float("nan")
    return FittedSweep(depth, sharp, gains, shape, even, chosen, table, noise_px, ratio)


def full_size_sweep(frames: Sequence[UInt8Array], fitted: FittedSweep, threads: int = 1) -> Sweep:
    """Depth and sharp image of a fitted sweep at full size; RejectedScene if depth is found in too little of it."""
    height, width = frames[0].shape[:2]

    # Linear light needs four times the memory of the frames, so it is computed on demand.
    def linear_part(i: int, rows: slice, columns: slice) -> Float32Array:
        return np.asarray(cv2.LUT(frames[i][rows, columns], LINEAR_OF_BYTE * fitted.gains[i]), dtype=np.float32)

    depth, guide, count = fitted.depth, srgb_from_linear(fitted.sharp), len(frames)
    finer = np.float32(_finer(count))
    first = fuse_parts(linear_part, count, cv2.resize(depth.index, (width, height)), sharpest=False, threads=threads)
    depth = complete(replace(depth, index=depth.index * finer), int((count - 1) * finer) + 1, guide)
    depth = upsample(replace(depth, index=depth.index / finer), guide, srgb_from_linear(first))
    known = float(np.isfinite(depth.index).mean())
    if known < MIN_KNOWN_SHARE:
        raise RejectedScene(f"depth is found in {known:.0%} of the image, expected >= {MIN_KNOWN_SHARE:.0%}")
    filled = np.nan_to_num(depth.index, nan=float(np.nanmedian(depth.index)))
    fused = fuse_parts(linear_part, count, filled, threads=threads)
    return Sweep(depth, srgb8_from_linear(fused), fitted)


def exposure_gain(frame: UInt8Array, frames: Sequence[UInt8Array]) -> np.float32:
    """Factor that scales the linear light of a frame to the mean of the middle one, which blur does not change."""
    return _gain(_middle_light(frames), cv2.LUT(frame, LINEAR_OF_BYTE))


def _middle_light(frames: Sequence[UInt8Array]) -> float:
    return float(linear_from_srgb8(frames[len(frames) // 2][::4, ::4]).mean())


def _gain(reference: float, linear: NDArray[np.floating]) -> np.float32:
    return np.float32(np.clip(reference / max(float(linear[::4, ::4].mean()), 1e-6), 0.5, 2.0))


def calibration_weights(sharp_linear: Float32Array, depth: FocusDepth) -> Float32Array:
    """Weights of pixels in the kappa fit: their confidence, 0 near clipped highlights."""
    clipped = cv2.dilate((sharp_linear.max(axis=2) > 0.95).astype(np.uint8), np.ones((9, 9), np.uint8))
    weight = np.where(np.isnan(depth.index) | (clipped > 0), 0, np.clip(depth.confidence, 0, 1))
    return weight.astype(np.float32) if weight.sum() > 0 else np.ones_like(depth.confidence)


def _depth_round(
    encoded: list[Float32Array], bank: kappa_fit.BlurBank, positions_px: NDArray[np.floating], sharp: Float32Array
) -> FocusDepth:
    """Depth from the re-rendering errors of a sweep."""
    finer = _finer(len(encoded))
    depths_px = np.interp(
        np.arange(0, len(encoded) - 1 + 0.5 / finer, 1 / finer), np.arange(len(encoded)), positions_px
    )
    cost = kappa_fit.rerender_cost(encoded, bank, positions_px, depths_px)
    squares = [np.minimum((f - bank.encoded[0]) ** 2, kappa_fit.ERROR_CAP**2) for f in encoded]
    depth = depth_from_cost(cost, np.asarray(np.mean(squares, axis=0, dtype=np.float32)), srgb_from_linear(sharp))
    return replace(depth, index=depth.index / np.float32(finer))


def _finer(frames: int) -> int:
    """Depths per frame that are distinguished: two frames alone have others between them."""
    return 1 if frames > 2 else DEPTHS_OF_A_PAIR - 1


def _label_noise_px(
    encoded: list[Float32Array], bank: kappa_fit.BlurBank, positions_px: NDArray[np.floating], sharp: Float32Array
) -> float:
    """Lower bound of the error of the CoC from the estimated depth.

    The even and the odd frames give two depths with independent errors. The error with all frames has half the variance
    of either, so it is half the difference of the two. Shared errors of the sharp image and its smoothing are not
    included.
    """
    if len(encoded) < 2 * MIN_NOISE_FRAMES:
        return float("nan")
    positions, confident = [], np.ones(encoded[0].shape, dtype=bool)
    for part in (slice(0, None, 2), slice(1, None, 2)):
        frames, at = encoded[part], positions_px[part]
        depth = _depth_round(frames, bank, at, sharp)
        depth = complete(depth, len(frames), srgb_from_linear(sharp))
        positions.append(np.interp(depth.index, np.arange(len(frames)), at))
        confident &= (depth.confidence > MIN_NOISE_CONFIDENCE) & np.isfinite(depth.index)
    if not confident.any():
        return float("nan")
    return float(np.abs(positions[0] - positions[1])[confident].mean() / 2.0)


def _near_to_far(stack: FocalStack, alignment: Alignment) -> bool:
    if stack.focus.direction != "unknown":
        return stack.focus.direction == "near_to_far"
    # Focusing nearer moves the lens away from the sensor, which magnifies the image. Lenses with floating groups can do
    # the opposite, but no tripod stack of known order did so by this much.
    logs = alignment.log_magnifications
    first, last = logs[0], logs[-1]
    if abs(first - last) < BREATHING:
        raise RejectedScene(
            f"the order of the frames is unknown: magnification {np.exp(first):.4f} to {np.exp(last):.4f} over the "
            f"sweep, expected a change of {BREATHING:.1%}; state focus.order in capture.json"
        )
    return bool(first > last)


def _inverse_depths(
    fitted: FittedSweep, values: NDArray[np.float64] | None, near_to_far: bool
) -> tuple[NDArray[np.float64], float]:
    """Inverse depth of every frame index, and kappa in px of the full-size image per unit."""
    x = fitted.chosen.positions_px / fitted.work_ratio
    span = float(x[-1] - x[0])
    if values is not None:
        return values, span / float(abs(values[-1] - values[0]))
    u = (x - x[0]) / span
    return (1 - u if near_to_far else u), span


def _measures(stack: FocalStack, measured: MeasuredStack) -> dict[str, float]:
    aligned, sweep, fit = measured.aligned, measured.sweep, measured.sweep.fit
    count = len(aligned.frames)
    x = fit.chosen.positions_px
    first, second = kappa_fit.half_kappas(fit.table)
    straight = x[0] + (x[-1] - x[0]) * np.arange(count) / (count - 1)
    measures = {
        "frames_captured": float(count),
        "rerender_error_fraction": fit.chosen.error_fraction,
        "rerender_error_fraction_even_sweep": fit.even.error_fraction,
        "kappa_px_per_frame": fit.chosen.kappa_px_per_frame / fit.work_ratio,
        "kappa_px_per_frame_first_half": first / fit.work_ratio,
        "kappa_px_per_frame_second_half": second / fit.work_ratio,
        "uneven_share": float(np.abs(x - straight).max() / (x[-1] - x[0])),
        "unknown_share": float(np.isnan(sweep.depth.index).mean()),
        "mean_confidence": float(sweep.depth.confidence.mean()),
        "alignment_residual_px": aligned.alignment.residual_px,
        "common_share": aligned.common_share,
    }
    if np.isfinite(fit.label_noise_px):
        measures["coc_label_noise_px"] = fit.label_noise_px / fit.work_ratio
    if stack.focus_values is not None and stack.lens.has_blur_scale:
        measures["kappa_px_per_dioptre"] = measured.kappa_px
        measures["kappa_px_per_dioptre_from_lens"] = lens_kappa_px(stack.lens)
    index_map = stack.read_index_map()
    if index_map is not None:
        use = texture_mask(sweep.sharp) & ~np.isnan(sweep.depth.index)
        measures["r_with_index_map"] = float(np.corrcoef(sweep.depth.index[use], index_map[use])[0, 1])
    return measures | {"parallax_undone": float(measured.parallax_undone)}

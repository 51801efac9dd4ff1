"""The work of :func:`mddnet.focus_stack.stack`. Needs the extra ``build``."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mddnet.cores import usable_cores
from mddnet.errors import MddnetError, RejectedScene
from mddnet.focus_stack import Order, Step
from mddnet.focus_stack.frames import StackFrames, read_frames
from mddnet.focus_stack.order import frame_order, near_to_far_by_breathing
from mddnet.focus_stack.result import StackResult
from mddnet.focus_stack.scale import are_in_order, scale_of, stated_inv_depths
from mddnet.photo.lens_facts import missing_scale
from mddnet.predict.folder import find_photos
from mddnet.predict.predictor import Model, load
from mddnet.predict.resampling import nearest_downsampled
from mddnet.scenes.align import (
    AlignedStack,
    Alignment,
    NotAligned,
    alignment_of,
    apply_alignment,
    largest_group,
)
from mddnet.scenes.depth_from_focus import FocusDepth
from mddnet.scenes.filling import nearest_filled
from mddnet.scenes.focal_stack_scene import (
    ORDINAL_ERROR_FRACTION,
    FittedSweep,
    fit_sweep,
    full_size_sweep,
    without_parallax,
)
from mddnet.scenes.frame_file import FrameFile
from mddnet.types import Float32Array, InvDepthUnit, Lens, UInt8Array

FloatArray = NDArray[np.float64]
MIN_SHARE_OF_GROUP = 0.6  # share of the frames that must show one scene for the others to be left out
NETWORK_FRAMES = 3  # frames of which the network sees the direction
MIN_NETWORK_CORRELATION = 0.1
TO_FIX = "use a tripod, or photos that were taken one after the other from one place"


def measured(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    lens: Lens | None,
    focus_m: Sequence[float | None] | None,
    order: Order,
    threads: int | None,
    scratch: str | os.PathLike[str] | None,
    step: Step,
) -> StackResult:
    """The result of a stack; the arguments are those of :func:`mddnet.focus_stack.stack`."""
    threads = threads or usable_cores()
    found = _paths(paths)
    folder = Path(tempfile.gettempdir() if scratch is None else scratch)
    known = focus_m is not None or order != "auto"
    frames = read_frames(found, folder, lens, focus_m, threads, step, sort=not known)
    if order == "far-to-near":
        frames = frames.chosen(range(len(frames.frames))[::-1])
    frames, values, notes, is_sure = _in_order(frames, order)
    step("align", 0, 1)
    frames, alignment = _aligned(frames, threads)
    values = stated_inv_depths([frame.lens for frame in frames.frames])[0] if is_sure else values[: len(frames.frames)]
    aligned = _applied(frames, alignment, threads)
    step("align", 1, 1)
    shape = values if are_in_order(values) else None
    fitted = fit_sweep(aligned.frames, shape, threads, with_noise=False)
    try:
        height, width = aligned.frames[0].shape[:2]
        spare = FrameFile.new(folder, len(frames.frames), (height, width))
        closer = without_parallax(frames.pixels, aligned, fitted, shape, spare, threads)
    except RejectedScene:
        closer = None  # less of the image would remain
    aligned, fitted = closer or (aligned, fitted)
    step("fuse", 0, 1)
    result = _measured(frames, aligned, fitted, values, notes, is_sure, threads, _identity(found))
    step("fuse", 1, 1)
    return result


def _identity(paths: Sequence[Path]) -> str:
    """A text that stands for these files, in whatever order."""
    whole = "\n".join(sorted(str(path.resolve()) for path in paths))
    return "stack:" + hashlib.blake2b(os.fsencode(whole), digest_size=16).hexdigest()


def _paths(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found, failures = find_photos([os.fspath(path) for path in given])
    if failures:
        raise MddnetError("; ".join(failures))
    return found


def _in_order(frames: StackFrames, order: Order) -> tuple[StackFrames, FloatArray, list[str], bool]:
    """The frames in order of focus, their stated inverse depths, notes, and whether they go from near to far."""
    values, notes = stated_inv_depths([frame.lens for frame in frames.frames])
    if order != "auto":
        return frames, values, list(notes), True
    if np.isfinite(values).all():
        numbers = [int(i) for i in np.argsort(-values, kind="stable")]
        return frames.chosen(numbers), values[numbers], list(notes), True
    numbers = frame_order([frame.small for frame in frames.frames])
    moved = numbers != list(range(len(numbers)))
    said = ["The order of the frames was found by their sharpness, since it differs from that of time or names."]
    return frames.chosen(numbers), values[numbers], [*notes, *(said if moved else [])], False


def _aligned(frames: StackFrames, threads: int) -> tuple[StackFrames, Alignment]:
    """The alignment, without frames of another scene; MddnetError if too few frames show the same."""
    small = [frame.small for frame in frames.frames]
    ratio = small[0].shape[1] / frames.pixels.size[1]
    try:
        return frames, alignment_of(small, ratio, threads)
    except NotAligned as error:
        group = largest_group(small)
        names = [frames.frames[error.first + k].name for k in (0, 1)]
        if len(group) < max(2, math.ceil(MIN_SHARE_OF_GROUP * len(small))) or len(group) == len(small):
            raise MddnetError(
                f"{names[0]} and {names[1]} do not show one scene from one viewpoint ({error}): {TO_FIX}"
            ) from None
        kept = frames.chosen(group, "does not align with the other frames: it shows another scene, or the camera moved")
    except RejectedScene as error:
        raise MddnetError(f"the frames cannot be aligned, since the camera moved ({error}): {TO_FIX}") from None
    try:
        return kept, alignment_of([frame.small for frame in kept.frames], ratio, threads)
    except RejectedScene as error:
        raise MddnetError(f"the frames cannot be aligned ({error}): {TO_FIX}") from None


def _applied(frames: StackFrames, alignment: Alignment, threads: int) -> AlignedStack:
    kept = FrameFile.new(frames.pixels.folder, len(frames.frames), frames.pixels.size)
    try:
        return apply_alignment(frames.pixels, alignment, kept, threads)
    except RejectedScene as error:
        raise MddnetError(f"the camera moved too far ({error}): {TO_FIX}") from None


def _measured(
    frames: StackFrames,
    aligned: AlignedStack,
    fitted: FittedSweep,
    values: FloatArray,
    notes: list[str],
    near_to_far: bool,
    threads: int,
    source: str,
) -> StackResult:
    sweep = full_size_sweep(aligned.frames, fitted, threads)
    index, sharp = nearest_filled(sweep.depth.index), sweep.sharp
    count = len(frames.frames)
    names = [frame.name for frame in frames.frames]
    reference = aligned.alignment.reference
    positions, images = fitted.chosen.positions_px / fitted.work_ratio, aligned.frames
    if not near_to_far and not _goes_near_to_far(aligned, sweep.depth, values, notes):
        index, names, values = np.float32(count - 1) - index, names[::-1], values[::-1]
        positions, reference = positions[-1] - positions[::-1], count - 1 - reference
        images = aligned.frames.chosen(range(count)[::-1]) if isinstance(aligned.frames, FrameFile) else images[::-1]
    lens = replace(frames.frames[0].lens, focus_m=None)
    scale = scale_of(positions, values, lens)
    unit: InvDepthUnit = scale.unit
    if fitted.chosen.error_fraction > ORDINAL_ERROR_FRACTION and unit == "relative":
        unit = "ordinal"
        notes.append("Blur explains little of the difference between the frames: only the order of depth is reliable.")
    inv_depth = np.interp(index, np.arange(count), scale.u_focus).astype(np.float32)
    unknown = float(np.isnan(sweep.depth.index).mean())
    if unknown > 0.005:
        notes.append(f"{unknown:.0%} of the image has no texture: its depth is that of the surroundings, confidence 0.")
    own = [note for note in frames.frames[0].notes if note not in missing_scale(lens, lens)]
    own += [note for frame in frames.frames[1:] for note in frame.notes if frame.name in note]
    left = [f"{frame.name} was left out: {frame.reason}" for frame in frames.left_out]
    return StackResult(
        all_in_focus=sharp,
        inv_depth=inv_depth,
        confidence=sweep.depth.confidence,
        unit=unit,
        u_focus=tuple(map(float, scale.u_focus)),
        kappa_px=scale.kappa_px,
        names=tuple(names),
        aligned=images,
        reference=reference,
        origin_px=(aligned.rows.start, aligned.columns.start),
        lens=lens,
        left_out=frames.left_out,
        notes=(*left, *own, *notes, *scale.notes),
        measures=_measures(aligned, fitted),
        source=source,
    )


def _measures(aligned: AlignedStack, fitted: FittedSweep) -> dict[str, float]:
    alignment = aligned.alignment
    return {
        "alignment_residual_px": alignment.residual_px,
        "alignment_correlation": alignment.lowest_correlation,
        "common_share": aligned.common_share,
        "rerender_error_fraction": fitted.chosen.error_fraction,
    }


def _goes_near_to_far(aligned: AlignedStack, depth: FocusDepth, values: FloatArray, notes: list[str]) -> bool:
    """The direction of the sweep: by stated distances, else by the network, else by magnification.

    The network sees in single frames what is near. Magnification misleads where frames were aligned before.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) >= 2:
        return bool(values[known[0]] > values[known[-1]])
    numbers = np.linspace(0, len(aligned.frames) - 1, NETWORK_FRAMES + 2)[1:-1] if len(aligned.frames) > 2 else (0, 1)
    model = load()
    found = [_network_agrees(model, np.ascontiguousarray(aligned.frames[round(i)]), depth) for i in numbers]
    by_network = float(np.mean(found))
    if abs(by_network) >= MIN_NETWORK_CORRELATION:
        return by_network < 0
    by_size = near_to_far_by_breathing(aligned.alignment)
    if by_size is None:
        notes.append("The direction of the focus is a guess: state --order if near and far are exchanged.")
    return by_network < 0 if by_size is None else by_size


def _network_agrees(model: Model, pixels: UInt8Array, depth: FocusDepth) -> float:
    """Correlation of the network's inverse depth of a frame with the index of the sharpest frame."""
    network = model.network_maps(pixels)
    size = network.depth.shape
    index = nearest_downsampled(depth.index, size)
    weight = np.where(np.isfinite(index), nearest_downsampled(depth.confidence, size), 0)
    return _correlation(np.nan_to_num(index), network.depth, weight)


def _correlation(a: Float32Array, b: Float32Array, weight: Float32Array) -> float:
    if not weight.sum() > 0:
        return 0.0
    a, b = a - np.average(a, weights=weight), b - np.average(b, weights=weight)
    norm = math.sqrt(float((weight * a * a).sum() * (weight * b * b).sum()))
    return float((weight * a * b).sum()) / norm if norm > 0 else 0.0

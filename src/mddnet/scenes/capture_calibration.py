"""Lens calibration from one capture, with intervals: (A, e) of a rig, kappa of a focal stack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mddnet.captures.focal_stack import read_focal_stack
from mddnet.captures.rig import read_rig
from mddnet.errors import MddnetError, RejectedScene
from mddnet.kinds import KINDS
from mddnet.optics import lens_kappa_px
from mddnet.scenes.focal_stack_scene import measure_stack
from mddnet.scenes.kappa_fit import kappa_error_share
from mddnet.scenes.plan import BuildTask
from mddnet.scenes.rig_scene import calibrate_capture


@dataclass(frozen=True, slots=True)
class Quantity:
    """A calibrated quantity; ``error`` is the half width of its 95 % interval, NaN if it was given, not fitted."""

    name: str
    value: float
    error: float
    unit: str


@dataclass(frozen=True, slots=True)
class CaptureCalibration:
    """Calibration of one capture."""

    kind: str  # name of its kind
    name: str  # name of its scene
    quantities: tuple[Quantity, ...] = ()  # the results; empty if it failed
    error_fraction: float = float("nan")  # re-rendering error over that of the sharp image; NaN if it failed
    remark: str = ""  # further facts, or ''
    reason: str = ""  # reason of the failure, or ''


def calibrate_task(task: BuildTask) -> CaptureCalibration:
    """Calibrate one capture folder; errors of the capture become the result's ``reason``."""
    cv2.setNumThreads(1)
    assert isinstance(task.capture, Path)
    try:
        found: CaptureCalibration = KINDS[task.kind].calibrate(task.capture)
        return found
    except RejectedScene as error:
        return CaptureCalibration(task.kind, task.name, reason=f"rejected: {error}")
    except MddnetError as error:
        return CaptureCalibration(task.kind, task.name, reason=str(error))


def calibrate_rig(folder: Path) -> CaptureCalibration:
    """A and e of a rig capture; RejectedScene if it does not determine them."""
    rig = read_rig(folder)
    found = calibrate_capture(rig)
    fit = found.fit
    known = np.isfinite(found.depth.depth_mm).mean()
    remark = f"depth in {known:.0%} of the image, noise {np.nanmedian(found.depth.relative_noise):.2%}"
    if rig.pixel_um is not None:
        f_number = rig.focal_mm * 1000.0 / (fit.law.aperture_px * rig.pixel_um)
        remark += f"; A is f/{f_number:.2f}"
        if rig.f_number is not None:
            remark += f", stated: f/{rig.f_number:g}"
    quantities = (
        Quantity("A", fit.law.aperture_px, fit.aperture_error_px, "px"),
        Quantity("e", fit.law.offset_mm, fit.offset_error_mm, "mm"),
    )
    return CaptureCalibration("rigs", rig.scene, quantities, fit.error_fraction, remark)


def calibrate_stack(folder: Path) -> CaptureCalibration:
    """Kappa of a focal stack; RejectedScene if blur does not explain the frames."""
    stack = read_focal_stack(folder)
    measured = measure_stack(stack)
    fit, kappa = measured.sweep.fit, measured.kappa_px
    error, remark = kappa_error_share(fit.table, fit.shape) * kappa, ""
    if fit.shape is None:
        quantity = Quantity("kappa", kappa, error, "px per sweep")
        if fit.chosen is not fit.even:
            remark = f"uneven steps; if even: {fit.even.kappa_px_per_frame / fit.work_ratio:.3g} px per frame"
    else:
        quantity = Quantity("kappa", kappa, error, "px per 1/m")
        if stack.lens.has_blur_scale:
            remark = f"from f, N and pixel pitch: {lens_kappa_px(stack.lens):.4g}"
    return CaptureCalibration("focal_stacks", stack.scene, (quantity,), fit.chosen.error_fraction, remark)


def pooled(calibrations: list[CaptureCalibration]) -> tuple[Quantity, ...]:
    """Weighted means of A and e over captures of one rig; the error is that of the captures or their scatter."""
    out = []
    for name in ("A", "e"):
        found = [q for c in calibrations for q in c.quantities if q.name == name and q.error > 0]
        if len(found) < 2:
            continue
        values, errors = np.array([q.value for q in found]), np.array([q.error for q in found])
        weights = 1.0 / errors**2
        mean = float((weights * values).sum() / weights.sum())
        by_errors = float(1.0 / np.sqrt(weights.sum()))
        by_scatter = float(by_errors * np.sqrt((weights * (values - mean) ** 2).sum() / (len(found) - 1)) * 1.96)
        out.append(Quantity(name, mean, max(by_errors, by_scatter), found[0].unit))
    return tuple(out)

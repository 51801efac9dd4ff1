"""Builder of scenes from rig captures: depth from fringes, A and e by re-rendering, sharp image by fusion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mddnet.captures.rig import RigCapture, read_rig
from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.errors import CaptureError, RejectedScene
from mddnet.scenes import rig_calibrate, store
from mddnet.scenes.align import common_area, scaled_about
from mddnet.scenes.all_in_focus import fuse
from mddnet.scenes.depth_from_focus import complete
from mddnet.scenes.fringes import FringeCode, check_steps, decode_phase, fringe_code
from mddnet.scenes.kappa_fit import LUMINANCE
from mddnet.scenes.triangulate import MAX_RELATIVE_NOISE, MeasuredDepth, triangulate
from mddnet.types import Float32Array, FrameRecord, Lens, SceneRecord, UInt8Array

WORK_WIDTH = 480
MIN_KNOWN_SHARE = 0.02
MAX_SATURATED_SHARE = 0.3
WORST_ERROR_FRACTION = 0.9
MIN_MATCH = 0.7
OUTLIER_FACTOR = 2.0
"""A frame is an outlier if its re-rendering error exceeds this multiple of the median of all frames ..."""
OUTLIER_LEAST = 0.015  # ... and the median plus this value (sRGB-encoded, 0..1)
SHIFT_UNDONE_PX = 0.15
MAX_SHIFT_OF_WIDTH = 0.03
MAX_ZOOM_LEFT = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class RigCalibration:
    """A decoded and calibrated rig capture."""

    rig: RigCapture  # the capture
    depth: MeasuredDepth
    code: FringeCode  # from which the depth was triangulated
    fit: rig_calibrate.RigFit  # A in pixels of the capture, and e
    shifts_px: NDArray[np.complex128]  # (N,) complex, displacement of the frames to remove, pixels of the capture
    gains: NDArray[np.float32]  # (N,) factors on linear light that equalise the brightness of the frames
    filled_index: Float32Array  # (h, w) frame in focus at the working size, by depth or, where unknown, by sharpness

    @property
    def law(self) -> rig_calibrate.RigLaw:
        return self.fit.law

    @property
    def sensor_m(self) -> NDArray[np.float64]:
        """(N,) true sensor distances v + e, metres."""
        return (np.array(self.rig.sensor_mm) + self.law.offset_mm) / 1000.0

    @property
    def u_focus(self) -> NDArray[np.float64]:
        """(N,) 1/m, 1 / D_f of every frame."""
        return 1000.0 / self.rig.focal_mm - 1.0 / self.sensor_m

    @property
    def zooms(self) -> NDArray[np.float64]:
        """(N,) magnification of the frames as captured relative to the depth map."""
        return np.ones(len(self.sensor_m)) if self.rig.aligned else self.sensor_m / self.reference_m

    def aligned_frames(self) -> Iterator[UInt8Array]:
        """The frames without breathing and displacement, one at a time."""
        centre = (self.rig.geometry.camera.cx, self.rig.geometry.camera.cy)
        for i, (zoom, shift) in enumerate(zip(self.zooms, self.shifts_px, strict=True)):
            yield scaled_about(self.rig.read_frame(i), float(zoom), centre, complex(shift))

    @property
    def reference_m(self) -> float:
        """Sensor distance of the depth map, metres."""
        return (self.rig.fringes.sensor_mm + self.law.offset_mm) / 1000.0


def measure_depth(rig: RigCapture) -> tuple[MeasuredDepth, FringeCode]:
    """Decode the fringes, one frequency at a time, and triangulate; RejectedScene if they cannot be decoded."""
    phases = []
    for k, (files, periods) in enumerate(zip(rig.fringes.files, rig.fringes.periods, strict=True)):
        images = [rig.read_fringe(k, step) for step in range(len(files))]
        check_steps(images, files, periods)
        phases.append(decode_phase(images))
    code = fringe_code(phases, rig.fringes.periods)
    measured = triangulate(code, rig.geometry, rig.fringes.axis)
    known = float(np.isfinite(measured.depth_mm).mean())
    if known < MIN_KNOWN_SHARE:
        raise RejectedScene(
            f"depth is measured in {known:.1%} of the image, expected >= {MIN_KNOWN_SHARE:.0%}; the fringes illuminate "
            f"{code.lit:.0%} of it"
        )
    middle = float(np.nanmedian(measured.depth_mm))
    if middle <= rig.focal_mm:
        raise RejectedScene(
            f"the median depth is {middle:.4g} mm, within the focal length of {rig.focal_mm:g} mm; check that the "
            "translation of the calibration is in mm"
        )
    return measured, code


def calibrate_capture(rig: RigCapture) -> RigCalibration:
    """Depth, A and e of a capture, with all checks; RejectedScene with the measured reason if it is not reliable."""
    if (rig.aperture_px is None) != (rig.offset_mm is None):
        raise CaptureError(f"{rig.folder / 'capture.json'}: expected both aperture_px and offset_mm, or neither")
    depth, code = measure_depth(rig)
    ratio = min(1.0, WORK_WIDTH / rig.width)
    sweep = _sweep(rig, depth.depth_mm, ratio)
    known = None
    if rig.aperture_px is not None and rig.offset_mm is not None:
        known = rig_calibrate.RigLaw(rig.aperture_px * ratio, rig.offset_mm)
    fit = rig_calibrate.calibrate_rig(sweep, known)
    matches = rig_calibrate.match_frames(sweep, fit.law)
    worst = min(range(len(matches)), key=lambda i: matches[i].correlation)
    if matches[worst].correlation < MIN_MATCH:
        raise RejectedScene(
            f"{rig.frames[worst].name} differs from its rendering: correlation {matches[worst].correlation:.2f}, "
            f"expected >= {MIN_MATCH}; check that nothing moved, and the order of frames"
        )
    zoom = max(abs(abs(match.transform.factor) - 1) for match in matches)
    if zoom > MAX_ZOOM_LEFT:
        raise RejectedScene(
            f"frames are magnified by up to {zoom:.1%} relative to the model of breathing, expected <= "
            f"{MAX_ZOOM_LEFT:.0%}; check aligned ({str(rig.aligned).lower()}), focal_mm, and the order of frames"
        )
    shifts_px = np.array([match.transform.shift for match in matches])
    shift = float(np.abs(shifts_px).max())
    if shift > MAX_SHIFT_OF_WIDTH * sweep.inv_depth.shape[1]:
        raise RejectedScene(
            f"frames are displaced by up to {shift / ratio:.1f} px relative to the depth map, expected <= "
            f"{MAX_SHIFT_OF_WIDTH:.0%} of the width; check that camera and scene did not move"
        )
    if shift > SHIFT_UNDONE_PX:
        sweep = replace(sweep, shifts_px=shifts_px)
        fit = rig_calibrate.calibrate_rig(sweep, known)
    _check_errors(rig, fit)
    if known is None:
        rig_calibrate.check_determined(fit)
    law = rig_calibrate.RigLaw(fit.law.aperture_px / ratio, fit.law.offset_mm)
    full = replace(
        fit, law=law, aperture_error_px=fit.aperture_error_px / ratio, largest_blur_px=fit.largest_blur_px / ratio
    )
    gains = rig_calibrate.equalising_gains(rig_calibrate.without_breathing(sweep, law.offset_mm))
    return RigCalibration(
        rig, depth, code, full, np.asarray(sweep.shifts_px / ratio), gains, _index_everywhere(sweep, law)
    )


def _sweep(rig: RigCapture, depth_mm: Float32Array, ratio: float) -> rig_calibrate.RigSweep:
    size = (round(rig.width * ratio), round(rig.height * ratio))
    frames, bright = [], []
    for i in range(len(rig.frames)):
        pixels = rig.read_frame(i)
        bright.append(float((pixels.max(axis=2) >= 254).mean()))
        light = linear_from_srgb8(pixels) @ LUMINANCE
        frames.append(np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_AREA) if ratio < 1 else light))
    saturated = float(np.median(bright))
    if saturated > MAX_SATURATED_SHARE:
        raise RejectedScene(
            f"the frames of the stack are saturated in {saturated:.0%} of the image, expected <= "
            f"{MAX_SATURATED_SHARE:.0%}; reduce the exposure"
        )
    inv_depth = (1000.0 / depth_mm).astype(np.float32)
    if ratio < 1:
        # a mean over known pixels; mostly unknown ones stay unknown
        known = np.isfinite(inv_depth).astype(np.float32)
        share = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
        total = cv2.resize(np.nan_to_num(inv_depth), size, interpolation=cv2.INTER_AREA)
        with np.errstate(invalid="ignore", divide="ignore"):
            inv_depth = np.where(share > 0.6, total / share, np.nan).astype(np.float32)
    camera = rig.geometry.camera
    return rig_calibrate.RigSweep(
        frames=frames,
        inv_depth=inv_depth,
        focal_mm=rig.focal_mm,
        sensor_mm=np.array(rig.sensor_mm),
        reference_mm=rig.fringes.sensor_mm,
        centre=((camera.cx + 0.5) * ratio - 0.5, (camera.cy + 0.5) * ratio - 0.5),
        aligned=rig.aligned,
        focal_px=camera.fx * ratio,
        shifts_px=np.zeros(len(frames), np.complex128),
    )


def _check_errors(rig: RigCapture, fit: rig_calibrate.RigFit) -> None:
    if fit.error_fraction > WORST_ERROR_FRACTION:
        raise RejectedScene(
            f"blur by A = {fit.law.aperture_px:.4g} px and e = {fit.law.offset_mm:.4g} mm explains too little: the "
            f"re-rendering error is {fit.error_fraction:.2f} of that of the sharp image, expected <= "
            f"{WORST_ERROR_FRACTION}; check the sensor positions of the frames"
        )
    middle = float(np.nanmedian(fit.frame_errors))
    worst = int(np.nanargmax(fit.frame_errors))
    error = float(fit.frame_errors[worst])
    if error > OUTLIER_FACTOR * middle and error > middle + OUTLIER_LEAST:
        raise RejectedScene(
            f"{rig.frames[worst].name} is an outlier: its re-rendering error is {error:.3f}, the median of all frames "
            f"{middle:.3f}; check for motion, exposure and sensor position, and retake it or remove it from frames and "
            "sensor"
        )


def _index_everywhere(sweep: rig_calibrate.RigSweep, law: rig_calibrate.RigLaw) -> Float32Array:
    """Frame number in focus: from depth where it is known, from sharpness elsewhere, such as in shadows."""
    by_depth = rig_calibrate.index_by_law(sweep.inv_depth, sweep.u_focus(law.offset_mm))
    unknown = np.isnan(sweep.inv_depth)
    if not unknown.any():
        return by_depth
    frames = rig_calibrate.stabilised(sweep, law.offset_mm)
    found, guide = rig_calibrate.depth_of_grey(frames)
    known = np.where(unknown, found.index, by_depth).astype(np.float32)
    confidence = np.where(unknown, found.confidence, 1.0).astype(np.float32)
    completed = complete(replace(found, index=known, confidence=confidence), len(frames), guide, floor=0.0)
    return np.where(unknown, np.nan_to_num(completed.index, nan=(len(frames) - 1) / 2), by_depth).astype(np.float32)


def build_rig_scene(folder: Path, out_root: Path) -> SceneRecord:
    """Build the scene of a rig capture in ``out_root/<scene>/``; RejectedScene if it is not reliable.

    Frames are read one at a time: a stack of 200 positions needs no more memory than one of 4.
    """
    calibration = calibrate_capture(read_rig(folder))
    rig = calibration.rig
    camera = rig.geometry.camera
    rows, columns = common_area(
        (rig.height, rig.width), (camera.cx, camera.cy), calibration.zooms, calibration.shifts_px
    )
    sharp = _fused(calibration)[rows, columns]
    depth_mm = calibration.depth.depth_mm[rows, columns]
    noise = calibration.depth.relative_noise[rows, columns]
    confidence = np.where(np.isfinite(depth_mm), np.clip(1 - noise / MAX_RELATIVE_NOISE, 0, 1), 0).astype(np.float32)
    kappa = float(calibration.law.aperture_px * calibration.reference_m)
    return store.write_scene(
        out_root,
        rig,
        "rig",
        unit="1/m",
        frames=[FrameRecord(f"frame_{i:03d}.jpg", float(u), kappa) for i, u in enumerate(calibration.u_focus)],
        images=(pixels[rows, columns] for pixels in calibration.aligned_frames()),
        sharp=sharp,
        inv_depth=(1000.0 / depth_mm).astype(np.float32),
        confidence=confidence,
        lens=Lens(focal_mm=rig.focal_mm, f_number=rig.f_number, pixel_um=rig.pixel_um),
        measures=_measures(calibration, depth_mm),
    )


def _measures(calibration: RigCalibration, depth_mm: Float32Array) -> dict[str, float]:
    fit, code = calibration.fit, calibration.code
    given = calibration.rig.aperture_px is not None
    measures = {
        "frames_captured": float(len(calibration.rig.frames)),
        "rerender_error_fraction": fit.error_fraction,
        "aperture_px": fit.law.aperture_px,
        "offset_mm": fit.law.offset_mm,
        "law_fitted": float(not given),
        "largest_blur_px": fit.largest_blur_px,
        "unknown_share": float(np.isnan(depth_mm).mean()),
        "depth_noise_share": float(np.nanmedian(calibration.depth.relative_noise)),
        "fringe_lit_share": code.lit,
        "fringe_disagreement_rad": code.disagreement_rad,
        "fringe_misfit": code.harmonics,
        "frame_shift_px": float(np.abs(calibration.shifts_px).max()),
    }
    if not given:
        measures |= {"aperture_error_px": fit.aperture_error_px, "offset_error_mm": fit.offset_error_mm}
    return measures


def _fused(calibration: RigCalibration) -> UInt8Array:
    """The all-in-focus image, (H, W, 3) uint8, sRGB; frames are read one at a time."""
    rig = calibration.rig
    depth_mm = calibration.depth.depth_mm
    index = cv2.resize(calibration.filled_index, (rig.width, rig.height), interpolation=cv2.INTER_LINEAR)
    with np.errstate(invalid="ignore"):
        by_depth = rig_calibrate.index_by_law((1000.0 / depth_mm).astype(np.float32), calibration.u_focus)
        index = np.where(np.isfinite(depth_mm), by_depth, index)
    frames = (
        linear_from_srgb8(pixels) * np.float32(gain)
        for pixels, gain in zip(calibration.aligned_frames(), calibration.gains, strict=True)
    )
    return srgb8_from_linear(fuse(frames, index.astype(np.float32)))

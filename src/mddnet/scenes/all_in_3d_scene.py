"""Builder of ALL-in-3D scenes: measured depth, defocus by the formula of the paper.

The formula (He et al., arXiv:2208.09848)

    c = A |D - D_f| / D * F / (D_f - F)    with A the aperture over the pixel pitch

is the lens law: with v = F D_f / (D_f - F), c = A v |1/D_f - 1/D|, so kappa of a frame is A v. If A is not given, it is
fitted by blurring the all-in-focus image and comparing with the focused frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from mddnet.captures.all_in_3d import AllIn3dScene
from mddnet.color import linear_from_srgb8
from mddnet.errors import RejectedScene
from mddnet.optics import sensor_distance_m
from mddnet.scenes import store
from mddnet.scenes.align import MIN_CORRELATION, common_area, register_pair, scaled_about, stabilised_luminance
from mddnet.scenes.kappa_fit import BlurBank, between_discs, blur_bank, encoded_luminance
from mddnet.types import Float32Array, FrameRecord, Lens, SceneRecord, UInt8Array

WORK_WIDTH = 430
STRIDE = 2  # only every second row and column is compared
LARGEST_BLUR_OF_WIDTH = 0.18
SMALLEST_BLUR_PX = 0.5  # largest CoC at the smallest trial value of A, at the working size
MIN_KNOWN_SHARE = 0.02  # low, because depth of the dark background is not measured
WORST_ERROR_FRACTION = 0.9
WORST_AGAINST_UNIFORM = 1.1
"""Re-rendering error over that of uniform blur per frame; above it, the blur does not follow the depth."""
BREATHING_SLOPE = 0.5  # slope of log magnification over log sensor distance: 1 as captured, 0 if breathing was removed
FEW_FRAMES = 40  # number of frames that decide on breathing and on the coarse fit of A
LEAST_BREATHING = 0.004  # range of the log sensor distance below which breathing is negligible


@dataclass(frozen=True, slots=True)
class RerenderTrial:
    """Data of the fit of A at the working size."""

    bank: BlurBank  # the all-in-focus image blurred by discs
    frames: list[Float32Array]  # N arrays (P,), sRGB-encoded luminance at the compared pixels
    distances: list[NDArray[np.float64]]  # N arrays (P,), CoC diameter for A = 1 there, px
    use: NDArray[np.bool_]  # (H, W) bool, the compared pixels

    def error_fraction(self, aperture_px: float) -> float:
        """Root mean square error of the rendered frames over that of the sharp image."""
        planes = self.bank.encoded[:, self.use]
        rows = np.arange(planes.shape[1])
        blurred, sharp = 0.0, 0.0
        for frame, distance in zip(self.frames, self.distances, strict=True):
            low, t = between_discs(self.bank.diameters_px, aperture_px * distance)
            t = t.astype(np.float32)
            rendered = (1 - t) * planes[low, rows] + t * planes[low + 1, rows]
            blurred += float(((frame - rendered) ** 2).sum())
            sharp += float(((frame - planes[0]) ** 2).sum())
        return float(np.sqrt(blurred / max(sharp, 1e-12)))

    def uniform_error_fraction(self) -> float:
        """The same for the best uniform blur of each frame, independent of depth."""
        planes = self.bank.encoded[:, self.use]
        blurred, sharp = 0.0, 0.0
        for frame in self.frames:
            errors = [float(((frame - plane) ** 2).sum()) for plane in planes]
            blurred += min(errors)
            sharp += errors[0]
        return float(np.sqrt(blurred / max(sharp, 1e-12)))


def build_all_in_3d_scene(capture: AllIn3dScene, out_root: Path) -> SceneRecord:
    """Build the scene in ``out_root/<name>/``; RejectedScene if the blur of the frames does not follow the depth.

    Frames are read twice and kept one at a time: a scene of 200 frames needs no more memory than one of 3.
    """
    notes: list[str] = []
    sharp = capture.read_rgb(notes)
    inv_depth = 1.0 / capture.read_depth_m(sharp.shape)
    known = float(np.isfinite(inv_depth).mean())
    if known < MIN_KNOWN_SHARE:
        raise RejectedScene(f"depth is measured in {known:.1%} of the image, expected >= {MIN_KNOWN_SHARE:.0%}")
    focus_z_m = capture.read_focus_z_m()
    sensor_m = np.array([sensor_distance_m(capture.focal_mm, float(z)) for z in focus_z_m])
    small = [_work_size(capture.read_frame(i, sharp.shape, notes)) for i in range(len(focus_z_m))]
    scales = measure_breathing(_work_size(sharp), small, sensor_m)
    scaled_sensor_m = sensor_m / scales
    trial = rerender_trial(sharp, inv_depth, small, scales, 1.0 / focus_z_m, scaled_sensor_m)
    aperture_px = fit_aperture_px(trial) if capture.aperture_px is None else capture.aperture_px
    error = trial.error_fraction(aperture_px)
    uniform = trial.uniform_error_fraction()
    if error > WORST_AGAINST_UNIFORM * uniform:
        raise RejectedScene(
            f"the blur does not follow the depth: the re-rendering error is {error:.2f} with A = {aperture_px:.4g} px, "
            f"but {uniform:.2f} with uniform blur per frame; check that the focus depths are in the order of the frames"
        )
    if error > WORST_ERROR_FRACTION:
        raise RejectedScene(
            f"blur with A = {aperture_px:.4g} px explains too little: the re-rendering error is {error:.2f} of that of "
            f"the sharp image, expected <= {WORST_ERROR_FRACTION}"
        )
    height, width = sharp.shape[:2]
    rows, columns = common_area((height, width), ((width - 1) / 2, (height - 1) / 2), scales)
    images = (
        scaled_about(capture.read_frame(i, sharp.shape), float(scale))[rows, columns] for i, scale in enumerate(scales)
    )
    return store.write_scene(
        out_root,
        capture,
        "all_in_3d",
        unit="1/m",
        frames=[
            FrameRecord(f"frame_{position:03d}.jpg", float(1.0 / z), float(aperture_px * v))
            for position, z, v in zip(capture.frames, focus_z_m, scaled_sensor_m, strict=True)
        ],
        images=images,
        sharp=sharp[rows, columns],
        inv_depth=inv_depth[rows, columns],
        lens=Lens(focal_mm=capture.focal_mm),
        remarks=tuple(dict.fromkeys(notes)),
        measures={
            "frames_captured": float(len(focus_z_m)),
            "rerender_error_fraction": error,
            "rerender_error_fraction_uniform": uniform,
            "aperture_px": aperture_px,
            "aperture_px_fitted": float(capture.aperture_px is None),
            "breathing_undone": float((scales != 1).any()),
            "unknown_share": float(np.isnan(inv_depth[rows, columns]).mean()),
        },
    )


def _work_size(image: UInt8Array) -> Float32Array:
    """(h, w, 3) linear light, at most ``WORK_WIDTH`` wide."""
    height, width = image.shape[:2]
    ratio = min(1.0, WORK_WIDTH / width)
    linear = linear_from_srgb8(image)
    size = (round(width * ratio), round(height * ratio))
    return np.asarray(cv2.resize(linear, size, interpolation=cv2.INTER_AREA) if ratio < 1 else linear, np.float32)


def measure_breathing(
    sharp: Float32Array, frames: list[Float32Array], sensor_m: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N,) magnification of frames, (h, w, 3) linear light, relative to the sharp image; all 1 if already scaled.

    A line is fitted to the log magnification over that of the sensor distance v: slope 1 as captured, 0 if already
    scaled. Individual measurements are not used, since those of strongly blurred frames are inaccurate.
    """
    none = np.ones(len(frames))
    log_v = np.log(sensor_m)
    if np.ptp(log_v) < LEAST_BREATHING:
        return none
    few = evenly_spaced(len(frames))
    all_log_v, log_v = log_v, log_v[few]
    target = stabilised_luminance(sharp)
    fits = [register_pair(target, stabilised_luminance(frames[i])) for i in few]
    good = np.array([fit.correlation >= MIN_CORRELATION for fit in fits])
    if good.sum() < 3 or np.ptp(log_v[good]) < LEAST_BREATHING:
        return none
    log_scale = np.log(np.abs([fit.transform.factor for fit in fits]))
    slope = float(np.polyfit(log_v[good], log_scale[good], 1)[0])
    if slope < BREATHING_SLOPE:
        return none
    log_reference = float(np.median(log_v[good] - log_scale[good]))
    return np.asarray(np.exp(all_log_v - log_reference))


def evenly_spaced(count: int) -> NDArray[np.intp]:
    """Indices of at most :data:`FEW_FRAMES` frames, evenly spaced from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, FEW_FRAMES)).round().astype(np.intp))


def rerender_trial(
    sharp: UInt8Array,
    inv_depth: Float32Array,
    small: list[Float32Array],
    scales: NDArray[np.float64],
    u_focus: NDArray[np.float64],
    sensor_m: NDArray[np.float64],
) -> RerenderTrial:
    """Prepare the comparison of rendered with real frames, (h, w, 3) linear light at the working size."""
    sharp_small = _work_size(sharp)
    height, width = sharp_small.shape[:2]
    ratio = width / sharp.shape[1]
    bank = blur_bank(sharp_small, LARGEST_BLUR_OF_WIDTH * width)
    u = np.asarray(cv2.resize(inv_depth, (width, height), interpolation=cv2.INTER_NEAREST), np.float64)
    use = np.zeros((height, width), dtype=bool)
    rows, columns = common_area((height, width), ((width - 1) / 2, (height - 1) / 2), scales)
    use[rows, columns][::STRIDE, ::STRIDE] = np.isfinite(u[rows, columns][::STRIDE, ::STRIDE])
    if not use.any():
        raise RejectedScene("no pixel of known depth is left at the working size")
    observed = [
        encoded_luminance(scaled_about(frame, float(scale)))[use] for frame, scale in zip(small, scales, strict=True)
    ]
    distances = [ratio * v * np.abs(at - u[use]) for at, v in zip(u_focus, sensor_m, strict=True)]
    return RerenderTrial(bank, observed, distances, use)


def fit_aperture_px(trial: RerenderTrial) -> float:
    """The A with the lowest re-rendering error; RejectedScene if that has no minimum within the range of blur."""
    farthest = float(np.quantile(np.concatenate(trial.distances), 0.99))
    if not farthest > 0:
        raise RejectedScene("every pixel is in focus in every frame, which does not determine A")
    trials = np.geomspace(SMALLEST_BLUR_PX, trial.bank.diameters_px[-1], 40) / farthest
    few = evenly_spaced(len(trial.frames))
    rough = replace(trial, frames=[trial.frames[i] for i in few], distances=[trial.distances[i] for i in few])
    errors = [rough.error_fraction(float(a)) for a in trials]
    best = int(np.argmin(errors))
    if best in (0, len(trials) - 1):
        raise RejectedScene(
            f"A is not determined: the re-rendering error is lowest at the end of the range, {trials[best]:.4g} px; "
            "state aperture_px in all_in_3d.json"
        )
    fine = minimize_scalar(
        lambda log_a: trial.error_fraction(float(np.exp(log_a))),
        bounds=(float(np.log(trials[best - 1])), float(np.log(trials[best + 1]))),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(fine.x))

"""From a scene of ALL-in-3D to a scene of ours: depth as measured, defocus by the formula of the paper.

The formula (He et al., arXiv:2208.09848)

    c = A |D - D_f| / D * F / (D_f - F)    with A the aperture over the pixel pitch

is the lens law: with v = F D_f / (D_f - F), c = A v |1/D_f - 1/D|, so kappa of a frame is A v. Where the data set does
not come with A, it is fitted by blurring the all-in-focus image and comparing with the focused frames.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from mddnet.scenes.align import MIN_CORRELATION, register_pair, scaled_about
from mddnet.scenes.kappa_fit import LUMINANCE, BlurBank, between_discs, blur_bank, encoded_luminance
from mddnet.scenes.store import scene_name
from mddnet.types import Float32Array, FrameRecord, Lens, SceneRecord, UInt8Array

WORK_WIDTH = 430
STRIDE = 2
"""Every so many-th row and column is compared, which is plenty for a mean."""
LARGEST_BLUR_OF_WIDTH = 0.18
SMALLEST_BLUR_PX = 0.5
"""Trials of A start where the strongest blur has this diameter at the working size."""
MIN_KNOWN_SHARE = 0.02
"""The objects stand before a dark background, where nothing is measured."""
WORST_ERROR_FRACTION = 0.9
WORST_AGAINST_UNIFORM = 1.1
"""Re-rendering error over that of blur of one size per frame; above it, the blur does not follow the depth."""
BREATHING_SLOPE = 0.5
"""Growth of the picture per growth of the sensor distance, both in logarithms: 1 as captured, 0 where it was undone."""
FEW_FRAMES = 40
"""As many frames of a long stack say whether it breathes, and about where A lies."""
LEAST_BREATHING = 0.004
"""Range of the logarithm of the sensor distance below which breathing is neither seen nor worth undoing."""


@dataclass(frozen=True, slots=True)
class Breathing:
    """How the frames lie on the all-in-focus image.

    Attributes:
        scales: (N,) magnification of every frame against the all-in-focus image; all 1 where the frames fit already.
        undone: whether the frames must be shrunk by it.
    """

    scales: NDArray[np.float64]
    undone: bool


@dataclass(frozen=True, slots=True)
class RerenderTrial:
    """What fits of A compare: frames and depth at the working size.

    Attributes:
        bank: the all-in-focus image blurred by discs.
        frames: N arrays (P,), sRGB-encoded luminance at the pixels compared.
        distances: N arrays (P,), CoC diameter in px of the working size that A = 1 gives there.
        use: (H, W) bool, the pixels compared.
    """

    bank: BlurBank
    frames: list[Float32Array]
    distances: list[NDArray[np.float64]]
    use: NDArray[np.bool_]

    def error_fraction(self, aperture_px: float) -> float:
        """Root mean square error of the rendered frames over that of the sharp image itself."""
        planes = self.bank.encoded[:, self.use]
        rows = np.arange(planes.shape[1])
        mine, sharp = 0.0, 0.0
        for frame, distance in zip(self.frames, self.distances, strict=True):
            low, t = between_discs(self.bank.diameters_px, aperture_px * distance)
            t = t.astype(np.float32)
            rendered = (1 - t) * planes[low, rows] + t * planes[low + 1, rows]
            mine += float(((frame - rendered) ** 2).sum())
            sharp += float(((frame - planes[0]) ** 2).sum())
        return float(np.sqrt(mine / max(sharp, 1e-12)))

    def uniform_error_fraction(self) -> float:
        """The same for the best blur of one size per frame, whatever the depth."""
        planes = self.bank.encoded[:, self.use]
        mine, sharp = 0.0, 0.0
        for frame in self.frames:
            errors = [float(((frame - plane) ** 2).sum()) for plane in planes]
            mine += min(errors)
            sharp += errors[0]
        return float(np.sqrt(mine / max(sharp, 1e-12)))


def build_all_in_3d_scene(capture: AllIn3dScene, out_root: Path) -> SceneRecord:
    """Build the scene into ``out_root/<name>/``; ``scene.json`` is written last.

    Frames are read twice and held one at a time: a scene of 200 frames needs no more memory than one of 3.

    Args:
        capture: the scene as shipped.
        out_root: folder of scenes; a scene of the same name in it is replaced.

    Raises:
        CaptureError: if a part is damaged or contradicts another.
        RejectedScene: with the measured reason, if the blur of the frames does not follow from the depth.
    """
    sharp = capture.read_sharp()
    inv_depth = 1.0 / capture.read_depth_m(sharp.shape)
    known = float(np.isfinite(inv_depth).mean())
    if known < MIN_KNOWN_SHARE:
        raise RejectedScene(f"depth is measured in {known:.1%} of the picture, expected >= {MIN_KNOWN_SHARE:.0%}")
    focus_z_m = capture.read_focus_z_m()
    sensor_m = np.array([sensor_distance_m(capture.focal_mm, float(z)) for z in focus_z_m])
    small = [_work_size(capture.read_frame(i, sharp.shape)) for i in range(len(focus_z_m))]
    breathing = measure_breathing(_work_size(sharp), small, sensor_m)
    scaled_sensor_m = sensor_m / breathing.scales
    trial = rerender_trial(sharp, inv_depth, small, breathing, 1.0 / focus_z_m, scaled_sensor_m)
    aperture_px = fit_aperture_px(trial) if capture.aperture_px is None else capture.aperture_px
    error = trial.error_fraction(aperture_px)
    uniform = trial.uniform_error_fraction()
    if error > WORST_AGAINST_UNIFORM * uniform:
        raise RejectedScene(
            f"the blur does not follow the depth: with A = {aperture_px:.4g} px it leaves {error:.2f} of the "
            f"difference to the sharp image, blur of one size per frame only {uniform:.2f}; are the focus depths in "
            "the order of the frames?"
        )
    if error > WORST_ERROR_FRACTION:
        raise RejectedScene(
            f"blur with A = {aperture_px:.4g} px explains too little: the re-rendering error is {error:.2f} of that of "
            f"the sharp image, expected <= {WORST_ERROR_FRACTION}"
        )
    rows, columns = _seen_by_all(sharp.shape, breathing)
    record = SceneRecord(
        name=out_name(capture),
        location=capture.location,
        capture="all_in_3d",
        source=capture.source,
        licence=capture.licence,
        provenance="real",
        unit="1/m",
        frames=[
            FrameRecord(f"frame_{frame.position:03d}.jpg", float(1.0 / z), float(aperture_px * v))
            for frame, z, v in zip(capture.frames, focus_z_m, scaled_sensor_m, strict=True)
        ],
        sharp="sharp.jpg",
        inv_depth="inv_depth.png",
        lens=Lens(focal_mm=capture.focal_mm),
        measures={
            "frames_captured": float(len(focus_z_m)),
            "rerender_error_fraction": error,
            "rerender_error_fraction_uniform": uniform,
            "aperture_px": aperture_px,
            "aperture_px_fitted": float(capture.aperture_px is None),
            "breathing_undone": float(breathing.undone),
            "unknown_share": float(np.isnan(inv_depth[rows, columns]).mean()),
        },
    )
    frames = (frame[rows, columns] for frame in _aligned_frames(capture, sharp.shape, breathing))
    cropped = inv_depth[rows, columns]
    store.replace_scene(
        out_root / record.name, record, frames, sharp[rows, columns], cropped, np.isfinite(cropped).astype(np.float32)
    )
    return record


def out_name(capture: AllIn3dScene) -> str:
    """Name of the scene folder."""
    return scene_name(f"all_in_3d_{capture.name}")


def _work_size(image: UInt8Array) -> Float32Array:
    """(h, w, 3) linear light, at most ``WORK_WIDTH`` wide."""
    height, width = image.shape[:2]
    ratio = min(1.0, WORK_WIDTH / width)
    linear = linear_from_srgb8(image)
    size = (round(width * ratio), round(height * ratio))
    return np.asarray(cv2.resize(linear, size, interpolation=cv2.INTER_AREA) if ratio < 1 else linear, np.float32)


def measure_breathing(sharp: Float32Array, frames: list[Float32Array], sensor_m: NDArray[np.float64]) -> Breathing:
    """Whether the frames are as captured, magnified in proportion to the sensor distance v, or already scaled.

    The magnification of every frame against the all-in-focus image is measured; a straight line through its logarithm
    over that of v has slope 1 in the one case and 0 in the other. Single measurements are not used to scale by: those
    of strongly blurred frames are off.

    Args:
        sharp: (h, w, 3) linear light.
        frames: N arrays (h, w, 3), linear light.
        sensor_m: (N,) sensor distance v of the frames, metres.
    """
    still = Breathing(np.ones(len(frames)), False)
    log_v = np.log(sensor_m)
    if np.ptp(log_v) < LEAST_BREATHING:
        return still
    few = evenly_few(len(frames))
    all_log_v, log_v = log_v, log_v[few]
    target = _stabilised(sharp)
    fits = [register_pair(target, _stabilised(frames[i])) for i in few]
    good = np.array([fit.correlation >= MIN_CORRELATION for fit in fits])
    if good.sum() < 3 or np.ptp(log_v[good]) < LEAST_BREATHING:
        return still
    log_scale = np.log(np.abs([fit.transform.factor for fit in fits]))
    slope = float(np.polyfit(log_v[good], log_scale[good], 1)[0])
    if slope < BREATHING_SLOPE:
        return still
    log_reference = float(np.median(log_v[good] - log_scale[good]))
    return Breathing(np.exp(all_log_v - log_reference), True)


def evenly_few(count: int) -> NDArray[np.intp]:
    """Numbers of at most :data:`FEW_FRAMES` frames, spread evenly from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, FEW_FRAMES)).round().astype(np.intp))


def _stabilised(linear: Float32Array) -> Float32Array:
    return np.sqrt(np.maximum(linear @ LUMINANCE, 0)).astype(np.float32)


def _seen_by_all(shape: tuple[int, ...], breathing: Breathing) -> tuple[slice, slice]:
    """Rows and columns of the all-in-focus image that the most magnified frame still shows."""
    largest = max(1.0, float(breathing.scales.max()))
    height, width = shape[:2]
    top, left = (int(np.ceil((side - 1) / 2 * (1 - 1 / largest))) for side in (height, width))
    return slice(top, height - top), slice(left, width - left)


def _aligned_frames(capture: AllIn3dScene, shape: tuple[int, ...], breathing: Breathing) -> Iterator[UInt8Array]:
    for index, scale in enumerate(breathing.scales):
        frame = capture.read_frame(index, shape)
        yield scaled_about(frame, float(scale)) if breathing.undone else frame


def rerender_trial(
    sharp: UInt8Array,
    inv_depth: Float32Array,
    small: list[Float32Array],
    breathing: Breathing,
    u_focus: NDArray[np.float64],
    sensor_m: NDArray[np.float64],
) -> RerenderTrial:
    """Prepare the comparison of rendered with real frames.

    Args:
        sharp: (H, W, 3) uint8, sRGB.
        inv_depth: (H, W), 1/m, NaN where unknown.
        small: N arrays (h, w, 3), linear light, at the working size.
        breathing: magnification of the frames.
        u_focus: (N,) 1/m.
        sensor_m: (N,) kappa per A, metres: sensor distances, scaled with their frames.
    """
    sharp_small = _work_size(sharp)
    height, width = sharp_small.shape[:2]
    ratio = width / sharp.shape[1]
    bank = blur_bank(sharp_small, LARGEST_BLUR_OF_WIDTH * width)
    u = np.asarray(cv2.resize(inv_depth, (width, height), interpolation=cv2.INTER_NEAREST), np.float64)
    use = np.zeros((height, width), dtype=bool)
    rows, columns = _seen_by_all((height, width), breathing)
    use[rows, columns][::STRIDE, ::STRIDE] = np.isfinite(u[rows, columns][::STRIDE, ::STRIDE])
    if not use.any():
        raise RejectedScene("no pixel of known depth is left at the working size")
    seen = [
        encoded_luminance(scaled_about(frame, float(scale)) if breathing.undone else frame)[use]
        for frame, scale in zip(small, breathing.scales, strict=True)
    ]
    distances = [ratio * v * np.abs(at - u[use]) for at, v in zip(u_focus, sensor_m, strict=True)]
    return RerenderTrial(bank, seen, distances, use)


def fit_aperture_px(trial: RerenderTrial) -> float:
    """The A with the least re-rendering error.

    Raises:
        RejectedScene: if the error has no minimum within the blur that can be rendered, so that nothing determines A.
    """
    farthest = float(np.quantile(np.concatenate(trial.distances), 0.99))
    if not farthest > 0:
        raise RejectedScene("every pixel is in focus in every frame: nothing determines A")
    trials = np.geomspace(SMALLEST_BLUR_PX, trial.bank.diameters_px[-1], 40) / farthest
    few = evenly_few(len(trial.frames))
    rough = replace(trial, frames=[trial.frames[i] for i in few], distances=[trial.distances[i] for i in few])
    errors = [rough.error_fraction(float(a)) for a in trials]
    best = int(np.argmin(errors))
    if best in (0, len(trials) - 1):
        raise RejectedScene(
            f"the re-rendering error is least at the end of the trials, A = {trials[best]:.4g} px: nothing determines "
            "A; give aperture_px in all_in_3d.json"
        )
    fine = minimize_scalar(
        lambda log_a: trial.error_fraction(float(np.exp(log_a))),
        bounds=(float(np.log(trials[best - 1])), float(np.log(trials[best + 1]))),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(fine.x))

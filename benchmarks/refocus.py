"""Refocusing compared with real frames: a frame of a focal stack, refocused, against the frame of that focus.

Input and target are real frames of held-out focal stacks, with one aperture. The plane of focus is set through a point
whose measured depth is in focus in the target. Errors are measured where the target is no sharper than the input, and
apart from that where it is sharper. A plain Gaussian by depth is the reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from benchmarks.settings import Settings

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.data.split import read_split
from mddnet.predict.predictor import Model
from mddnet.predict.refocus import BlurMaps, inv_depth_at, refocused_light, significant_defocus_px, wanted_defocus_px
from mddnet.scenes.reblur import extra_defocus_px, reblurred
from mddnet.scenes.render import DISC
from mddnet.scenes.store import list_scenes, read_image, read_inv_depth, read_scene
from mddnet.types import BoolArray, Float32Array, LensLawFit, Photo, UInt8Array

INPUTS, TARGETS = (0.25, 0.75), (0.0, 0.5, 1.0)
"""Planes of focus of the frames, as shares of the range of the stack."""
SHARPER_PX = 1.0  # CoC by which the target is sharper than the photo where that is measured
LEAST_SHARE = 0.05  # of the pixels of a frame
GAUSSIANS = 24
GMSD_CONSTANT = 170.0 / 255.0**2  # for values in [0, 1]
UNCHANGED, MEASURED, PREDICTED = "photo unchanged", "measured depth", "predicted maps"
REMOVED = f"Wiener filter of strengths below 1, {MEASURED}"
METHODS = (
    UNCHANGED,
    f"Gaussian by depth, {MEASURED}",
    f"mddnet, {MEASURED}",
    f"Gaussian by depth, {PREDICTED}",
    f"mddnet, {PREDICTED}",
)


@dataclass(frozen=True, slots=True)
class Case:
    """A frame to refocus and the frame of that focus."""

    location: str
    photo: UInt8Array  # (H, W, 3)
    target: UInt8Array  # (H, W, 3)
    maps: BlurMaps  # measured, of the photo
    u_target: float
    point: tuple[float, float]  # in focus in the target
    blurrier: BoolArray  # (H, W), the target is no sharper than the photo
    sharper: BoolArray


@dataclass(frozen=True, slots=True)
class Error:
    """Errors of one method on one case."""

    location: str
    method: str
    region: str
    psnr: float
    gmsd: float


def cases_of(folder: Path) -> Iterator[Case]:
    """The pairs of frames of a built focal stack."""
    scene = read_scene(folder)
    u = read_inv_depth(folder / scene.inv_depth)
    known = np.isfinite(u)
    filled = np.where(known, u, np.nanmedian(u)).astype(np.float32)
    frames = sorted(scene.frames, key=lambda frame: frame.u_focus)
    low, high = (float(value) for value in np.percentile(u[known], [5, 95]))

    def nearest(share: float) -> int:
        wanted = low + share * (high - low)
        return int(np.argmin([abs(frame.u_focus - wanted) for frame in frames]))

    pairs = {(nearest(a), nearest(b)) for a in INPUTS for b in TARGETS}
    for i, j in sorted(pair for pair in pairs if pair[0] != pair[1]):
        photo, target = (read_image(folder / frames[k].file) for k in (i, j))
        law = LensLawFit(True, frames[i].u_focus, frames[i].kappa_px, 0.0)
        maps = BlurMaps(filled, (law.kappa_px * (law.u_focus - filled)).astype(np.float32), law)
        change = frames[j].kappa_px * np.abs(frames[j].u_focus - u) - np.abs(maps.signed_defocus_px)
        error = np.abs(cv2.blur(filled, (15, 15)) - frames[j].u_focus) + np.where(known, 0, np.inf)
        row, column = np.unravel_index(int(np.argmin(error)), error.shape)
        point = ((column + 0.5) / u.shape[1], (row + 0.5) / u.shape[0])
        yield Case(
            scene.location, photo, _with_exposure_of(photo, target), maps, frames[j].u_focus, point,
            known & (change >= 0), known & (change < -SHARPER_PX),
        )  # fmt: skip


def _with_exposure_of(photo: UInt8Array, target: UInt8Array) -> UInt8Array:
    """The target with the mean light of the photo: some cameras change the exposure with the focus."""
    light, other = linear_from_srgb8(target), linear_from_srgb8(photo)
    return srgb8_from_linear(light * np.float32(other.mean() / light.mean()))


def results_of(case: Case, model: Model) -> Iterator[tuple[str, UInt8Array]]:
    """The picture of every method that applies."""
    yield UNCHANGED, case.photo
    light = linear_from_srgb8(case.photo)
    prediction = model.predict(Photo(case.photo))
    predicted = BlurMaps(prediction.inv_depth, prediction.signed_defocus_px, prediction.focus)
    for name, maps, u_focus in (
        (MEASURED, case.maps, case.u_target),
        (PREDICTED, predicted, inv_depth_at(predicted.inv_depth, case.point)),
    ):
        if maps.focus.found:
            yield f"Gaussian by depth, {name}", gaussian_by_depth(case.photo, maps, u_focus)
            yield f"mddnet, {name}", srgb8_from_linear(refocused_light(light, maps, 1.0, u_focus))
        else:
            yield f"Gaussian by depth, {name}", case.photo
            yield f"mddnet, {name}", case.photo
    signed = case.maps.signed_defocus_px
    wanted = wanted_defocus_px(case.maps, 1.0, case.u_target)
    yield REMOVED, srgb8_from_linear(reblurred(light, signed, np.minimum(np.abs(wanted), np.abs(signed)), DISC, True))


def gaussian_by_depth(photo: UInt8Array, maps: BlurMaps, u_focus: float) -> UInt8Array:
    """Every pixel of sRGB values blurred by its own Gaussian, interpolated between a set of blurred photos."""
    extra = extra_defocus_px(significant_defocus_px(maps), wanted_defocus_px(maps, 1.0, u_focus))
    sigma = np.minimum(np.abs(extra), 0.12 * max(photo.shape)) / 4
    levels = np.linspace(0.0, max(float(sigma.max()), 1e-3), GAUSSIANS)
    values, result = photo.astype(np.float32), np.zeros(photo.shape, np.float32)
    for level in levels:
        share = np.maximum(0.0, 1.0 - np.abs(sigma - level) / levels[1]).astype(np.float32)
        blurred = values if level == 0 else cv2.GaussianBlur(values, (0, 0), level)
        result += share[:, :, None] * blurred
    return (result + 0.5).astype(np.uint8)


def psnr(picture: UInt8Array, target: UInt8Array, where: BoolArray) -> float:
    """Peak signal-to-noise ratio of sRGB values, dB."""
    error = (picture[where].astype(np.float64) - target[where]) / 255.0
    return float(-10 * np.log10(np.mean(error**2)))


def gmsd(picture: UInt8Array, target: UInt8Array, where: BoolArray) -> float:
    """Gradient magnitude similarity deviation of luma at half size (Xue et al., IEEE TIP 2014), 0 is equal."""
    one, two = (_gradient(image) for image in (picture, target))
    similarity = (2 * one * two + GMSD_CONSTANT) / (one**2 + two**2 + GMSD_CONSTANT)
    inside = cv2.resize(where.astype(np.uint8), similarity.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return float(similarity[inside].std())


def _gradient(image: UInt8Array) -> Float32Array:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    half = cv2.blur(grey, (2, 2))[::2, ::2]
    kernel = np.repeat(np.array([[1, 0, -1]], np.float32) / 3, 3, axis=0)
    return np.hypot(cv2.filter2D(half, -1, kernel), cv2.filter2D(half, -1, kernel.T))


def errors_of(case: Case, model: Model) -> Iterator[Error]:
    """The errors of all methods in both regions."""
    regions = {"blurrier": case.blurrier, "sharper": case.sharper}
    for method, picture in results_of(case, model):
        for region, where in regions.items():
            if where.mean() >= LEAST_SHARE:
                values = psnr(picture, case.target, where), gmsd(picture, case.target, where)
                yield Error(case.location, method, region, *values)


def table(errors: list[Error], region: str, methods: Sequence[str] = METHODS) -> str:
    """Mean over the locations, each with the mean of its pairs."""
    lines = ["| method | PSNR, dB | GMSD |", "|---|---|---|"]
    for method in methods:
        rows = [error for error in errors if (error.method, error.region) == (method, region)]
        places = sorted({error.location for error in rows})
        means = [np.mean([[e.psnr, e.gmsd] for e in rows if e.location == place], axis=0) for place in places]
        value = np.mean(means, axis=0)
        lines.append(f"| {method} | {value[0]:.2f} | {value[1]:.4f} |")
    return "\n".join(lines)


def run(settings: Settings) -> str:
    """The page."""
    cv2.setNumThreads(1)
    split = read_split(settings.data / "split.csv")
    model, name = settings.load()
    errors, pairs, places = list[Error](), 0, set[str]()
    for folder in list_scenes(settings.scenes):
        if folder.parent.name != "focal_stacks" or split.get(read_scene(folder).location) != "dev":
            continue
        for case in cases_of(folder):
            pairs += 1
            places.add(case.location)
            errors += errors_of(case, model)
    return f"""# Refocused frames compared with real frames

Made by `python -m benchmarks refocus --scenes work/scenes --data ../shared/data`.

{name}: {pairs} pairs of frames of focal stacks, from {len(places)} held-out locations. Input and target are real frames
with one aperture and another plane of focus. The mean is over locations. PSNR: more is better; GMSD: less is better.
"Measured depth" uses depth and lens law of the whole stack, and so tests the rendering alone; "predicted maps" uses
those of the single photo, and a point to focus on, as a user does. The Gaussian has sigma = sqrt(C² - c²) / 4 at each
pixel, of sRGB values, without occlusions.

## Where the target is no sharper than the photo

{table(errors, "blurrier")}

## Where the target is sharper

By more than 1 px. Another focus does not remove blur; it leaves these pixels as they are, except near edges. The Wiener
filter halves the CoC at most; it is used for a narrower aperture only.

{table(errors, "sharper", (*METHODS, REMOVED))}
"""

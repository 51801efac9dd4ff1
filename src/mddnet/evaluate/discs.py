"""Defocus response: the CoC estimated for sharp photos that were blurred by discs and other shapes of known size.

It shares no code with the renderer of training images, so that it can detect errors of the renderer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.data.scene_pool import SceneEntry
from mddnet.evaluate.samples import Options, Sample, Source
from mddnet.evaluate.scenes import SceneReader
from mddnet.metrics import Truth, texture_mask
from mddnet.types import Float32Array, UInt8Array

SLOPE_DIAMETERS_PX = (2.0, 4.0, 8.0, 16.0)  # true diameters of the discs, in pixels of the blurred photo
SLOPE_LONG_SIDES_PX = (320, 480, 640)  # long sides to which every photo is resized
Shape = Literal["disc", "gaussian", "hexagon", "cat's eye"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
SHAPE_DIAMETERS_PX = (1.5, 2.0, 4.0, 8.0, 16.0, 32.0, 48.0)  # from nearly sharp to beyond the model's cap
SHAPE_LONG_SIDE_PX = 480
MAX_ENLARGEMENT = 1.15  # largest factor by which a photo is enlarged, since enlarging blurs

_SUPERSAMPLING = 64


@dataclass(frozen=True, slots=True)
class SlopePoint:
    """One photo at one size with one disc."""

    photo: str
    long_side_px: int
    true_px: float  # diameter of the disc; 0 is the unchanged photo
    answer_px: float  # median predicted defocus over textured pixels


@dataclass(frozen=True, slots=True)
class SlopeFit:
    """Least-squares line ``estimate = slope * true + intercept`` over the blurred points."""

    slope: float  # px per px; 1 is ideal
    intercept_px: float
    photos: int  # number of photos
    medians_px: dict[float, float]  # median estimate over the photos, by true diameter; 0.0 is unblurred


@dataclass(frozen=True, slots=True)
class SlopeResult:
    """Estimates for discs of known size."""

    points: tuple[SlopePoint, ...]  # one per photo, size and disc
    by_size: dict[int, SlopeFit]  # by long side
    overall: SlopeFit


@lru_cache(maxsize=32)
def shape_kernel(shape: Shape, diameter_px: float) -> Float32Array:
    """Blur kernel with the variance per axis of a disc of that diameter; odd size, sum 1.

    A hexagon is regular; a cat's eye is a disc of which a second one cuts off a third. Each tap is the share of its
    pixel that the shape covers. This widens a small shape by the size of a pixel, which the pixels of the photo already
    include. The drawn shape is therefore made smaller, so that the kernel's variance per axis (the mean of both) is
    that of the ideal disc, (diameter / 4)^2. ValueError below 1.5 px, which whole pixels cannot represent.
    """
    if not diameter_px >= 1.5:
        raise ValueError(f"diameter is {diameter_px} px; expected 1.5 px or more")
    wanted = (diameter_px / 4.0) ** 2
    low, high = 0.3 * diameter_px, 2.0 * diameter_px + 1.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if kernel_variance(_covered(shape, middle)) < wanted else (low, middle)
    return _covered(shape, high)


def kernel_variance(kernel: NDArray[np.floating]) -> float:
    """Variance of a kernel of sum 1 about its centroid, mean of both axes, in px^2."""
    offsets = np.arange(len(kernel), dtype=np.float64)
    total = 0.0
    for along in (kernel.sum(axis=0), kernel.sum(axis=1)):
        total += float(along @ (offsets - along @ offsets) ** 2)
    return total / 2.0


def _covered(shape: Shape, diameter_px: float) -> Float32Array:
    reach = diameter_px if shape == "gaussian" else diameter_px / 2.0
    radius = int(np.ceil(reach + 0.5))
    size = 2 * radius + 1
    parts = _SUPERSAMPLING if size < 24 else _SUPERSAMPLING // 4
    fine = (np.arange(size * parts) + 0.5) / parts - size / 2.0
    x, y = fine[None, :], fine[:, None]
    if shape == "gaussian":
        inside = np.exp(-(x**2 + y**2) / (2.0 * (diameter_px / 4.0) ** 2))
    elif shape == "hexagon":
        apothem = np.sqrt(3.0) / 4.0 * diameter_px
        inside = np.ones((len(fine), len(fine)))
        for angle in np.deg2rad((20.0, 80.0, 140.0)):
            inside *= np.abs(np.cos(angle) * x + np.sin(angle) * y) <= apothem
    else:
        inside = (x**2 + y**2 <= (diameter_px / 2.0) ** 2).astype(np.float64)
        if shape == "cat's eye":
            inside *= (x - 0.27 * diameter_px) ** 2 + y**2 <= (diameter_px / 2.0) ** 2
    cover = inside.reshape(size, parts, size, parts).mean(axis=(1, 3))
    return (cover / cover.sum()).astype(np.float32)


def blurred(photo: UInt8Array, diameter_px: float, shape: Shape = "disc") -> UInt8Array:
    """An (H, W, 3) uint8 sRGB photo blurred in linear light by a shape of that CoC diameter, edges mirrored."""
    kernel = shape_kernel(shape, diameter_px)
    radius = len(kernel) // 2
    height, width = photo.shape[:2]
    light = np.pad(linear_from_srgb8(photo), ((radius, radius), (radius, radius), (0, 0)), mode="symmetric")
    size = light.shape[:2]
    spectrum = np.fft.rfft2(light, axes=(0, 1)) * np.fft.rfft2(kernel, s=size)[..., None]
    # circular convolution moves the picture by the kernel's centre and wraps around into the padding
    whole = np.fft.irfft2(spectrum, s=size, axes=(0, 1))
    return srgb8_from_linear(whole[2 * radius : 2 * radius + height, 2 * radius : 2 * radius + width])


def resized(photo: UInt8Array, long_side_px: int) -> UInt8Array | None:
    """The photo with that long side; None if that enlarges it by more than :data:`MAX_ENLARGEMENT`."""
    height, width = photo.shape[:2]
    scale = long_side_px / max(height, width)
    if scale > MAX_ENLARGEMENT:
        return None
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))


def fit_slope(points: Sequence[SlopePoint]) -> SlopeFit:
    """Fit the line through all blurred points, with an intercept; NaN with fewer than two different diameters."""
    truths = sorted({point.true_px for point in points})
    medians = {t: float(np.median([p.answer_px for p in points if p.true_px == t])) for t in truths}
    slope = intercept = float("nan")
    if len(set(truths) - {0.0}) >= 2:
        x, y = np.array([(p.true_px, p.answer_px) for p in points if p.true_px > 0]).T
        slope = float((x - x.mean()) @ (y - y.mean()) / ((x - x.mean()) @ (x - x.mean())))
        intercept = float(y.mean() - slope * x.mean())
    return SlopeFit(slope, intercept, len({p.photo for p in points}), medians)


def slopes(points: Sequence[SlopePoint]) -> SlopeResult:
    """Fit the estimates for discs, for each long side and overall."""
    by_size = {size: [p for p in points if p.long_side_px == size] for size in SLOPE_LONG_SIDES_PX}
    return SlopeResult(
        tuple(points), {size: fit_slope(here) for size, here in by_size.items() if here}, fit_slope(points)
    )


def shape_slopes(points: Mapping[str, Sequence[SlopePoint]]) -> dict[Shape, SlopeFit]:
    """Fit the estimates for each shape from 2 to 16 px; the medians include all diameters."""
    fits: dict[Shape, SlopeFit] = {}
    for shape in SHAPES:
        here = points.get(shape, ())
        line = fit_slope([p for p in here if p.true_px in SLOPE_DIAMETERS_PX])
        fits[shape] = replace(line, medians_px=fit_slope(here).medians_px)
    return fits


BLURS: dict[str, tuple[str, list[tuple[Shape, int, float]]]] = {
    "coc_slope": (
        "CoC of known size",
        [("disc", side_px, d) for side_px in SLOPE_LONG_SIDES_PX for d in (0.0, *SLOPE_DIAMETERS_PX)],
    ),
    "psf_shapes": (
        "CoC by the shape of the blur",
        [(shape, SHAPE_LONG_SIDE_PX, diameter_px) for shape in SHAPES for diameter_px in SHAPE_DIAMETERS_PX],
    ),
}
"""By part of an evaluation: title, and the shape, long side of the photo and diameter of every blur; 0 is unchanged."""


def disc_source(part: str, scenes: Sequence[SceneEntry], options: Options) -> Source:
    """The sharp images of scenes with each blur of a part of :data:`BLURS`."""
    title, blurs = BLURS[part]
    reader = SceneReader(options)

    def load(scene: SceneEntry, shape: Shape, long_side_px: int, diameter_px: float) -> Truth | None:
        photo = resized(reader.maps(scene)[0].sharp, long_side_px)
        if photo is None or not (textured := texture_mask(photo)).any():
            return None
        return Truth(blurred(photo, diameter_px, shape) if diameter_px else photo, textured=textured)

    samples = []
    for scene in scenes:
        for shape, long_side_px, diameter_px in blurs:
            file = f"{long_side_px} px, {shape} of {diameter_px:g} px"
            labels = {"long_side_px": float(long_side_px), "true_px": diameter_px}
            read = partial(load, scene, shape, long_side_px, diameter_px)
            samples.append(Sample(str(scene.folder), scene.record.name, shape, file, read, labels))
    return Source(part, title, samples, all_methods=False)

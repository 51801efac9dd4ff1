"""Data augmentation: crop, scale, rotate and mirror image and maps alike, and change the colours as cameras do.

Chromatic aberration is preserved (colour channels are never swapped), and so is the lens law: resizing by s multiplies
CoC and kappa by s, rotating and mirroring keep them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.types import Float32Array, UInt8Array

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

SHARPENED = 0.8  # share of images that an unsharp mask is applied to, at strength 1
SPARSE = 0.1  # known share of a map below which its known pixels are kept one by one when it is made smaller


@dataclass(frozen=True, slots=True)
class View:
    """A random view of a scene. Corner and size of the crop are in pixels of the scene."""

    top: int
    left: int
    height: int
    width: int
    quarter_turns: int  # counter-clockwise
    mirrored: bool  # left and right are swapped


def draw_view(
    rng: np.random.Generator,
    scene_size: tuple[int, int],
    crop: tuple[int, int],
    window: tuple[float, float],
    rotated_share: float,
    mirror: bool,
) -> View:
    """Draw a view of the shape of the crop, which is (height, width) after its rotation.

    Its side, as a share of the largest view of this shape, is log-uniform in ``window``. A ``rotated_share`` of the
    views is rotated, by 90, 180 and 270 degrees equally often; with ``mirror``, half of them are mirrored.
    """
    turns = int(rng.integers(1, 4)) if rng.random() < rotated_share else 0
    crop_h, crop_w = crop if turns % 2 == 0 else crop[::-1]
    scale = min(scene_size[0] / crop_h, scene_size[1] / crop_w)
    scale *= float(np.exp(rng.uniform(np.log(window[0]), np.log(window[1]))))
    height, width = (
        max(1, min(round(side * scale), most)) for side, most in zip((crop_h, crop_w), scene_size, strict=True)
    )
    top = int(rng.integers(scene_size[0] - height + 1))
    left = int(rng.integers(scene_size[1] - width + 1))
    return View(top, left, height, width, turns, bool(mirror and rng.random() < 0.5))


def _rotated(array: np.ndarray, view: View) -> np.ndarray:
    if view.mirrored:
        array = array[:, ::-1]
    return np.ascontiguousarray(np.rot90(array, view.quarter_turns))


def _cut(array: np.ndarray, view: View) -> np.ndarray:
    return array[view.top : view.top + view.height, view.left : view.left + view.width]


def view_image(
    image: UInt8[UInt8Array, "H W 3"], view: View, crop: tuple[int, int]
) -> UInt8[UInt8Array, "{crop[0]} {crop[1]} 3"]:
    """The view of an image, antialiased."""
    height, width = crop if view.quarter_turns % 2 == 0 else crop[::-1]
    interpolation = cv2.INTER_AREA if height < view.height else cv2.INTER_LINEAR
    return _rotated(cv2.resize(_cut(image, view), (width, height), interpolation=interpolation), view)


def view_map(
    values: Float32[Float32Array, "H W"], view: View, size: tuple[int, int]
) -> Float32[Float32Array, "{size[0]} {size[1]}"]:
    """The view of a map with NaN where unknown, at a size (height, width), usually smaller than the crop.

    A dense map is sampled at the centres of the new pixels, so that its edges stay sharp. Of a sparse one, every known
    pixel goes to the new pixel that it falls into.
    """
    cut = _cut(values, view)
    known = np.isfinite(cut)
    height, width = size if view.quarter_turns % 2 == 0 else size[::-1]
    if known.mean() >= SPARSE:
        rows = ((np.arange(height) + 0.5) * view.height / height).astype(np.intp)
        columns = ((np.arange(width) + 0.5) * view.width / width).astype(np.intp)
        return _rotated(cut[np.ix_(rows, columns)], view)
    result = np.full((height, width), np.nan, dtype=np.float32)
    y, x = np.nonzero(known)
    result[y * height // view.height, x * width // view.width] = cut[y, x]
    return _rotated(result, view)


def _processed(
    rng: np.random.Generator, image: UInt8[UInt8Array, "H W 3"], strength: float
) -> UInt8[UInt8Array, "H W 3"]:
    """Random noise reduction and sharpening, as cameras, above all those of phones, do after the lens has blurred."""
    if rng.random() < 0.3 * strength:
        image = np.asarray(cv2.bilateralFilter(image, 5, float(rng.uniform(5, 30)), float(rng.uniform(0.7, 2.0))))
    if rng.random() < SHARPENED * strength:
        amount = rng.uniform(0.2, 1.5)
        radius = float(np.exp(rng.uniform(np.log(0.4), np.log(2.0))))
        image = np.asarray(cv2.addWeighted(image, 1.0 + amount, cv2.GaussianBlur(image, (0, 0), radius), -amount, 0.0))
    return image


def photometric(
    rng: np.random.Generator, image: UInt8[UInt8Array, "H W 3"], strength: float
) -> UInt8[UInt8Array, "H W 3"]:
    """Random exposure, white balance, sensor noise, noise reduction, sharpening, contrast, saturation and JPEG.

    Takes and returns an sRGB image. Strength 0 changes nothing, 1 is the range of ordinary cameras and editors.
    """
    if strength <= 0:
        return image
    linear = linear_from_srgb8(image)
    linear = linear * np.float32(2.0 ** (strength * rng.uniform(-0.8, 0.8)))
    linear = linear * np.exp2(strength * rng.uniform(-0.25, 0.25, size=3)).astype(np.float32)
    if rng.random() < 0.3:
        noise = strength * rng.uniform(0.0, 0.02)
        spread = np.sqrt(np.clip(linear, 0, 1) * noise * 0.2 + (0.3 * noise) ** 2)
        linear = linear + rng.standard_normal(linear.shape, dtype=np.float32) * spread.astype(np.float32)
    encoded = _processed(rng, srgb8_from_linear(linear), strength).astype(np.float32)
    contrast = 1.0 + strength * rng.uniform(-0.25, 0.25)
    saturation = 0.0 if rng.random() < 0.05 * strength else 1.0 + strength * rng.uniform(-0.4, 0.4)
    grey = encoded @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    changed = (grey[..., None] + saturation * (encoded - grey[..., None]) - 128.0) * contrast + 128.0
    result = np.clip(changed + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = int(rng.uniform(95 - 35 * strength, 96))
        bgr = np.ascontiguousarray(result[..., ::-1])
        # Cameras subsample the chroma of full-size photos; at the size of the network's input it is mostly complete.
        subsampled = rng.random() < 0.25
        sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if subsampled else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
        decoded = np.asarray(cv2.imdecode(cv2.imencode(".jpg", bgr, settings)[1], cv2.IMREAD_COLOR))
        result = np.ascontiguousarray(decoded[..., ::-1])
    return result

"""A downsampled prediction for the page, small enough to keep in memory and to send."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.dioptres import MAX_DEPTH_M
from mddnet.predict.point_cloud import PointCloud, camera_of, point_cloud
from mddnet.predict.prediction import Prediction
from mddnet.predict.resampling import nearest_downsampled
from mddnet.predict.verdict import UNKNOWN, Verdict
from mddnet.types import Float32Array, InvDepthUnit, Lens, LensLawFit, UInt8Array

PAGE_SIDE_PX = 960  # largest long side on the page; downloads have the size of the photo
HERO_SIDE_PX = 768  # of the picture that is refocused while the visitor waits
RENDER_SIDE_PX = 2048  # largest long side of rendered pictures for download
POINTER_SIDE_PX = PAGE_SIDE_PX // 2  # long side of the browser's grid of values, about that of the network's maps


Point = tuple[float, float]  # x and y in a photo, as fractions of its width and height


@dataclass(frozen=True, slots=True)
class PageMaps:
    """A downsampled prediction; lengths in pixels are those of the *photo*."""

    pixels: UInt8Array  # (h, w, 3) uint8, sRGB
    inv_depth: Float32Array  # (h, w), inverse depth in ``unit``
    signed_defocus_px: Float32Array  # (h, w), signed CoC diameter in pixels of the photo
    confidence: Float32Array  # (h, w) in [0, 1]
    unit: InvDepthUnit  # unit of the inverse depth
    focus: LensLawFit  # the lens law in ``unit`` and pixels of the photo
    lens: Lens  # the lens facts that were used
    width_px: int  # width of the photo
    height_px: int  # height of the photo
    path: Path | None  # the file of the photo
    notes: tuple[str, ...]  # of the prediction
    model_s: float | None = None  # duration of the prediction, seconds
    camera: CameraEstimate | None = None  # by the scene
    verdict: Verdict = UNKNOWN  # what depth and defocus are worth

    @property
    def scale(self) -> float:
        """Pixels here per pixel of the photo, <= 1."""
        return self.pixels.shape[1] / self.width_px


@dataclass(frozen=True, slots=True)
class PointValues:
    """The maps at one pixel of the photo."""

    x_px: int  # column in the photo, from 0
    y_px: int  # row in the photo, from 0
    inv_depth: float  # in the unit of the maps
    depth_m: float | None  # metres, if known
    signed_defocus_px: float  # signed CoC diameter in pixels of the photo
    confidence: float  # in [0, 1]


def page_maps(prediction: Prediction, long_side_px: int = PAGE_SIDE_PX) -> PageMaps:
    """Downsample a prediction; maps are not averaged, since the mean of +8 and -8 px would be a false 0 px."""
    height, width = prediction.size
    h, w = size_within((height, width), long_side_px)
    pixels = prediction.photo.pixels
    if (h, w) != (height, width):
        pixels = np.asarray(Image.fromarray(pixels).resize((w, h), Image.Resampling.LANCZOS, reducing_gap=2.0))
    inv_depth, signed_px = (prediction.sampled(name, (w, h)) for name in ("inv_depth", "signed_defocus_px"))
    return PageMaps(
        pixels, inv_depth, signed_px, prediction.sampled("confidence", (w, h)), prediction.unit, prediction.focus,
        prediction.lens, width, height, prediction.photo.path, prediction.notes, camera=prediction.camera,
        verdict=prediction.verdict,
    )  # fmt: skip


def smaller(maps: PageMaps, long_side_px: int) -> PageMaps:
    """The maps downsampled to that long side, as by :func:`page_maps`."""
    size = h, w = size_within(maps.inv_depth.shape, long_side_px)
    if size == maps.inv_depth.shape:
        return maps
    return replace(
        maps,
        pixels=np.asarray(Image.fromarray(maps.pixels).resize((w, h), Image.Resampling.LANCZOS)),
        inv_depth=nearest_downsampled(maps.inv_depth, size),
        signed_defocus_px=nearest_downsampled(maps.signed_defocus_px, size),
        confidence=nearest_downsampled(maps.confidence, size),
    )


def size_within(size: tuple[int, ...], long_side_px: int) -> tuple[int, int]:
    """Height and width of (H, W) = ``size``, scaled down to that long side if it is larger."""
    height, width = size
    factor = min(1.0, long_side_px / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def values_at(maps: PageMaps, x_px: float, y_px: float) -> PointValues:
    """The maps at a pixel of the photo; a point outside is moved to the border."""
    x, y = (int(np.clip(at, 0, size - 1)) for at, size in ((x_px, maps.width_px), (y_px, maps.height_px)))
    h, w = maps.inv_depth.shape
    at = min(h - 1, int((y + 0.5) * h / maps.height_px)), min(w - 1, int((x + 0.5) * w / maps.width_px))
    u = float(maps.inv_depth[at])
    depth_m = 1.0 / max(u, 1.0 / MAX_DEPTH_M) if maps.unit == "1/m" else None
    return PointValues(x, y, u, depth_m, float(maps.signed_defocus_px[at]), float(maps.confidence[at]))


def points_of(maps: PageMaps, max_points: int = 150_000) -> PointCloud:
    """The point cloud: see :func:`mddnet.predict.point_cloud.point_cloud`."""
    # The pixel pitch of the lens facts is that of the photo, whose pixels are smaller.
    pixel_um = None if maps.lens.pixel_um is None else maps.lens.pixel_um / maps.scale
    camera = camera_of(replace(maps.lens, pixel_um=pixel_um), maps.unit, maps.focus, maps.inv_depth.shape, maps.camera)
    return point_cloud(maps.pixels, maps.inv_depth, maps.unit, camera, max_points)


def packed_maps(maps: PageMaps) -> str:
    """Inverse depth, signed defocus and confidence on a grid of at most 480 px, as JSON for ``pointer.js``.

    ``width`` and ``height`` are those of the photo, ``columns`` and ``rows`` those of the grid. ``data`` is base64 of a
    zlib stream: the 16-bit codes of inverse depth, those of defocus, and confidence as bytes. A code means ``low + step
    * code``, with low and step in ``inv_depth`` and ``signed_px``. ``infinity`` is the largest inverse depth shown as
    infinity.
    """
    size = size_within(maps.inv_depth.shape, POINTER_SIDE_PX)
    inv_depth, depth_axis = _packed(nearest_downsampled(maps.inv_depth, size))
    signed, signed_axis = _packed(nearest_downsampled(maps.signed_defocus_px, size))
    confidence = (np.clip(nearest_downsampled(maps.confidence, size), 0, 1) * 255 + 0.5).astype(np.uint8).tobytes()
    facts = {
        "width": maps.width_px,
        "height": maps.height_px,
        "columns": size[1],
        "rows": size[0],
        "unit": maps.unit,
        "inv_depth": depth_axis,
        "signed_px": signed_axis,
        "infinity": 1.0 / MAX_DEPTH_M,
        "data": base64.b64encode(zlib.compress(inv_depth + signed + confidence, 1)).decode("ascii"),
    }
    return json.dumps(facts, separators=(",", ":"))


def _packed(values: Float32Array) -> tuple[bytes, tuple[float, float]]:
    """The 16-bit codes of a map as bytes, and their low and step."""
    low, high = float(values.min()), float(values.max())
    step = max(high - low, 1e-12) / 65535
    return np.rint((values.astype(np.float64) - low) / step).astype("<u2").tobytes(), (low, step)

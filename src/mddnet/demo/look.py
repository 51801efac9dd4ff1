"""What the page keeps of a prediction: the photo and its maps, small enough to stay in memory and to be sent about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mddnet.predict.dioptres import MAX_DEPTH_M
from mddnet.predict.prediction import PredictedPhoto
from mddnet.types import Float32Array, InvDepthUnit, Lens, LensLawFit, UInt8Array

LOOK_SIDE_PX = 960
"""Long side of what is kept and shown; the downloads have the photo's own size."""
RENDER_SIDE_PX = 2048
"""Long side up to which pictures with changed blur are made for downloading."""


@dataclass(frozen=True, slots=True)
class Look:
    """A prediction at no more than ``LOOK_SIDE_PX``; lengths in pixels are still those of the *photo*.

    Attributes:
        pixels: (h, w, 3) uint8, sRGB.
        inv_depth: (h, w), inverse depth in ``unit``.
        signed_defocus_px: (h, w), signed CoC diameter in pixels of the photo.
        confidence: (h, w) in [0, 1].
        unit: unit of the inverse depth.
        focus: the lens law in ``unit`` and pixels of the photo.
        lens: the lens facts that were used.
        width_px: width of the photo.
        height_px: height of the photo.
        path: the file that it came from, or None.
        notes: remarks of the prediction.
        model_s: seconds that the prediction took, without the page; None where nobody measured.
    """

    pixels: UInt8Array
    inv_depth: Float32Array
    signed_defocus_px: Float32Array
    confidence: Float32Array
    unit: InvDepthUnit
    focus: LensLawFit
    lens: Lens
    width_px: int
    height_px: int
    path: Path | None
    notes: tuple[str, ...]
    model_s: float | None = None

    @property
    def scale(self) -> float:
        """Pixels here per pixel of the photo, <= 1."""
        return self.pixels.shape[1] / self.width_px


@dataclass(frozen=True, slots=True)
class PointValues:
    """What the maps say at one pixel of the photo.

    Attributes:
        x_px: column in the photo, from 0.
        y_px: row in the photo, from 0.
        inv_depth: in the unit of the look.
        depth_m: metres, or None where they are not known.
        signed_defocus_px: signed CoC diameter in pixels of the photo.
        confidence: in [0, 1].
    """

    x_px: int
    y_px: int
    inv_depth: float
    depth_m: float | None
    signed_defocus_px: float
    confidence: float


def look_at(prediction: PredictedPhoto, long_side_px: int = LOOK_SIDE_PX) -> Look:
    """The prediction made smaller.

    Of the maps, points are taken and no means: the mean of +8 and -8 px would be a sharpness that is nowhere.
    """
    height, width = prediction.size
    h, w = size_within((height, width), long_side_px)
    pixels = prediction.photo.pixels
    if (h, w) != (height, width):
        pixels = np.asarray(Image.fromarray(pixels).resize((w, h), Image.Resampling.LANCZOS, reducing_gap=2.0))
    return Look(
        pixels=pixels,
        inv_depth=prediction.sampled("inv_depth", (w, h)),
        signed_defocus_px=prediction.sampled("signed_defocus_px", (w, h)),
        confidence=prediction.sampled("confidence", (w, h)),
        unit=prediction.unit,
        focus=prediction.focus,
        lens=prediction.lens,
        width_px=width,
        height_px=height,
        path=prediction.photo.path,
        notes=prediction.notes,
    )


def size_within(size: tuple[int, ...], long_side_px: int) -> tuple[int, int]:
    """Height and width of (H, W) = ``size`` made smaller, so that neither is more than the long side."""
    height, width = size
    factor = min(1.0, long_side_px / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def values_at(look: Look, x_px: float, y_px: float) -> PointValues:
    """What the maps say at a pixel of the photo; a point outside is moved to the border."""
    x = int(np.clip(x_px, 0, look.width_px - 1))
    y = int(np.clip(y_px, 0, look.height_px - 1))
    h, w = look.inv_depth.shape
    row, column = min(h - 1, int((y + 0.5) * h / look.height_px)), min(w - 1, int((x + 0.5) * w / look.width_px))
    u = float(look.inv_depth[row, column])
    depth_m = 1.0 / max(u, 1.0 / MAX_DEPTH_M) if look.unit == "1/m" else None
    return PointValues(
        x, y, u, depth_m, float(look.signed_defocus_px[row, column]), float(look.confidence[row, column])
    )

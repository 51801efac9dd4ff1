"""Alignment and fusion of two photos of one scene, focused near and far, into an all-in-focus picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.errors import ImageError, RejectedScene
from mddnet.predict.prediction import Prediction
from mddnet.types import Float32Array, Lens, Photo, UInt8Array

FUSED_SIDE_PX = 2048  # long side to which two photos are downsampled before alignment and fusion
SOFT_PX = 0.5  # difference of the CoCs, in pixels, that sets the softness of the transition between both photos


@dataclass(frozen=True, slots=True)
class FusedPair:
    """Two aligned photos, their predictions and the fused picture."""

    predictions: tuple[Prediction, Prediction]  # of the aligned photos, in the given order
    sharp: UInt8Array  # (H, W, 3) uint8, sRGB: every pixel from the photo in which it is less blurred
    index: Float32Array  # (H, W) in [0, 1]: 0 is the first photo, 1 the second
    correlation: float  # correlation of the aligned photos, -1 to 1
    note: str  # on the alignment


def fuse_pair(first: Photo, second: Photo, predict: Callable[[Photo], Prediction]) -> FusedPair:
    """Align two photos of one scene from one viewpoint, predict both, and fuse them in linear light.

    The weights of the photos are the mean of one from the predicted CoCs and one from the measured sharpness.
    ImageError if the shapes differ by more than 2 %, or the photos cannot be aligned.
    """
    # OpenCV, which the rest of the page does not need
    from mddnet.scenes.align import apply_alignment, estimate_alignment
    from mddnet.scenes.all_in_focus import fuse, sharpest_nearby

    sizes = [photo.pixels.shape[:2] for photo in (first, second)]
    aspects = [width / height for height, width in sizes]
    if not 0.98 < aspects[0] / aspects[1] < 1.02:
        shown = " and ".join(f"{width} x {height}" for height, width in sizes)
        raise ImageError(f"two photos of {shown} px: expected the same shape; use two uncropped photos of one camera")
    height, width = min(sizes)
    factor = min(1.0, FUSED_SIDE_PX / max(height, width))
    height, width = round(height * factor), round(width * factor)
    frames = [_resized(photo.pixels, height, width) for photo in (first, second)]
    try:
        aligned = apply_alignment(frames, estimate_alignment(frames))
    except RejectedScene as error:
        raise ImageError(f"the photos cannot be aligned ({error}); use a tripod, or two of a burst") from None
    near, far = (
        predict(Photo(frame, _lens_after(photo, frame.shape[1]), notes=photo.notes))
        for frame, photo in zip(aligned.frames, (first, second), strict=True)
    )
    difference_px = near.sampled("defocus_px", near.size[::-1]) - far.sampled("defocus_px", near.size[::-1])
    index = (1.0 / (1.0 + np.exp(-np.clip(difference_px / SOFT_PX, -30, 30)))).astype(np.float32)
    linear = [linear_from_srgb8(frame) for frame in aligned.frames]
    # The predicted maps lack fine structures; the measured sharpness is undefined in flat regions.
    index = np.float32(0.5) * (index + sharpest_nearby(linear, index))
    index = np.clip((index - np.float32(0.5)) * np.float32(2.0) + np.float32(0.5), 0, 1).astype(np.float32)
    sharp = srgb8_from_linear(fuse(linear, index))
    note = f"{aligned.common_share:.0%} of the second photo is common to both."
    if factor < 1:
        note += f" The photos were downsampled to {FUSED_SIDE_PX} px."
    return FusedPair((near, far), sharp, index, aligned.alignment.lowest_correlation, note)


def _resized(pixels: UInt8Array, height: int, width: int) -> UInt8Array:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0))


def _lens_after(photo: Photo, width: int) -> Lens:
    pitch = photo.lens.pixel_um
    return photo.lens if pitch is None else replace(photo.lens, pixel_um=pitch * photo.pixels.shape[1] / width)

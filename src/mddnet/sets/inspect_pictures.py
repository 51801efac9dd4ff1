"""The contact sheet of a scene: sharp image, one frame, inverse depth and signed defocus as small JPEG pictures."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mddnet.color_maps import DEPTH_COLOURS, SIGN_COLOURS, colours
from mddnet.metrics import smoothed_laplacian, texture_mask
from mddnet.optics import signed_defocus_px
from mddnet.sets.inspect import MIN_BLUR_ORDER, SceneFacts, with_remarks
from mddnet.sets.store import read_image, read_inv_depth
from mddnet.types import Float32Array, FrameRecord, UInt8Array

PICTURE_WIDTH_PX = 220
PICTURE_MAX_HEIGHT_PX = 300
JPEG_QUALITY = 82
COMPARE_LONG_SIDE_PX = 512
COMPARE_SAMPLES = 20_000
UNKNOWN_COLOUR = (128, 128, 128)


@dataclass(frozen=True, slots=True)
class SheetPicture:
    """One picture of a contact sheet.

    Attributes:
        title: what it shows, with the range of its colours.
        jpeg: the encoded picture.
        width: columns.
        height: rows.
    """

    title: str
    jpeg: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ContactSheet:
    """A scene in pictures.

    Attributes:
        facts: the scene, with a remark more if the frame does not look as the law says.
        pictures: the four pictures; three without the frame and its defocus where the scene has no frame.
        blur_order: rank correlation, -1..1, of the CoC by the law with the sharpness that the frame has lost; NaN
            where there is no frame or nothing to see.
    """

    facts: SceneFacts
    pictures: tuple[SheetPicture, ...]
    blur_order: float


def contact_sheet(facts: SceneFacts) -> ContactSheet:
    """Read the pictures of a scene and compare the frame shown with the lens law.

    Raises:
        CaptureError: if a picture is damaged.
    """
    record = facts.record
    size = _fitted_size(facts.width, facts.height)
    sharp = read_image(facts.folder / record.sharp)
    inv_depth = read_inv_depth(facts.folder / record.inv_depth).inv_depth
    depth = _coloured(_shrunk_map(inv_depth, size), facts.low, facts.low + facts.span, DEPTH_COLOURS)
    pictures = [
        _picture("sharp", _shrunk(sharp, size)),
        _picture(f"inverse depth, {record.unit}: {facts.low:.3g} to {facts.low + facts.span:.3g}", depth),
    ]
    shown = shown_frame(facts)
    if shown is None:
        return ContactSheet(facts, tuple(pictures), float("nan"))
    frame = read_image(facts.folder / shown.file)
    signed = signed_defocus_px(inv_depth, shown.u_focus, shown.kappa_px).astype(np.float32)
    most = max(1.0, float(np.nanquantile(np.abs(signed), 0.99)))
    pictures.insert(1, _picture(f"{shown.file}, focused at {shown.u_focus:.3g}", _shrunk(frame, size)))
    pictures.append(
        _picture(
            f"signed defocus: {-most:.3g} (in front) to {most:.3g} px",
            _coloured(_shrunk_map(signed, size), -most, most, SIGN_COLOURS),
        )
    )
    order = blur_order(sharp, frame, np.abs(signed))
    if order < MIN_BLUR_ORDER:
        facts = with_remarks(facts, [f"{shown.file} is not blurred where the law says: rank correlation {order:.2f}"])
    return ContactSheet(facts, tuple(pictures), order)


def shown_frame(facts: SceneFacts) -> FrameRecord | None:
    """The frame whose CoC varies most over the picture: there the law has most to say."""

    def spread(frame: FrameRecord) -> float:
        return float(np.abs(signed_defocus_px(facts.quantiles, frame.u_focus, frame.kappa_px)).std())

    return max(facts.record.frames, key=spread, default=None)


def blur_order(sharp: UInt8Array, frame: UInt8Array, defocus_px: Float32Array) -> float:
    """Rank correlation of the CoC with the sharpness that a frame has lost against the sharp image.

    Sharpness is the smoothed Laplacian magnitude; only textured pixels of known depth count.

    Args:
        sharp: (H, W, 3) uint8, sRGB.
        frame: (H, W, 3) uint8, sRGB.
        defocus_px: (H, W), px, NaN where unknown.

    Returns:
        -1..1, 1 where every more blurred pixel has lost more; NaN with too little texture or a constant CoC.
    """
    height, width = defocus_px.shape
    ratio = min(1.0, COMPARE_LONG_SIDE_PX / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    clear, blurred = _shrunk(sharp, size), _shrunk(frame, size)
    coc = _shrunk_map(defocus_px, size)
    sigma = max(1.5, 0.008 * max(size))
    use = texture_mask(clear) & np.isfinite(coc)
    if use.sum() < 100:
        return float("nan")
    before, after = (smoothed_laplacian(image, sigma)[use] for image in (clear, blurred))
    floor = 0.02 * float(before.mean()) + 1e-6
    lost = np.log((before + floor) / (after + floor))
    step = max(1, lost.size // COMPARE_SAMPLES)
    return _rank_correlation(lost[::step], coc[use][::step])


def _rank_correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    ranks = [np.unique(values, return_inverse=True)[1] for values in (first, second)]
    # ties share the mean of their ranks
    means = [np.cumsum(n := np.bincount(rank))[rank] - (n[rank] - 1) / 2 for rank in ranks]
    return float(np.corrcoef(means[0], means[1])[0, 1])


def _fitted_size(width: int, height: int) -> tuple[int, int]:
    factor = min(PICTURE_WIDTH_PX / width, PICTURE_MAX_HEIGHT_PX / height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _shrunk(image: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX, reducing_gap=2.0))


def _shrunk_map(values: Float32Array, size: tuple[int, int]) -> Float32Array:
    # nearest: a mean over unknown pixels would be unknown, and one across an edge a depth where nothing is
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.NEAREST), dtype=np.float32)


def _coloured(values: Float32Array, low: float, high: float, table: UInt8Array) -> UInt8Array:
    """(H, W, 3) colours of a table; unknown is grey."""
    image = colours(np.nan_to_num(values), low, high, table)
    image[np.isnan(values)] = UNKNOWN_COLOUR
    return image


def _picture(title: str, pixels: UInt8Array) -> SheetPicture:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=JPEG_QUALITY)
    return SheetPicture(title, stream.getvalue(), pixels.shape[1], pixels.shape[0])

"""Contact sheets of scenes: sharp image, one frame, inverse depth and signed defocus as small JPEG images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mddnet.color_maps import DEPTH_COLOURS, SIGN_COLOURS
from mddnet.metrics import smoothed_laplacian, spearman, texture_mask
from mddnet.optics import signed_defocus_px
from mddnet.scenes.inspect import MIN_BLUR_ORDER, SceneFacts
from mddnet.scenes.small_pictures import SmallPicture, coloured, fitted_size, picture, shrunk, shrunk_map
from mddnet.scenes.store import read_image, read_inv_depth
from mddnet.types import Float32Array, FrameRecord, UInt8Array

COMPARE_LONG_SIDE_PX = 512
COMPARE_SAMPLES = 20_000


@dataclass(frozen=True, slots=True)
class ContactSheet:
    """Pictures of a scene."""

    facts: SceneFacts  # the scene, with an additional remark if the frame contradicts the lens law
    pictures: tuple[SmallPicture, ...]  # four pictures, or two if the scene has no frame
    blur_order: float  # rank correlation of the CoC by the law with the loss of sharpness; NaN if unknown


def contact_sheet(facts: SceneFacts) -> ContactSheet:
    """Read the images of a scene and compare one frame with the lens law; CaptureError if an image is damaged."""
    record = facts.record
    size = fitted_size(facts.width, facts.height)
    sharp = read_image(facts.folder / record.sharp)
    inv_depth = read_inv_depth(facts.folder / record.inv_depth)
    depth = coloured(shrunk_map(inv_depth, size), facts.low, facts.low + facts.span, DEPTH_COLOURS)
    pictures = [
        picture("sharp", shrunk(sharp, size)),
        picture(f"inverse depth, {record.unit}: {facts.low:.3g} to {facts.low + facts.span:.3g}", depth),
    ]

    def spread_px(frame: FrameRecord) -> float:
        return float(np.abs(signed_defocus_px(facts.quantiles, frame.u_focus, frame.kappa_px)).std())

    chosen = max(record.frames, key=spread_px, default=None)  # the best test of the lens law
    if chosen is None:
        return ContactSheet(facts, tuple(pictures), float("nan"))
    frame = read_image(facts.folder / chosen.file)
    signed = signed_defocus_px(inv_depth, chosen.u_focus, chosen.kappa_px).astype(np.float32)
    limit = max(1.0, float(np.nanquantile(np.abs(signed), 0.99)))
    pictures.insert(1, picture(f"{chosen.file}, focused at {chosen.u_focus:.3g}", shrunk(frame, size)))
    pictures.append(
        picture(
            f"signed defocus: {-limit:.3g} (in front) to {limit:.3g} px",
            coloured(shrunk_map(signed, size), -limit, limit, SIGN_COLOURS),
        )
    )
    order = blur_order(sharp, frame, np.abs(signed))
    if order < MIN_BLUR_ORDER:
        remark = f"{chosen.file} contradicts the lens law: rank correlation {order:.2f}"
        facts = replace(facts, remarks=(*facts.remarks, remark))
    return ContactSheet(facts, tuple(pictures), order)


def blur_order(sharp: UInt8Array, frame: UInt8Array, defocus_px: Float32Array) -> float:
    """Rank correlation of the CoC, (H, W), with the loss of sharpness at textured pixels; NaN if it says nothing."""
    height, width = defocus_px.shape
    ratio = min(1.0, COMPARE_LONG_SIDE_PX / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    clear, blurred = shrunk(sharp, size), shrunk(frame, size)
    coc = shrunk_map(defocus_px, size)
    sigma = max(1.5, 0.008 * max(size))
    use = texture_mask(clear) & np.isfinite(coc)
    if use.sum() < 100:
        return float("nan")
    before, after = (smoothed_laplacian(image, sigma)[use] for image in (clear, blurred))
    floor = 0.02 * float(before.mean()) + 1e-6
    lost = np.log((before + floor) / (after + floor))
    step = max(1, lost.size // COMPARE_SAMPLES)
    return spearman(lost[::step], coc[use][::step])

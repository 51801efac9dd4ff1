"""The preview: photo, depth and signed defocus side by side with their scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mddnet.color_maps import DEPTH_COLOURS, SIGN_COLOURS, colours
from mddnet.predict.prediction import Prediction
from mddnet.types import Float32Array, UInt8Array

PANEL_WIDTH_PX = 520
PANEL_MAX_HEIGHT_PX = 900
PANEL_MIN_WIDTH_PX = 240
GAP_PX = 8
LEGEND_HEIGHT_PX = 58
BAR_HEIGHT_PX = 12

LEAST_SPAN = 4 / 512
"""Least limit of the colours of the defocus, over the long side of the photo: a pixel of blur is not painted in full
colours."""

PAPER = (24, 24, 28)
INK = (232, 232, 232)


@dataclass(frozen=True, slots=True)
class PreviewRange:
    """The colour range of a preview."""

    low: float  # inverse depth of the darkest colour
    high: float  # inverse depth of the brightest colour
    most_px: float  # limit of the signed defocus, pixels of the photo

    @classmethod
    def over(cls, ranges: Sequence[PreviewRange]) -> PreviewRange:
        """The union of ranges, so that the frames of a video can be compared."""
        return cls(
            min(item.low for item in ranges),
            max(item.high for item in ranges),
            max(item.most_px for item in ranges),
        )


def preview_range(prediction: Prediction) -> PreviewRange:
    """The colour range of one photo, without the extreme percents of inverse depth and CoC."""
    size = panel_size(prediction.size)
    depth, signed = prediction.fitted("inv_depth", size), prediction.fitted("signed_defocus_px", size)
    return _range_of(depth, signed, max(prediction.size))


def preview(prediction: Prediction, fixed_range: PreviewRange | None = None) -> Image.Image:
    """The photo, its inverse depth and its signed defocus side by side, at most 1600 px wide, with colour scales.

    ``fixed_range`` is the colour range; None is :func:`preview_range` of this prediction.
    """
    size = panel_size(prediction.size)
    depth, signed = prediction.fitted("inv_depth", size), prediction.fitted("signed_defocus_px", size)
    shown = fixed_range or _range_of(depth, signed, max(prediction.size))
    low, high, most = shown.low, shown.high, shown.most_px
    photo = Image.fromarray(prediction.photo.pixels).resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    height, width = prediction.size
    focus = "plane of focus found" if prediction.focus.found else "no plane of focus found"
    ends = ("far", "near") if prediction.unit == "relative" else (f"{low:.3g} far", f"near {high:.3g}")
    signs = (f"-{most:.3g} in front", f"behind +{most:.3g}")
    panels: tuple[Panel, ...] = (
        (photo, (f"{width} x {height} px, {focus}", "", ""), None),
        (
            Image.fromarray(colours(depth, low, high, DEPTH_COLOURS)),
            (f"inverse depth, {prediction.unit}", *ends),
            DEPTH_COLOURS,
        ),
        (
            Image.fromarray(colours(signed, -most, most, SIGN_COLOURS)),
            ("signed defocus, px of the photo", *signs),
            SIGN_COLOURS,
        ),
    )
    return side_by_side(panels)


Panel = tuple[Image.Image, tuple[str, str, str], UInt8Array | None]
"""A picture; its title, and the values of the low and the high end of its colours; its colours, if it is a map."""


def side_by_side(panels: Sequence[Panel]) -> Image.Image:
    """Pictures of one size in a row, each with its title and the scale of its colours."""
    width, height = panels[0][0].size
    panel_width = max(width, PANEL_MIN_WIDTH_PX)  # the legends need it
    size = (len(panels) * (panel_width + GAP_PX) + GAP_PX, height + GAP_PX + LEGEND_HEIGHT_PX)
    canvas = Image.new("RGB", size, PAPER)
    for column, (picture, labels, table) in enumerate(panels):
        left = GAP_PX + column * (panel_width + GAP_PX)
        canvas.paste(picture, (left + (panel_width - width) // 2, GAP_PX))
        _draw_legend(canvas, labels, table, left, GAP_PX + height, panel_width)
    return canvas


def panel_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a picture of a photo of (H, W) pixels."""
    height, width = size
    factor = min(PANEL_WIDTH_PX / width, PANEL_MAX_HEIGHT_PX / height)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _range_of(depth: Float32Array, signed_px: Float32Array, long_side: int) -> PreviewRange:
    low, high = (float(value) for value in np.percentile(depth, [1, 99]))
    return PreviewRange(low, high, max(LEAST_SPAN * long_side, float(np.percentile(np.abs(signed_px), 99))))


def _draw_legend(
    canvas: Image.Image, labels: tuple[str, str, str], table: UInt8Array | None, left: int, top: int, width: int
) -> None:
    """Draw a title and, for a map, its colour bar with the values of both ends."""
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=13)
    title, low, high = labels
    draw.text((left, top + 5), title, fill=INK, font=font)
    if table is not None:
        bar = np.broadcast_to(table[None], (BAR_HEIGHT_PX, 256, 3))
        canvas.paste(Image.fromarray(np.ascontiguousarray(bar)).resize((width, BAR_HEIGHT_PX)), (left, top + 23))
        draw.text((left, top + 38), low, fill=INK, font=font)
        draw.text((left + width, top + 38), high, fill=INK, font=font, anchor="ra")

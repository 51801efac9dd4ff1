"""The preview: photo, depth and blur with their scales, faded where they are not trusted, and the verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from statistics import fmean

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mddnet.color_maps import BLUR_GREYS, DEPTH_COLOURS, SIGN_COLOURS, colours
from mddnet.predict.prediction import Prediction
from mddnet.predict.verdict import Call
from mddnet.predict.words import depth_trust, judgement_words, metres, photo_words, pixels, verdict_words
from mddnet.types import Float32Array, UInt8Array

PANEL_WIDTH_PX = 520
PANEL_MAX_HEIGHT_PX = 820
PANEL_MIN_WIDTH_PX = 240
PANORAMA_HEIGHT_PX = 230
"""Panels that are wider at this height than :data:`PANEL_WIDTH_PX` stand below one another, with this height."""
PANORAMA_MAX_WIDTH_PX = 1200
MOST_ENLARGED = 4
GAP_PX = 8
LEGEND_HEIGHT_PX = 62
BAR_HEIGHT_PX = 12
LEGEND_FONT_PX, CAPTION_FONT_PX, CAPTION_LINE_PX = 14, 17, 25

LEAST_SPAN = 4 / 512
"""Least limit of the colours of the defocus, over the long side of the photo: a pixel of blur is not painted in full
colours."""
NOT_TRUSTED_DEPTH, NOT_TRUSTED_BLUR = 0.12, 0.35
"""Share of colour of a map that its verdict says not to trust. Where blur is hard to read, its rough shape is still of
use."""
SIDE_UNKNOWN, SIDE_KNOWN = 0.2, 0.8
"""Certainty of the sign up to which a point is painted grey, and from which in colour."""

PAPER = (24, 24, 28)
INK = (232, 232, 232)
FADED = (112, 112, 116)
CALL_COLOURS: dict[Call, tuple[int, int, int]] = {
    "good": (104, 196, 112),
    "partly": (240, 188, 72),
    "do_not_trust": (236, 92, 80),
    "unknown": FADED,
}


@dataclass(frozen=True, slots=True)
class PreviewRange:
    """The colour range of a preview."""

    low: float  # inverse depth of the darkest colour
    high: float  # inverse depth of the brightest colour
    most_px: float  # limit of the signed defocus, pixels of the photo
    depth_colour: float = 1.0  # share of colour of the depth by its verdict, the rest is grey
    blur_colour: float = 1.0  # the same of the blur

    @classmethod
    def over(cls, ranges: Sequence[PreviewRange]) -> PreviewRange:
        """The union of ranges, so that the frames of a video can be compared, with the mean shares of colour."""
        return cls(
            min(item.low for item in ranges),
            max(item.high for item in ranges),
            max(item.most_px for item in ranges),
            fmean(item.depth_colour for item in ranges),
            fmean(item.blur_colour for item in ranges),
        )


def preview_range(prediction: Prediction) -> PreviewRange:
    """The colour range of one photo, without the extreme percents of inverse depth and CoC.

    It is at least four pixels of blur at a long side of 512, and twice the error of a metric inverse depth.
    """
    size = panel_size(prediction.size)
    return _range_of(prediction, prediction.fitted("inv_depth", size), prediction.fitted("signed_defocus_px", size))


def preview(prediction: Prediction, fixed_range: PreviewRange | None = None) -> Image.Image:
    """The photo, its depth and its blur with colour scales, and the verdict in words; at most 1600 px wide.

    Depth fades to grey where its confidence is low, and everywhere if the verdict says not to trust it. Blur is grey
    where its side of the plane of focus is doubtful.

    ``fixed_range`` is the colour range; None is :func:`preview_range` of this prediction.
    """
    size = panel_size(prediction.size)
    depth, signed = prediction.fitted("inv_depth", size), prediction.fitted("signed_defocus_px", size)
    shown = fixed_range or _range_of(prediction, depth, signed)
    most = shown.most_px
    photo = Image.fromarray(prediction.photo.pixels).resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    known = np.clip((prediction.sign_certainty(size) - SIDE_UNKNOWN) / (SIDE_KNOWN - SIDE_UNKNOWN), 0, 1)
    faded = Image.new("RGB", size, FADED)
    trust = depth_trust(prediction, size) * np.float32(shown.depth_colour)
    depth_picture = _mixed(Image.fromarray(colours(depth, shown.low, shown.high, DEPTH_COLOURS)), faded, trust)
    blur_picture = _mixed(
        Image.fromarray(colours(signed, -most, most, SIGN_COLOURS)),
        Image.fromarray(colours(np.abs(signed), 0, most, BLUR_GREYS)),
        known,
    )
    blur_picture = Image.blend(faded, blur_picture, shown.blur_colour)
    panels: tuple[Panel, ...] = (
        (photo, ("photo, {1} x {0} px".format(*prediction.size), "", ""), None),
        (depth_picture, ("depth; grey: not trusted", *_depth_ends(prediction, shown)), DEPTH_COLOURS),
        (
            blur_picture,
            ("blur; white: sharp, grey: side unknown", f"{pixels(most)} in front", f"{pixels(most)} behind"),
            SIGN_COLOURS,
        ),
    )
    return _with_caption(side_by_side(panels), prediction)


Panel = tuple[Image.Image, tuple[str, str, str], UInt8Array | None]
"""A picture; its title, and the values of the low and the high end of its colours; its colours, if it is a map."""


def side_by_side(panels: Sequence[Panel]) -> Image.Image:
    """Pictures of one size in a row, or panoramas below one another, each with its title and its colour scale."""
    width, height = size = panels[0][0].size
    columns, (panel_width, step_y) = _columns(size, len(panels)), _step(size)
    canvas = Image.new("RGB", sheet_size(size, len(panels)), PAPER)
    for number, (picture, labels, table) in enumerate(panels):
        row, column = divmod(number, columns)
        left, top = GAP_PX + column * (panel_width + GAP_PX), GAP_PX + row * step_y
        canvas.paste(picture, (left + (panel_width - width) // 2, top))
        _draw_legend(canvas, labels, table, left, top + height, panel_width)
    return canvas


def sheet_size(size: tuple[int, int], count: int = 3) -> tuple[int, int]:
    """Width and height of ``count`` panels with their legends, for panels of (width, height) ``size``."""
    columns, (panel_width, step_y) = _columns(size, count), _step(size)
    return columns * (panel_width + GAP_PX) + GAP_PX, count // columns * step_y


def _columns(size: tuple[int, int], count: int) -> int:
    return 1 if size[0] > PANEL_WIDTH_PX else count


def _step(size: tuple[int, int]) -> tuple[int, int]:
    """Width of a panel, wide enough for its legend, and from one row of panels to the next."""
    return max(size[0], PANEL_MIN_WIDTH_PX), size[1] + GAP_PX + LEGEND_HEIGHT_PX


def panel_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a picture of a photo of (H, W) pixels."""
    height, width = size
    if width * PANORAMA_HEIGHT_PX > height * PANEL_WIDTH_PX:
        factor = min(PANORAMA_MAX_WIDTH_PX / width, PANORAMA_HEIGHT_PX / height)
    else:
        factor = min(PANEL_WIDTH_PX / width, PANEL_MAX_HEIGHT_PX / height)
    factor = min(factor, MOST_ENLARGED)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _range_of(prediction: Prediction, depth: Float32Array, signed_px: Float32Array) -> PreviewRange:
    low, high = (float(value) for value in np.percentile(depth, [1, 99]))
    error = prediction.maps.inv_depth_error
    missing = 0.0 if error is None else max(0.0, float(np.median(error)) - (high - low) / 2)
    most_px = max(LEAST_SPAN * max(prediction.size), float(np.percentile(np.abs(signed_px), 99)))
    verdict = prediction.verdict
    depth_share = NOT_TRUSTED_DEPTH if verdict.depth.call == "do_not_trust" else 1.0
    blur_share = NOT_TRUSTED_BLUR if verdict.defocus.call == "do_not_trust" else 1.0
    return PreviewRange(low - missing, high + missing, most_px, depth_share, blur_share)


def _mixed(first: Image.Image, second: Image.Image, share: Float32Array) -> Image.Image:
    """A picture with ``share`` (h, w) of the first, and the rest of the second."""
    return Image.composite(first, second, Image.fromarray((share * np.float32(255) + np.float32(0.5)).astype(np.uint8)))


def _depth_ends(prediction: Prediction, shown: PreviewRange) -> tuple[str, str]:
    """Words for the far and the near end of the colours."""
    if prediction.unit == "1/m":
        return f"far, {metres(shown.low)}", f"near, {metres(shown.high)}"
    if prediction.unit == "1/m from focus":
        return f"far, {shown.low:+.2g} dioptres", f"near, {shown.high:+.2g} dioptres"
    return "far", "near"


def _with_caption(sheet: Image.Image, prediction: Prediction) -> Image.Image:
    """The sheet with the verdict and what the photo shows below it."""
    verdict = prediction.verdict
    paragraphs: list[tuple[Call | None, str]] = [(None, f"{photo_words(prediction)}.")]
    if verdict.depth.call == verdict.defocus.call == "unknown":
        why = f": {verdict.depth.reason}" if verdict.depth.reason else ""
        paragraphs.insert(0, ("unknown", f"{verdict_words(prediction)}{why}"))
    else:
        paragraphs.insert(0, (verdict.depth.call, f"depth: {judgement_words(verdict.depth)}"))
        paragraphs.insert(1, (verdict.defocus.call, f"blur: {judgement_words(verdict.defocus)}"))
    indent = CAPTION_LINE_PX
    lines = [
        (call if number == 0 else None, line)
        for call, text in paragraphs
        for number, line in enumerate(_wrapped(text[:1].upper() + text[1:], sheet.width - 2 * GAP_PX - indent))
    ]
    canvas = Image.new("RGB", (sheet.width, sheet.height + CAPTION_LINE_PX * len(lines) + GAP_PX), PAPER)
    canvas.paste(sheet, (0, 0))
    draw = ImageDraw.Draw(canvas)
    for number, (call, line) in enumerate(lines):
        top = sheet.height + number * CAPTION_LINE_PX
        if call is not None:
            draw.ellipse((GAP_PX + 2, top + 6, GAP_PX + 14, top + 18), fill=CALL_COLOURS[call])
        draw.text((GAP_PX + indent, top + 2), line, fill=INK, font=_font(CAPTION_FONT_PX))
    return canvas


def _wrapped(text: str, width: int) -> list[str]:
    """The lines of a text that is ``width`` pixels wide."""
    lines, used = [list[str]()], 0.0
    for word in text.split():
        length = _word_length(word)
        if lines[-1] and used + length > width:
            lines.append([])
            used = 0.0
        lines[-1].append(word)
        used += length
    return [" ".join(words) for words in lines]


@lru_cache(maxsize=256)
def _word_length(word: str) -> float:
    """Of a word and a space, pixels."""
    return _font(CAPTION_FONT_PX).getlength(f"{word} ")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _draw_legend(
    canvas: Image.Image, labels: tuple[str, str, str], table: UInt8Array | None, left: int, top: int, width: int
) -> None:
    """Draw a title and, for a map, its colour bar with the values of both ends."""
    draw, font = ImageDraw.Draw(canvas), _font(LEGEND_FONT_PX)
    title, low, high = labels
    draw.text((left, top + 4), title, fill=INK, font=font)
    if table is not None:
        bar = np.broadcast_to(table[None], (BAR_HEIGHT_PX, 256, 3))
        canvas.paste(Image.fromarray(np.ascontiguousarray(bar)).resize((width, BAR_HEIGHT_PX)), (left, top + 24))
        draw.text((left, top + 39), low, fill=INK, font=font)
        draw.text((left + width, top + 39), high, fill=INK, font=font, anchor="ra")

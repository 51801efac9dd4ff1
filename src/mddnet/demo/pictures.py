"""The maps as pictures for the page, with the plane of focus as a line and the chosen point as a cross."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mddnet.color_maps import DEPTH_COLOURS, SIGN_COLOURS, colours
from mddnet.demo.look import Look
from mddnet.predict.dioptres import MAX_DEPTH_M
from mddnet.predict.texture import box_mean
from mddnet.types import BoolArray, Float32Array, UInt8Array

LINE_COLOUR = (0, 255, 170)
HALO_COLOUR = (0, 0, 0)
THIN_LINE_BELOW_PX = 700
SMOOTH_SHARE = 0.012
"""Window over which inverse depth is averaged before the line is drawn, as a share of the long side."""
GREY_COLOURS: UInt8Array = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


@dataclass(frozen=True, slots=True)
class Scale:
    """The colour scale of a map.

    Attributes:
        title: quantity and unit.
        low: what the left end means.
        high: what the right end means.
        table: (256, 3) colours from left to right.
    """

    title: str
    low: str
    high: str
    table: UInt8Array


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture of the page.

    Attributes:
        pixels: (h, w, 3) uint8.
        scale: its colours, or None for the photo.
    """

    pixels: UInt8Array
    scale: Scale | None


def focus_line(inv_depth: Float32Array, u_focus: float) -> BoolArray:
    """Where the plane of focus cuts the scene: pixels at which inverse depth passes through u_focus.

    Args:
        inv_depth: (h, w); it is averaged a little first, or noise would give the line a thousand islands.
        u_focus: inverse depth of the plane of focus, in the same unit; NaN gives no line.
    """
    if not np.isfinite(u_focus):
        return np.zeros(inv_depth.shape, dtype=bool)
    window_px = 2 * round(SMOOTH_SHARE * max(inv_depth.shape) / 2) + 1
    smooth: NDArray[np.float64] = inv_depth.astype(np.float64)
    for _ in range(2):
        smooth = box_mean(smooth, window_px)
    nearer = smooth > u_focus
    line = np.zeros(nearer.shape, dtype=bool)
    line[:, 1:] |= nearer[:, 1:] != nearer[:, :-1]
    line[1:, :] |= nearer[1:, :] != nearer[:-1, :]
    return line


def panels(look: Look, with_line: bool = True, point: tuple[int, int] | None = None) -> dict[str, Panel]:
    """Photo, depth, signed defocus and confidence as pictures.

    Args:
        look: what to show.
        with_line: whether the plane of focus is drawn, where one was found.
        point: column and row in the photo at which a cross is drawn, or None.
    """
    low, high = (float(value) for value in np.percentile(look.inv_depth, [1, 99]))
    most = max(1.0, float(np.percentile(np.abs(look.signed_defocus_px), 99)))
    ends = ("far", "near") if look.unit == "relative" else (f"far {low:.3g}", f"{high:.3g} near")
    if look.unit == "1/m":
        ends = (f"{low:.3g} ({metres(low)})", f"{high:.3g} ({metres(high)})")
    shown = {
        "photo": Panel(look.pixels, None),
        "depth": Panel(
            colours(look.inv_depth, low, high, DEPTH_COLOURS),
            Scale(f"inverse depth, {look.unit}", *ends, DEPTH_COLOURS),
        ),
        "defocus": Panel(
            colours(look.signed_defocus_px, -most, most, SIGN_COLOURS),
            Scale("signed defocus, px of the photo", f"−{most:.3g} in front", f"behind +{most:.3g}", SIGN_COLOURS),
        ),
        "confidence": Panel(
            colours(look.confidence, 0.0, 1.0, GREY_COLOURS), Scale("confidence", "0 none", "1 full", GREY_COLOURS)
        ),
    }
    line = _line_with_halo(look) if with_line and look.focus.found else None
    return {name: Panel(_drawn(panel.pixels, line, look, point), panel.scale) for name, panel in shown.items()}


def metres(inv_depth: float) -> str:
    """A metric inverse depth in words: ``1.25 m``, or ``infinity``."""
    return f"{float(f'{1 / inv_depth:.3g}'):g} m" if inv_depth > 1.0 / MAX_DEPTH_M else "infinity"


def _line_with_halo(look: Look) -> tuple[BoolArray, BoolArray] | None:
    """(h, w) each: the line of the plane of focus, and the same one pixel wider; None where it cuts nothing."""
    line = focus_line(look.inv_depth, look.focus.u_focus)
    if not line.any():
        return None
    # The page enlarges a small picture, and its line with it.
    if max(line.shape) >= THIN_LINE_BELOW_PX:
        line = _widened(line)
    return line, _widened(line)


def _widened(mask: BoolArray) -> BoolArray:
    """(h, w): whether any of the 3 x 3 pixels around is in the mask."""
    wide = mask.copy()
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    high = wide.copy()
    high[1:] |= wide[:-1]
    high[:-1] |= wide[1:]
    return high


def _drawn(
    pixels: UInt8Array, line: tuple[BoolArray, BoolArray] | None, look: Look, point: tuple[int, int] | None
) -> UInt8Array:
    """The picture with line and cross, each with a dark halo so that it is seen on any ground."""
    if line is None and point is None:
        return pixels
    drawn = pixels.copy()
    if line is not None:
        drawn[line[1]] = HALO_COLOUR
        drawn[line[0]] = LINE_COLOUR
    picture = Image.fromarray(drawn)
    if point is not None:
        x, y = ((at + 0.5) * look.scale for at in point)
        reach = 0.025 * max(picture.size)
        draw = ImageDraw.Draw(picture)
        for colour, width in ((HALO_COLOUR, 5), ((255, 255, 255), 2)):
            draw.line([(x - reach, y), (x + reach, y)], fill=colour, width=width)
            draw.line([(x, y - reach), (x, y + reach)], fill=colour, width=width)
    return np.asarray(picture)

"""Pictures of the maps for the page, and views of the point cloud."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mddnet.color_maps import DEPTH_COLOURS, GREYS, SIGN_COLOURS, colours
from mddnet.demo.page_maps import PageMaps
from mddnet.predict.point_cloud import PointCloud
from mddnet.predict.texture import box_mean
from mddnet.predict.words import metres
from mddnet.types import BoolArray, Float32Array, UInt8Array

LINE_COLOUR = (0, 255, 170)
HALO_COLOUR = (0, 0, 0)
THIN_LINE_BELOW_PX = 700  # the line is thin in smaller pictures, which the page enlarges
SMOOTH_SHARE = 0.012  # window for smoothing inverse depth before the line is drawn, as a share of the long side
VIEW_SIZE = (900, 600)  # width, height
VIEW_BACKGROUND = 40
VIEW_FILL = 0.85  # share of the picture that the cloud fills in the front view


@dataclass(frozen=True, slots=True)
class Panel:
    """A map as a picture, with its colour scale."""

    pixels: UInt8Array  # (h, w, 3) uint8, sRGB
    title: str  # quantity and unit
    low: str  # meaning of the left end of the scale
    high: str  # meaning of the right end
    table: UInt8Array  # (256, 3) colours from left to right


def panels(maps: PageMaps, with_line: bool = True) -> dict[str, Panel]:
    """Depth, signed defocus and confidence as pictures, with the plane of focus if it was found."""
    low, high = (float(value) for value in np.percentile(maps.inv_depth, [1, 99]))
    most = max(1.0, float(np.percentile(np.abs(maps.signed_defocus_px), 99)))
    ends = ("far", "near") if maps.unit == "relative" else (f"far {low:.3g}", f"{high:.3g} near")
    if maps.unit == "1/m":
        ends = (f"{low:.3g} ({metres(low)})", f"{high:.3g} ({metres(high)})")
    line = focus_line(maps.inv_depth, maps.focus.u_focus) if with_line and maps.focus.found else None

    def panel(values: Float32Array, limits: tuple[float, float], words: tuple[str, ...], table: UInt8Array) -> Panel:
        return Panel(_drawn(colours(values, *limits, table), line), words[0], words[1], words[2], table)

    defocus = "signed defocus, px of the photo", f"−{most:.3g} in front", f"behind +{most:.3g}"
    return {
        "depth": panel(maps.inv_depth, (low, high), (f"inverse depth, {maps.unit}", *ends), DEPTH_COLOURS),
        "defocus": panel(maps.signed_defocus_px, (-most, most), defocus, SIGN_COLOURS),
        "confidence": panel(maps.confidence, (0.0, 1.0), ("confidence", "0 none", "1 full"), GREYS),
    }


def focus_line(inv_depth: Float32Array, u_focus: float) -> BoolArray:
    """(h, w) intersection of the plane of focus with the scene: pixels at which smoothed inverse depth crosses u_focus.

    A u_focus of NaN gives no line.
    """
    window_px = 2 * round(SMOOTH_SHARE * max(inv_depth.shape) / 2) + 1
    smooth: NDArray[np.float64] = inv_depth.astype(np.float64)
    for _ in range(2):
        smooth = box_mean(smooth, window_px)
    nearer = smooth > u_focus
    line = np.zeros(nearer.shape, dtype=bool)
    line[:, 1:] |= nearer[:, 1:] != nearer[:, :-1]
    line[1:, :] |= nearer[1:, :] != nearer[:-1, :]
    return line


def _drawn(pixels: UInt8Array, line: BoolArray | None) -> UInt8Array:
    """The picture with the line and its dark halo, for contrast."""
    if line is None:
        return pixels
    picture = Image.fromarray(pixels)
    mask = Image.fromarray(line.astype(np.uint8) * 255)
    if max(line.shape) >= THIN_LINE_BELOW_PX:
        mask = mask.filter(ImageFilter.MaxFilter(3))
    picture.paste(HALO_COLOUR, mask=mask.filter(ImageFilter.MaxFilter(3)))
    picture.paste(LINE_COLOUR, mask=mask)
    return np.asarray(picture)


def rotated_view(cloud: PointCloud, right_deg: float, up_deg: float) -> UInt8Array:
    """A view of the cloud, (600, 900, 3) uint8: the camera moved right and up around its centre; near occludes far."""
    width, height = VIEW_SIZE
    positions = cloud.positions.astype(np.float64)
    low, high = np.percentile(positions, [2, 98], axis=0)
    centred = positions - (low + high) / 2
    across = float((high - low).max())
    scale = VIEW_FILL * min(width / max(high[0] - low[0], across / 2), height / max(high[1] - low[1], across / 2))
    a, b = np.radians(right_deg), np.radians(up_deg)
    about_y = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    x, y, z = about_x @ about_y @ centred.T  # the camera faces -z
    order = np.argsort(z)  # far first: of several points on one pixel the last is drawn
    columns = np.rint(width / 2 + scale * x[order]).astype(np.intp)
    rows = np.rint(height / 2 - scale * y[order]).astype(np.intp)
    # A point is as large as the distance to its neighbour, so that a surface has no holes in the front view.
    size = int(np.clip(np.ceil(scale * np.sqrt((high[0] - low[0]) * (high[1] - low[1]) / len(positions))), 1, 12))
    nearest = np.full((height, width), -1, dtype=np.intp)
    for i in range(size):
        for j in range(size):
            r, c = rows + i - size // 2, columns + j - size // 2
            inside = np.flatnonzero((r >= 0) & (r < height) & (c >= 0) & (c < width))
            np.maximum.at(nearest, (r[inside], c[inside]), inside)
    picture = np.full((height, width, 3), VIEW_BACKGROUND, dtype=np.uint8)
    seen = nearest >= 0
    picture[seen] = cloud.colours[order][nearest[seen]]
    return picture

"""The point cloud of what the page keeps, and pictures of it from other sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mddnet.demo.look import Look
from mddnet.predict.point_cloud import PointCloud, pinhole_of, point_cloud
from mddnet.types import UInt8Array

MAX_SHOWN_POINTS = 150_000
VIEW_SIZE = (900, 600)  # width, height
VIEW_GROUND = 40
VIEW_FILL = 0.85
"""Share of the picture that the cloud takes when it is seen from the front."""


def points_of(look: Look, max_points: int = MAX_SHOWN_POINTS) -> PointCloud:
    """The points of a look: see :func:`mddnet.predict.point_cloud.point_cloud`."""
    h, w = look.inv_depth.shape
    # The pixels of the look are larger than the photo's, whose pitch the lens facts say.
    pixel_um = None if look.lens.pixel_um is None else look.lens.pixel_um / look.scale
    known = look.unit == "1/m" and look.focus.found and look.focus.u_focus > 0
    focus_z_m = 1.0 / look.focus.u_focus if known else float("inf")
    camera = pinhole_of(replace(look.lens, pixel_um=pixel_um), h, w, focus_z_m)
    return point_cloud(look.pixels, look.inv_depth, look.unit, camera, max_points)


def turned_view(cloud: PointCloud, right_deg: float, up_deg: float) -> UInt8Array:
    """A picture of the cloud from another side; near points hide far ones.

    Args:
        cloud: at least one point.
        right_deg: how far the viewer has walked to the right around the middle of the cloud, degrees.
        up_deg: how far up, degrees.

    Returns:
        (600, 900, 3) uint8, sRGB.
    """
    width, height = VIEW_SIZE
    positions = cloud.positions.astype(np.float64)
    low, high = np.percentile(positions, [2, 98], axis=0)
    centred = positions - (low + high) / 2
    across = float((high - low).max())
    scale = VIEW_FILL * min(width / max(high[0] - low[0], across / 2), height / max(high[1] - low[1], across / 2))
    a, b = np.radians(right_deg), np.radians(up_deg)
    about_y = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    x, y, z = about_x @ about_y @ centred.T  # the viewer looks along -z
    columns = np.rint(width / 2 + scale * x).astype(np.intp)
    rows = np.rint(height / 2 - scale * y).astype(np.intp)
    # A point is as large as the gap to its neighbour, so that a surface seen from the front has no holes.
    size = int(np.clip(np.ceil(scale * np.sqrt((high[0] - low[0]) * (high[1] - low[1]) / len(positions))), 1, 12))
    picture = np.full((height, width, 3), VIEW_GROUND, dtype=np.uint8)
    order = np.argsort(z)  # far first: of several points on one pixel the last stays
    columns, rows, colours = columns[order], rows[order], cloud.colours[order]
    nearest = np.full((height, width), -1, dtype=np.intp)
    for i in range(size):
        for j in range(size):
            r, c = rows + i - size // 2, columns + j - size // 2
            inside = np.flatnonzero((r >= 0) & (r < height) & (c >= 0) & (c < width))
            np.maximum.at(nearest, (r[inside], c[inside]), inside)
    seen = nearest >= 0
    picture[seen] = colours[nearest[seen]]
    return picture

"""The photo as coloured points in space, and the two files that hold them: GLB (glTF 2.0) and PLY, both binary."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mddnet.color import linear_from_srgb8
from mddnet.demo.look import Look
from mddnet.predict.dioptres import MAX_DEPTH_M
from mddnet.types import Float32Array, UInt8Array

MAX_POINTS = 150_000
FAR_OVER_NEAR = 3.0
"""Relative depth has no scale and no zero: the farthest point is shown this many times as far as the nearest."""
FIELD_OF_VIEW = 0.9
"""Long side of the photo over the focal length, where the lens is unknown."""
VIEW_SIZE = (900, 600)  # width, height
VIEW_GROUND = 40
VIEW_FILL = 0.85
"""Share of the picture that the cloud takes when it is seen from the front."""
GLTF_FLOAT, GLTF_POINTS, GLTF_ARRAY_BUFFER = 5126, 0, 34962


@dataclass(frozen=True, slots=True)
class PointCloud:
    """Points as glTF counts them: x to the right, y up, the camera at the origin looking along -z.

    Attributes:
        positions: (N, 3), metres if ``metric``, else in no unit.
        colours: (N, 3) uint8, sRGB.
        metric: whether the positions are metres.
    """

    positions: Float32Array
    colours: UInt8Array
    metric: bool


def point_cloud(look: Look, max_points: int = MAX_POINTS) -> PointCloud:
    """The points of a look through a pinhole: x = z X / f, with z = 1/u.

    With metric depth and a known lens these are metres. Otherwise inverse depth is put on a range in which far is three
    times as far as near, and the picture on an angle of view of about 50 degrees: the order in depth is what the maps
    say, the proportions are not. Metric points beyond 10 times the median depth are left out.
    """
    h, w = look.inv_depth.shape
    step = max(1, int(np.sqrt(h * w / max_points)))
    while -(-h // step) * -(-w // step) > max_points:
        step += 1
    rows, columns = np.arange(0, h, step), np.arange(0, w, step)
    u = look.inv_depth[::step, ::step].astype(np.float64)
    pixel_over_f = FIELD_OF_VIEW / max(h, w)
    metric = look.unit == "1/m"
    if metric:
        z = 1.0 / np.maximum(u, 1.0 / MAX_DEPTH_M)
        if look.lens.pixel_um is not None and look.lens.focal_mm is not None:
            pixel_over_f = look.lens.pixel_um * 1e-3 / look.lens.focal_mm / look.scale
        kept = z <= 10.0 * np.median(z)
    else:
        low, high = np.percentile(u, [1, 99])
        level = np.clip((u - low) / max(high - low, 1e-12), 0.0, 1.0)
        z = 1.0 / (1.0 / FAR_OVER_NEAR + (1.0 - 1.0 / FAR_OVER_NEAR) * level)
        kept = np.ones(z.shape, dtype=bool)
    x = (columns[None, :] - (w - 1) / 2) * pixel_over_f * z
    y = -(rows[:, None] - (h - 1) / 2) * pixel_over_f * z
    positions = np.stack([x, y, -z], axis=2)[kept].astype(np.float32)
    return PointCloud(positions, np.ascontiguousarray(look.pixels[::step, ::step][kept]), metric)


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


def ply_bytes(cloud: PointCloud) -> bytes:
    """A binary PLY file: x, y, z as floats, red, green, blue as bytes."""
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"comment mddnet, {'metres' if cloud.metric else 'relative: no unit'}, x right, y up, looking along -z\n"
        f"element vertex {len(cloud.positions)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
    )
    record = np.dtype([("position", "<f4", 3), ("colour", "u1", 3)])
    points: NDArray[np.void] = np.empty(len(cloud.positions), dtype=record)
    points["position"], points["colour"] = cloud.positions, cloud.colours
    return header.encode("ascii") + points.tobytes()


def glb_bytes(cloud: PointCloud) -> bytes:
    """A binary glTF 2.0 file with one primitive of at least one point; its colours are linear, as the standard asks."""
    positions = cloud.positions
    colours = linear_from_srgb8(cloud.colours)
    payload = positions.astype("<f4").tobytes() + colours.astype("<f4").tobytes()
    count, size = len(positions), len(payload) // 2
    document = {
        "asset": {"version": "2.0", "generator": "mddnet"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "metres" if cloud.metric else "no unit"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "COLOR_0": 1}, "mode": GLTF_POINTS, "material": 0}]}],
        "materials": [{"extensions": {"KHR_materials_unlit": {}}, "pbrMetallicRoughness": {"metallicFactor": 0.0}}],
        "extensionsUsed": ["KHR_materials_unlit"],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": GLTF_FLOAT,
                "count": count,
                "type": "VEC3",
                "min": positions.min(axis=0).tolist(),
                "max": positions.max(axis=0).tolist(),
            },
            {"bufferView": 1, "componentType": GLTF_FLOAT, "count": count, "type": "VEC3"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": i * size, "byteLength": size, "target": GLTF_ARRAY_BUFFER} for i in range(2)
        ],
        "buffers": [{"byteLength": len(payload)}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(payload)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, total),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(payload), b"BIN\0"),
            payload,
        ]
    )

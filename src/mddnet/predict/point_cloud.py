"""The photo as a coloured point cloud or a textured mesh, and their files: binary PLY and GLB (glTF 2.0).

They are written without a library, so that a PLY comment can state whether the numbers are metres.
"""

from __future__ import annotations

import io
import json
import math
import struct
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mddnet.color import linear_from_srgb8
from mddnet.optics import sensor_distance_m
from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.dioptres import MAX_DEPTH_M
from mddnet.predict.prediction import Prediction
from mddnet.predict.resampling import strips
from mddnet.types import BoolArray, Float32Array, InvDepthUnit, Lens, LensLawFit, UInt8Array
from mddnet.version import __version__

MAX_POINTS = 1_000_000
FAR_OVER_NEAR = 3.0  # farthest over nearest distance for relative depth, which has no scale and no zero
FIELD_OF_VIEW = 0.9  # long side of the photo over the focal length, for an unknown lens
METRIC_REACH = 10.0  # times the median depth; farther points are left out, since they are mostly error
EDGE_SLOPE = 14.3  # tangent of 86 degrees: a surface at a flatter angle is a gap between a near and a far surface
EDGE_GRID_PX = 512  # long side of the grid for the detection of gaps, about that of the network's image
AXES = "x right, y up, looking along -z"
GLTF_FLOAT, GLTF_UINT, GLTF_POINTS, GLTF_ARRAY_BUFFER, GLTF_INDEX_BUFFER = 5126, 5125, 0, 34962, 34963
MAX_VERTICES = 300_000
TEXTURE_SIDE_PX = 4096
TEXTURE_QUALITY = 92  # of JPEG


@dataclass(frozen=True, slots=True)
class Pinhole:
    """The pinhole camera of an image; pixel centres are integers, from 0 at the top left."""

    fx_px: float  # focal length over the width of a pixel, > 0
    fy_px: float  # focal length over its height, > 0
    cx_px: float  # column of the optical axis
    cy_px: float  # row of the optical axis
    source: str  # origin of the focal length
    assumed: bool  # whether the focal length is an assumption


@dataclass(frozen=True, slots=True)
class PointCloud:
    """Points in the axes of glTF: x to the right, y up, the camera at the origin facing -z."""

    positions: Float32Array  # (N, 3), metres if ``metric``, else in no unit
    colours: UInt8Array  # (N, 3) uint8, sRGB
    metric: bool
    camera: Pinhole  # of the image
    edge_points: int = 0  # number of points left out between a near and a far surface
    far_points: int = 0  # number of points left out as too far

    def to_json(self) -> dict[str, object]:
        """Unit, axes, number and camera of the points, as JSON values."""
        return {
            "unit": "m" if self.metric else "relative",
            "axes": AXES,
            "points": len(self.positions),
            "left_out": {"edges": self.edge_points, "far": self.far_points},
            "camera": asdict(self.camera),
        }


@dataclass(frozen=True, slots=True)
class Mesh:
    """A surface in the axes of a :class:`PointCloud`, with the photo as its texture."""

    positions: Float32Array  # (N, 3), metres if ``metric``, else in no unit
    texture_at: Float32Array  # (N, 2), column and row of each vertex in the photo, as shares of its size
    faces: NDArray[np.uint32]  # (M, 3), vertices of each triangle, counterclockwise as seen from the camera
    picture: UInt8Array  # (H, W, 3), the photo
    metric: bool
    camera: Pinhole


def pinhole_of(
    lens: Lens, height: int, width: int, focus_z_m: float = math.inf, estimate: CameraEstimate | None = None
) -> Pinhole:
    """The pinhole camera of a lens: fx = fy = v / p, with the sensor distance v = f z / (z - f) and the pixel pitch p.

    Without f and p, the field of view is the network's estimate, or else that of a long side of 0.9 focal lengths (48
    degrees). ``focus_z_m`` is the distance of the plane of focus from the principal plane, infinite if unknown.
    """
    if lens.focal_mm is not None and lens.pixel_um is not None:
        focal_px = sensor_distance_m(lens.focal_mm, focus_z_m) * 1e6 / lens.pixel_um
        source, assumed = f"focal length {lens.focal_mm:g} mm, pixel pitch {lens.pixel_um:.4g} um", False
    elif estimate is not None:
        focal_px = max(height, width) / (2 * estimate.tan_half_fov)
        source, assumed = (
            f"estimated from the photo: {estimate.field_of_view_deg:.0f} degrees along its long side",
            True,
        )
    else:
        focal_px = max(height, width) / FIELD_OF_VIEW
        source, assumed = f"assumed: long side of {FIELD_OF_VIEW:g} focal lengths", True
    return Pinhole(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, source, assumed)


def camera_of(
    lens: Lens,
    unit: InvDepthUnit,
    focus: LensLawFit,
    size: tuple[int, ...],
    estimate: CameraEstimate | None = None,
) -> Pinhole:
    """The pinhole camera of an image of (H, W) pixels: see :func:`pinhole_of`."""
    known = unit == "1/m" and focus.found and focus.u_focus > 0
    return pinhole_of(lens, size[0], size[1], 1.0 / focus.u_focus if known else math.inf, estimate)


def predicted_points(prediction: Prediction, max_points: int = MAX_POINTS) -> PointCloud:
    """The point cloud of a prediction, computed in strips: see :func:`point_cloud`."""
    step, grid, camera = _predicted_grid(prediction, max_points)
    return _cloud(prediction.photo.pixels[::step, ::step], grid, prediction.unit == "1/m", camera)


def predicted_mesh(prediction: Prediction, max_vertices: int = MAX_VERTICES) -> Mesh:
    """The surface of a prediction, with holes where its points are left out: see :func:`point_cloud`."""
    step, grid, camera = _predicted_grid(prediction, max_vertices)
    for kept in (grid.near & ~grid.gap, grid.near, np.ones_like(grid.near)):
        whole = kept[:-1, :-1] & kept[:-1, 1:] & kept[1:, :-1] & kept[1:, 1:]
        if whole.any():
            break
    number = np.cumsum(kept.ravel(), dtype=np.int64).reshape(kept.shape) - 1
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    faces = np.stack([a, c, b, b, c, d], axis=2)[whole].reshape(-1, 3).astype(np.uint32)
    rows, columns = np.nonzero(kept)
    height, width = prediction.size
    texture_at = np.stack([(columns * step + 0.5) / width, (rows * step + 0.5) / height], axis=1).astype(np.float32)
    positions = grid.positions[kept].astype(np.float32)
    return Mesh(positions, texture_at, faces, prediction.photo.pixels, prediction.unit == "1/m", camera)


def _predicted_grid(prediction: Prediction, max_points: int) -> tuple[int, _Grid, Pinhole]:
    """Every n-th row and column of a prediction in space, with n and the camera."""
    step, coarse = _steps(*prediction.size, max_points)
    grid, taken = list[Float32Array](), list[Float32Array]()
    for start, stop in strips(prediction.size[0]):
        rows = prediction.rows("inv_depth", start, stop)
        grid.append(rows[-start % coarse :: coarse, ::coarse].copy())
        taken.append(rows[-start % step :: step, ::step].copy())
    p = prediction
    camera = camera_of(p.lens, p.unit, p.focus, p.size, p.camera)
    return step, _grid(np.concatenate(taken), np.concatenate(grid), (step, coarse), prediction.unit, camera), camera


def point_cloud(
    pixels: UInt8Array, inv_depth: Float32Array, unit: InvDepthUnit, camera: Pinhole, max_points: int = MAX_POINTS
) -> PointCloud:
    """The point cloud of an image through a pinhole: x = z X / fx, y = z Y / fy, with z = 1/u.

    With metric depth the unit is metres, and points at infinity or beyond 10 times the median depth are left out.
    Otherwise inverse depth is scaled so that the farthest point is three times as far as the nearest: only the order in
    depth is valid. Points between a near and a far surface, where the map interpolates through empty space, are left
    out, unless no others remain. Every n-th row and column is used, for at most ``max_points``.
    """
    height, width = inv_depth.shape
    step, coarse = steps = _steps(height, width, max_points)
    taken, grid = inv_depth[::step, ::step], inv_depth[::coarse, ::coarse]
    return _cloud(pixels[::step, ::step], _grid(taken, grid, steps, unit, camera), unit == "1/m", camera)


def _steps(height: int, width: int, max_points: int) -> tuple[int, int]:
    """Spacing, in rows and columns, of the points and of the grid for the detection of gaps."""
    step = max(1, int(np.sqrt(height * width / max_points)))
    while -(-height // step) * -(-width // step) > max_points:
        step += 1
    return step, max(1, round(max(height, width) / EDGE_GRID_PX))


@dataclass(frozen=True, slots=True)
class _Grid:
    """Pixels in space, (h, w)."""

    positions: NDArray[np.float64]  # (h, w, 3)
    near: BoolArray  # not too far
    gap: BoolArray  # between a near and a far surface


def _cloud(pixels: UInt8Array, grid: _Grid, metric: bool, camera: Pinhole) -> PointCloud:
    kept = grid.near & ~grid.gap
    positions, colours = grid.positions[kept].astype(np.float32), np.ascontiguousarray(pixels[kept])
    return PointCloud(positions, colours, metric, camera, int((grid.near & grid.gap).sum()), int((~grid.near).sum()))


def _grid(
    inv_depth: Float32Array, grid: Float32Array, steps: tuple[int, int], unit: InvDepthUnit, camera: Pinhole
) -> _Grid:
    """The points of every ``steps[0]``-th row and column; the camera is that of the whole image."""
    metric = unit == "1/m"
    low, high = (0.0, 0.0) if metric else (float(value) for value in np.percentile(grid, [1, 99]))

    def shown(values: Float32Array) -> NDArray[np.float64]:
        """Inverse depth > 0 of the points."""
        if metric:
            return np.maximum(values.astype(np.float64), 1.0 / MAX_DEPTH_M)
        level = np.clip((values.astype(np.float64) - low) / max(high - low, 1e-12), 0.0, 1.0)
        return 1.0 / FAR_OVER_NEAR + (1.0 - 1.0 / FAR_OVER_NEAR) * level

    step, coarse = steps
    rows, columns = (np.arange(count) * step for count in inv_depth.shape)
    z = 1.0 / shown(inv_depth)
    near = np.ones(z.shape, dtype=bool)
    finite = z < MAX_DEPTH_M
    if metric and finite.any():
        near = finite & (z <= METRIC_REACH * np.median(z[finite]))
    gap = _gaps(shown(grid), camera.fx_px / coarse)[rows[:, None] // coarse, columns[None, :] // coarse]
    if not (near & ~gap).any():
        gap = np.zeros(z.shape, dtype=bool)
    x = (columns[None, :] - camera.cx_px) / camera.fx_px * z
    y = -(rows[:, None] - camera.cy_px) / camera.fy_px * z
    return _Grid(np.stack([x, y, -z], axis=2), near, gap)


def _gaps(u: NDArray[np.float64], focal_px: float) -> BoolArray:
    """(h, w) bool: where the surface is at less than 4 degrees to the line of sight, f |du/dx| / u > tan 86 degrees.

    z = 1/u, and therefore |dz/dx| / z = |du/dx| / u; the derivative is half the difference of the extremes in 3 x 3
    pixels.
    """
    padded = np.pad(u, 1, mode="edge")
    windows = [padded[i : i + u.shape[0], j : j + u.shape[1]] for i in range(3) for j in range(3)]
    rise = (np.maximum.reduce(windows) - np.minimum.reduce(windows)) / 2.0
    return rise * focal_px > EDGE_SLOPE * u


def ply_bytes(cloud: PointCloud) -> bytes:
    """A binary PLY file: x, y, z as floats, red, green, blue as bytes; comments give the unit and the camera."""
    camera = cloud.camera
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"comment mddnet {__version__}, {'metres' if cloud.metric else 'relative: no unit'}, {AXES}\n"
        f"comment camera fx_px {camera.fx_px:.6g} fy_px {camera.fy_px:.6g} cx_px {camera.cx_px:.6g} "
        f"cy_px {camera.cy_px:.6g} ({camera.source})\n"
        f"element vertex {len(cloud.positions)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
    )
    record = np.dtype([("position", "<f4", 3), ("colour", "u1", 3)])
    points: NDArray[np.void] = np.empty(len(cloud.positions), dtype=record)
    points["position"], points["colour"] = cloud.positions, cloud.colours
    return header.encode("ascii") + points.tobytes()


def glb_bytes(cloud: PointCloud) -> bytes:
    """A binary glTF 2.0 file with one primitive of at least one point; colours are linear, as the standard requires.

    ``asset.extras`` has unit, axes and camera, as in the ``.json`` of a prediction.
    """
    return _glb({"POSITION": cloud.positions, "COLOR_0": linear_from_srgb8(cloud.colours)}, cloud.to_json())


def mesh_bytes(mesh: Mesh) -> bytes:
    """A binary glTF 2.0 file with triangles and the photo as a JPEG texture; ``asset.extras`` as of a point cloud."""
    picture = Image.fromarray(mesh.picture)
    picture.thumbnail((TEXTURE_SIDE_PX, TEXTURE_SIDE_PX), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=TEXTURE_QUALITY, subsampling=0)
    jpeg = stream.getvalue() + b"\0" * (-stream.tell() % 4)  # buffer views start at multiples of 4
    extras: dict[str, object] = {
        "unit": "m" if mesh.metric else "relative",
        "axes": AXES,
        "vertices": len(mesh.positions),
        "triangles": len(mesh.faces),
        "camera": asdict(mesh.camera),
    }
    vertices = {"POSITION": mesh.positions, "TEXCOORD_0": mesh.texture_at}
    return _glb(vertices, extras, mesh.faces, np.frombuffer(jpeg, np.uint8))


def _glb(
    vertices: dict[str, Float32Array],
    extras: dict[str, object],
    faces: NDArray[np.uint32] | None = None,
    picture: UInt8Array | None = None,
) -> bytes:
    """A binary glTF 2.0 file with one unlit primitive: points, or triangles with a JPEG file as their texture.

    Each array has a multiple of 4 bytes, and is one buffer view. The first one of ``vertices`` is the positions.
    """
    arrays: list[NDArray[Any]] = [values.astype("<f4") for values in vertices.values()]
    accessors: list[dict[str, Any]] = [
        {"bufferView": number, "componentType": GLTF_FLOAT, "count": len(values), "type": f"VEC{values.shape[1]}"}
        for number, values in enumerate(arrays)
    ]
    accessors[0] |= {"min": arrays[0].min(axis=0).tolist(), "max": arrays[0].max(axis=0).tolist()}
    targets = [GLTF_ARRAY_BUFFER] * len(arrays)
    primitive: dict[str, Any] = {"attributes": {name: number for number, name in enumerate(vertices)}}
    surface: dict[str, Any] = {"metallicFactor": 0.0}
    material: dict[str, Any] = {"extensions": {"KHR_materials_unlit": {}}, "pbrMetallicRoughness": surface}
    texture: dict[str, Any] = {}
    if faces is None:
        primitive["mode"] = GLTF_POINTS
    else:
        primitive["indices"] = number = len(arrays)
        accessors.append({"bufferView": number, "componentType": GLTF_UINT, "count": faces.size, "type": "SCALAR"})
        arrays.append(faces.astype("<u4"))
        targets.append(GLTF_INDEX_BUFFER)
    if picture is not None:
        surface["baseColorTexture"] = {"index": 0}
        material["doubleSided"] = True
        texture = {
            "images": [{"bufferView": len(arrays), "mimeType": "image/jpeg"}],
            "samplers": [{"wrapS": 33071, "wrapT": 33071}],  # clamped to the edge
            "textures": [{"source": 0, "sampler": 0}],
        }
        arrays.append(picture)
    primitive["material"] = 0
    views, offset = list[dict[str, Any]](), 0
    for array in arrays:
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": array.nbytes})
        offset += array.nbytes
    for view, target in zip(views, targets, strict=False):
        view["target"] = target
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"mddnet {__version__}", "extras": extras},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "metres" if extras["unit"] == "m" else "no unit"}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [material],
        "extensionsUsed": ["KHR_materials_unlit"],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": offset}],
        **texture,
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    payload = b"".join(array.tobytes() for array in arrays)
    chunks = [struct.pack("<I4s", len(text), b"JSON"), text, struct.pack("<I4s", len(payload), b"BIN\0"), payload]
    return b"".join([struct.pack("<4sII", b"glTF", 2, 12 + sum(len(chunk) for chunk in chunks)), *chunks])

"""Points in space and the files that hold them, read back by hand and by trimesh."""

from __future__ import annotations

import io
import json
import math
import struct
from dataclasses import asdict

import numpy as np
import pytest
from tests.support.made_law_model import LawModel, ramp

from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.point_cloud import (
    FAR_OVER_NEAR,
    PointCloud,
    camera_of,
    glb_bytes,
    mesh_bytes,
    pinhole_of,
    ply_bytes,
    point_cloud,
    predicted_mesh,
    predicted_points,
)
from mddnet.types import Lens, Photo

LENS = Lens(focal_mm=50, f_number=2, pixel_um=400, focus_m=1.1025)
CAMERA = pinhole_of(Lens(), 60, 80)


@pytest.fixture
def relative() -> PointCloud:
    """The points of a ramp of 60 x 80 px."""
    return predicted_points(LawModel().predict(Photo(ramp())))


def test_the_camera_of_a_lens_is_v_over_p() -> None:
    at_infinity = pinhole_of(Lens(focal_mm=50, pixel_um=5), 4000, 6000)
    assert at_infinity.fx_px == at_infinity.fy_px == pytest.approx(10_000) and not at_infinity.assumed
    assert (at_infinity.cx_px, at_infinity.cy_px) == (2999.5, 1999.5)
    # Focused at 1.05 m from the lens, v = 52.5 mm.
    assert pinhole_of(Lens(focal_mm=50, pixel_um=5), 4000, 6000, 1.05).fx_px == pytest.approx(10_500)
    sharp = LawModel().predict(Photo(ramp(), LENS))
    assert camera_of(LENS, "1/m", sharp.focus, sharp.size).fx_px == pytest.approx(52.5 / 0.4)


@pytest.mark.parametrize("lens", [Lens(), Lens(focal_mm=50), Lens(pixel_um=5)])
def test_without_a_lens_the_field_of_view_is_assumed_and_noted(lens: Lens) -> None:
    camera = pinhole_of(lens, 600, 900)
    assert camera.assumed and camera.fx_px == pytest.approx(1000) and "assumed" in camera.source
    assert asdict(camera)["assumed"] is True


def test_without_a_lens_the_field_of_view_is_estimated_from_the_photo() -> None:
    estimate = CameraEstimate.from_network([math.log(0.5), 0.0, math.log(0.1), 0.0])
    assert estimate.tan_half_fov_error == pytest.approx(0.1 * math.sqrt(2)) and estimate.median_depth_m == 1
    # half of 900 px is half a focal length
    camera = pinhole_of(Lens(), 600, 900, estimate=estimate)
    assert camera.fx_px == pytest.approx(900) and camera.assumed and "53 degrees" in camera.source
    assert pinhole_of(LENS, 600, 900, estimate=estimate) == pinhole_of(LENS, 600, 900)


def test_relative_depth_is_stretched_to_a_fixed_range(relative: PointCloud) -> None:
    z = -relative.positions[:, 2]
    assert not relative.metric and len(z) == 60 * 80 and relative.edge_points == 0
    assert z.min() == pytest.approx(1.0) and z.max() == pytest.approx(FAR_OVER_NEAR)


def test_metric_points_project_back_onto_their_pixels() -> None:
    prediction = LawModel().predict(Photo(ramp(), LENS))
    cloud = predicted_points(prediction)
    assert cloud.metric
    x, y, z = cloud.positions.T.astype(np.float64)
    columns, rows = x / -z * cloud.camera.fx_px + 39.5, 29.5 - y / -z * cloud.camera.fy_px
    np.testing.assert_allclose(columns, columns.round(), atol=1e-3)
    np.testing.assert_allclose(rows, rows.round(), atol=1e-3)
    at = rows.round().astype(int), columns.round().astype(int)
    np.testing.assert_allclose(-z, 1 / prediction.inv_depth[at], rtol=1e-5)
    np.testing.assert_array_equal(cloud.colours, prediction.photo.pixels[at])


def test_between_near_and_far_there_are_no_points() -> None:
    # A near half and a far half, and between them the ramp of four pixels that enlarging a map leaves.
    u = np.interp(np.arange(80), [38, 42], [2.0, 0.5]).astype(np.float32)
    cloud = point_cloud(ramp(), np.broadcast_to(u, (60, 80)), "1/m", CAMERA)
    z = -cloud.positions[:, 2]
    assert not ((z > 0.51) & (z < 1.99)).any()
    assert cloud.edge_points > 0 and cloud.edge_points + len(z) == 60 * 80
    assert cloud.to_json()["left_out"] == {"edges": cloud.edge_points, "far": 0}
    # A floor is as steep, but a surface: seen at a flat angle, it stays.
    floor = np.broadcast_to(np.linspace(0.5, 2.0, 60, dtype=np.float32)[:, None], (60, 80))
    assert len(point_cloud(ramp(), floor, "1/m", CAMERA).positions) == 60 * 80


def test_metric_points_that_are_nearly_infinite_are_left_out_and_counted() -> None:
    u = np.ones((60, 80), np.float32)
    u[:20] = 1e-6
    cloud = point_cloud(ramp(), u, "1/m", CAMERA)
    assert cloud.far_points == 20 * 80 and (-cloud.positions[:, 2]).max() == pytest.approx(1.0)


def test_where_every_point_is_at_an_edge_they_all_stay() -> None:
    noise = np.random.default_rng(0).random((60, 80), dtype=np.float32)
    cloud = point_cloud(ramp(), noise * noise * noise, "relative", pinhole_of(Lens(focal_mm=50, pixel_um=5), 60, 80))
    assert len(cloud.positions) == 60 * 80 and cloud.edge_points == 0


def test_there_are_only_so_many_points() -> None:
    prediction = LawModel().predict(Photo(ramp(300, 400)))
    assert len(predicted_points(prediction, 1000).positions) <= 1000


def test_ply(relative: PointCloud) -> None:
    header, _, body = ply_bytes(relative).partition(b"end_header\n")
    assert b"element vertex 4800" in header and len(body) == 4800 * 15
    assert b"relative: no unit" in header and b"fx_px 88.8889" in header and b"assumed" in header
    assert struct.unpack("<3f", body[:12]) == pytest.approx(relative.positions[0].tolist())
    assert tuple(body[12:15]) == tuple(relative.colours[0])
    assert b", metres, " in ply_bytes(predicted_points(LawModel().predict(Photo(ramp(), LENS))))


def test_glb(relative: PointCloud) -> None:
    data = glb_bytes(relative)
    magic, version, total = struct.unpack("<4sII", data[:12])
    assert (magic, version, total) == (b"glTF", 2, len(data))
    length, kind = struct.unpack("<I4s", data[12:20])
    document = json.loads(data[20 : 20 + length])
    assert kind == b"JSON" and length % 4 == 0
    size, kind = struct.unpack("<I4s", data[20 + length : 28 + length])
    assert kind == b"BIN\0" and size == document["buffers"][0]["byteLength"] == 4800 * 24
    points = np.frombuffer(data[28 + length :], "<f4")[: 4800 * 3].reshape(-1, 3)
    np.testing.assert_allclose(points.min(axis=0), document["accessors"][0]["min"])
    np.testing.assert_array_equal(points, relative.positions)
    assert document["asset"]["extras"] == relative.to_json() and document["asset"]["extras"]["unit"] == "relative"


@pytest.mark.parametrize("kind", ["ply", "glb"])
def test_a_library_reads_the_same_points(relative: PointCloud, kind: str) -> None:
    trimesh = pytest.importorskip("trimesh", reason="reading the files back needs the package trimesh")
    data = {"ply": ply_bytes, "glb": glb_bytes}[kind](relative)
    loaded = trimesh.load(io.BytesIO(data), file_type=kind)
    cloud = next(iter(loaded.geometry.values())) if hasattr(loaded, "geometry") else loaded
    np.testing.assert_allclose(cloud.vertices, relative.positions, rtol=1e-6)
    if kind == "ply":
        np.testing.assert_array_equal(np.asarray(cloud.colors)[:, :3], relative.colours)


# --- meshes ---


def test_a_mesh_has_the_points_of_the_cloud_and_shows_each_pixel_where_it_is() -> None:
    prediction = LawModel().predict(Photo(ramp(), LENS))
    mesh, cloud = predicted_mesh(prediction), predicted_points(prediction)
    np.testing.assert_array_equal(mesh.positions, cloud.positions)
    at = (mesh.texture_at * (80, 60)).astype(int)
    np.testing.assert_array_equal(mesh.picture[at[:, 1], at[:, 0]], cloud.colours)
    assert mesh.faces.max() == len(mesh.positions) - 1
    assert len(predicted_mesh(LawModel().predict(Photo(ramp()))).faces) == 2 * 59 * 79
    a, b, c = (mesh.positions[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()  # they face the camera, which is at +z of them


def test_no_triangle_crosses_a_gap() -> None:
    pixels = ramp(60, 120)
    pixels[:, :, 0] = np.interp(np.arange(120), [58, 62], [250, 10]).round()
    mesh = predicted_mesh(LawModel().predict(Photo(pixels)))
    z = -mesh.positions[:, 2][mesh.faces]
    assert len(mesh.faces) and np.ptp(z, axis=1).max() < 0.5 and np.ptp(z) > 1.5


def test_there_are_only_so_many_vertices() -> None:
    assert len(predicted_mesh(LawModel().predict(Photo(ramp(300, 400))), 1000).positions) <= 1000


def test_where_every_point_is_at_an_edge_there_is_still_a_mesh() -> None:
    pixels = ramp()
    pixels[:, :, 0] = np.random.default_rng(0).integers(0, 2, (60, 80)) * 255
    assert len(predicted_mesh(LawModel().predict(Photo(pixels))).faces)


def test_a_library_reads_the_mesh_with_its_texture() -> None:
    trimesh = pytest.importorskip("trimesh", reason="reading the file back needs the package trimesh")
    mesh = predicted_mesh(LawModel().predict(Photo(ramp(), LENS)))
    scene = trimesh.load(io.BytesIO(mesh_bytes(mesh)), file_type="glb", process=False)
    read = next(iter(scene.geometry.values()))
    np.testing.assert_allclose(read.vertices, mesh.positions, rtol=1e-6)
    np.testing.assert_array_equal(read.faces, mesh.faces)
    from_below = mesh.texture_at * (1, -1) + (0, 1)
    np.testing.assert_allclose(read.visual.uv, from_below, atol=1e-6)
    texture = np.asarray(read.visual.material.baseColorTexture.convert("RGB"), dtype=int)
    assert np.abs(texture - mesh.picture).mean() < 10

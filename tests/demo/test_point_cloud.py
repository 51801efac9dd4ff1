"""Points in space and the files that hold them, read back by hand."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from tests.made_law_model import LawModel, ramp

from mddnet.demo.look import Look, look_at
from mddnet.demo.point_cloud import FAR_OVER_NEAR, VIEW_GROUND, glb_bytes, ply_bytes, point_cloud, turned_view
from mddnet.types import Lens, Photo

LENS = Lens(focal_mm=50, f_number=2, pixel_um=400, focus_m=1.1025)


def test_relative_depth_is_stretched_to_a_fixed_range(look: Look) -> None:
    cloud = point_cloud(look)
    z = -cloud.positions[:, 2]
    assert not cloud.metric and len(z) == 60 * 80
    assert z.min() == pytest.approx(1.0) and z.max() == pytest.approx(FAR_OVER_NEAR)


def test_metric_points_project_back_onto_their_pixels() -> None:
    look = look_at(LawModel().predict(Photo(ramp(), LENS)))
    cloud = point_cloud(look)
    x, y, z = cloud.positions[-1]  # the last pixel of the picture, near
    assert cloud.metric and z == pytest.approx(-1 / look.inv_depth[-1, -1], rel=1e-5)
    # f in pixels is 50 mm / 0.4 mm = 125.
    assert x / -z * 125 == pytest.approx(39.5, rel=1e-4) and y / -z * 125 == pytest.approx(-29.5, rel=1e-4)


def test_there_are_only_so_many_points() -> None:
    look = look_at(LawModel().predict(Photo(ramp(300, 400))))
    assert len(point_cloud(look, 1000).positions) <= 1000


def test_ply(look: Look) -> None:
    cloud = point_cloud(look)
    header, _, body = ply_bytes(cloud).partition(b"end_header\n")
    assert b"element vertex 4800" in header and len(body) == 4800 * 15
    assert struct.unpack("<3f", body[:12]) == pytest.approx(cloud.positions[0].tolist())
    assert tuple(body[12:15]) == tuple(cloud.colours[0])


def test_a_turned_view_moves_near_points_against_far_ones(look: Look) -> None:
    cloud = point_cloud(look)
    front = turned_view(cloud, 0, 0)
    assert front.shape == (600, 900, 3)
    seen = (front != VIEW_GROUND).any(axis=2)
    assert 0.2 < seen.mean() < 0.9
    for angles in ((30, 0), (0, 30)):
        assert (turned_view(cloud, *angles) != front).any()
    # Red is near: walking to the right, near things move to the left against far ones.
    columns = np.arange(900)

    def offset(picture: np.ndarray) -> float:
        shown = (picture != VIEW_GROUND).any(axis=2)
        near, far = shown & (picture[:, :, 0] > 200), shown & (picture[:, :, 0] < 30)
        return float(columns[np.nonzero(near)[1]].mean() - columns[np.nonzero(far)[1]].mean())

    assert offset(turned_view(cloud, 20, 0)) < offset(front)


def test_glb(look: Look) -> None:
    cloud = point_cloud(look)
    data = glb_bytes(cloud)
    magic, version, total = struct.unpack("<4sII", data[:12])
    assert (magic, version, total) == (b"glTF", 2, len(data))
    length, kind = struct.unpack("<I4s", data[12:20])
    document = json.loads(data[20 : 20 + length])
    assert kind == b"JSON" and length % 4 == 0
    size, kind = struct.unpack("<I4s", data[20 + length : 28 + length])
    assert kind == b"BIN\0" and size == document["buffers"][0]["byteLength"] == 4800 * 24
    points = np.frombuffer(data[28 + length :], "<f4")[: 4800 * 3].reshape(-1, 3)
    np.testing.assert_allclose(points.min(axis=0), document["accessors"][0]["min"])
    np.testing.assert_array_equal(points, cloud.positions)

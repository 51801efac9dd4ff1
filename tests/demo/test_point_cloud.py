"""The points of what the page keeps, and pictures of them."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.made_law_model import LawModel, ramp

from mddnet.demo.look import Look, look_at
from mddnet.demo.point_cloud import VIEW_GROUND, points_of, turned_view
from mddnet.predict.point_cloud import FAR_OVER_NEAR
from mddnet.types import Lens, Photo

LENS = Lens(focal_mm=50, f_number=2, pixel_um=400, focus_m=1.1025)


def test_relative_depth_is_stretched_to_a_fixed_range(look: Look) -> None:
    cloud = points_of(look)
    z = -cloud.positions[:, 2]
    assert not cloud.metric and len(z) == 60 * 80
    assert z.min() == pytest.approx(1.0) and z.max() == pytest.approx(FAR_OVER_NEAR)


def test_metric_points_project_back_onto_their_pixels() -> None:
    look = look_at(LawModel().predict(Photo(ramp(), LENS)))
    cloud = points_of(look)
    x, y, z = cloud.positions[-1]  # the last pixel of the picture, near
    assert cloud.metric and z == pytest.approx(-1 / look.inv_depth[-1, -1], rel=1e-5)
    # In focus at 1.05 m from the lens: v = 52.5 mm, over 0.4 mm a pixel.
    assert x / -z * 131.25 == pytest.approx(39.5, rel=1e-4) and y / -z * 131.25 == pytest.approx(-29.5, rel=1e-4)


def test_there_are_only_so_many_points() -> None:
    look = look_at(LawModel().predict(Photo(ramp(300, 400))))
    assert len(points_of(look, 1000).positions) <= 1000


def test_a_turned_view_moves_near_points_against_far_ones(look: Look) -> None:
    cloud = points_of(look)
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

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.made_light_field import STRAIGHT, TwoPlanes

from mddnet.captures.light_field import read_light_field
from mddnet.errors import RejectedScene
from mddnet.scenes.disparity import (
    AXES,
    ViewGrid,
    disparity_map,
    find_orientation,
    find_range,
    forward_map,
    grid_positions,
    occlusion_vote,
    refine_positions,
    smooth_map,
    subpixel_argmin,
    view_error,
    view_grid,
)
from mddnet.scenes.filling import fill_from_behind


def test_positions_count_from_the_centre() -> None:
    positions = grid_positions(3, 3, (1, 1), STRAIGHT)
    assert positions[0].tolist() == [-1, -1] and positions[5].tolist() == [0, 1]
    mirrored = grid_positions(3, 3, (1, 1), "rows down, columns left")
    assert mirrored[5].tolist() == [0, -1]
    rotated = grid_positions(3, 3, (1, 1), "rows right, columns down")
    assert rotated[5].tolist() == [1, 0]


def test_the_parabola_finds_the_minimum_between_planes() -> None:
    planes = np.linspace(-1, 1, 5)
    costs = ((planes - 0.3) ** 2)[:, None, None].astype(np.float32) * np.ones((1, 2, 2), dtype=np.float32)
    assert subpixel_argmin(costs, planes) == pytest.approx(np.full((2, 2), 0.3), abs=1e-6)
    rising = planes[:, None, None].astype(np.float32)
    assert subpixel_argmin(rising, planes)[0, 0] == -1


def test_convention_larger_disparity_is_nearer_and_moves_against_the_camera() -> None:
    # One row: a near pixel (d = 2) at column 4 in front of a far wall (d = 0), seen from one view to the right.
    d = np.zeros((1, 8), dtype=np.float32)
    d[0, 4] = 2
    seen = forward_map(d, d, np.array([0.0, 1.0]))
    assert seen[0, :2].tolist() == [0, 0]
    assert seen[0, 2] == 2, "the near point moved left by two and hides the wall"
    assert np.isnan(seen[0, 4]), "what it hid from the centre is unknown"
    assert forward_map(d, d, np.array([0.0, 1.0]), near_wins=False)[0, 2] == 0


def test_gaps_are_filled_from_behind() -> None:
    d = np.array([[1, np.nan, np.nan, 3]], dtype=np.float32)
    assert fill_from_behind(d)[0].tolist() == [1, 1, 1, 3]
    edge = np.array([[np.nan, 5, np.nan]], dtype=np.float32)
    assert fill_from_behind(edge)[0].tolist() == [5, 5, 5]
    with pytest.raises(ValueError, match="single known value"):
        fill_from_behind(np.full((2, 2), np.nan, dtype=np.float32))


def test_the_smooth_map_keeps_confident_values_and_stops_at_edges() -> None:
    guide = np.zeros((20, 20, 3), dtype=np.float32)
    guide[:, 10:] = 1
    values = np.where(guide[..., 0] > 0, 2.0, 1.0).astype(np.float32)
    weights = np.zeros((20, 20), dtype=np.float32)
    weights[10, 2] = weights[10, 17] = 1
    noisy = np.where(weights > 0, values, 50.0).astype(np.float32)
    smooth = smooth_map(noisy, weights, guide)
    assert smooth[:, :9] == pytest.approx(np.ones((20, 9)), abs=0.15)
    assert smooth[:, 11:] == pytest.approx(np.full((20, 9), 2.0), abs=0.15)


@pytest.mark.parametrize("axes", AXES)
def test_the_order_of_the_views_is_found(planes: TwoPlanes, axes: str) -> None:
    wanted = grid_positions(3, 3, (1, 1), axes)
    images = np.stack([planes.view(*position) for position in wanted])
    found, cost_ratio = find_orientation(images, 3, 3, (1, 1), search_px=3)
    assert found == axes
    assert cost_ratio < 0.7


def test_identical_views_have_no_order(planes: TwoPlanes) -> None:
    images = np.stack([planes.view(0, 0)] * 9)
    with pytest.raises(RejectedScene, match=r"order .*ambiguous"):
        find_orientation(images, 3, 3, (1, 1), search_px=2)


def test_the_range_includes_both_planes(planes: TwoPlanes, grid: ViewGrid) -> None:
    low, high = find_range(grid, search_px=3)
    assert low == pytest.approx(planes.far, abs=0.15)
    assert high == pytest.approx(planes.near, abs=0.15)


def test_views_without_anything_in_common_are_rejected() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((9, 64, 64, 3), dtype=np.float32)
    with pytest.raises(RejectedScene, match="neighbouring views"):
        find_range(view_grid(images, grid_positions(3, 3, (1, 1), STRAIGHT)), search_px=2)


def test_the_disparity_of_both_planes_is_recovered(planes: TwoPlanes, grid: ViewGrid) -> None:
    depth = disparity_map(grid, planes.far, planes.near)
    truth = planes.truth()
    error = np.abs(depth.disparity - truth)
    known = np.isfinite(error)
    assert known.mean() > 0.7
    assert np.median(error[known]) < 0.03
    assert (error[known] < 0.1).mean() > 0.9
    top, bottom, left, right = planes.box
    assert np.nanmedian(depth.disparity[top:bottom, left:right]) == pytest.approx(planes.near, abs=0.03)


def test_disparity_is_unknown_without_texture(planes: TwoPlanes) -> None:
    images = planes.views(1)
    images[:, :, 96:] = 0.5
    depth = disparity_map(view_grid(images, grid_positions(3, 3, (1, 1), STRAIGHT)), planes.far, planes.near)
    assert np.isnan(depth.disparity[8:-8, 106:]).all()
    assert depth.confidence[8:-8, 106:].max() < 0.1
    assert np.isfinite(depth.filled).all()
    assert np.isfinite(depth.disparity[:, 8:90]).mean() > 0.6


def test_occlusions_distinguish_near_from_far(planes: TwoPlanes, grid: ViewGrid) -> None:
    truth = planes.truth()
    assert occlusion_vote(grid, truth) > 0.9
    assert occlusion_vote(replace(grid, positions=-grid.positions), -truth) < 0.1


def test_a_single_plane_has_no_occlusion_vote(planes: TwoPlanes, grid: ViewGrid) -> None:
    with pytest.raises(RejectedScene, match="near and far"):
        occlusion_vote(grid, np.full((planes.height, planes.width), 0.25, dtype=np.float32))


def test_the_position_of_a_view_off_the_grid_is_recovered(planes: TwoPlanes) -> None:
    positions = grid_positions(3, 3, (1, 1), STRAIGHT)
    true = positions.copy()
    true[5] += (0.15, -0.2)
    grid = view_grid([planes.view(*p) for p in true], positions)
    truth = planes.truth()
    fitted = refine_positions(grid, truth, rounds=4)
    assert np.abs(fitted.positions - true).max() < 0.06
    assert np.abs(fitted.offsets_px).max() < 0.05
    assert view_error(fitted, truth) < view_error(grid, truth)
    assert fitted.positions[grid.centre].tolist() == [0, 0]


def test_a_brighter_view_gets_a_gain(planes: TwoPlanes) -> None:
    views = planes.views(1)
    views[3] = views[3] * 0.9
    grid = view_grid(views, grid_positions(3, 3, (1, 1), STRAIGHT))
    fitted = refine_positions(grid, planes.truth(), rounds=4)
    assert fitted.gains[3] == pytest.approx((1 / 0.9) ** 2.2, rel=0.03)
    assert fitted.gains[5] == pytest.approx(1, abs=0.02)


def test_a_grid_needs_one_central_view() -> None:
    images = np.zeros((4, 8, 8, 3), dtype=np.float32)
    with pytest.raises(ValueError, match="exactly one"):
        view_grid(images, np.ones((4, 2)))
    with pytest.raises(ValueError, match="4 views at 3 positions"):
        view_grid(images, np.zeros((3, 2)))


def test_columns_of_the_gantry_run_leftwards(shared_data: Path) -> None:
    field = read_light_field(shared_data / "captures/light_fields/gantry_toys")
    row, col = field.centre
    span = (-1, 0, 1)
    images = np.stack([field.read_view(row + r, col + c) for r in span for c in span]).astype(np.float32) / 255
    found, cost_ratio = find_orientation(images, 3, 3, (1, 1), search_px=10)
    assert found == "rows down, columns left"
    assert cost_ratio < 0.7

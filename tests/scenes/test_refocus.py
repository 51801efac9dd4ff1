from __future__ import annotations

import numpy as np
import pytest
from tests.support.made_light_field import STRAIGHT, TwoPlanes

from mddnet.color import linear_from_srgb
from mddnet.scenes.disparity import ViewGrid, grid_positions, view_grid
from mddnet.scenes.refocus import (
    ViewInterpolator,
    disc_lattice,
    disc_weights,
    refocus,
    steps_between_views,
    view_discs,
)


def spot_field(d: float, reach: int, size: int = 81, sigma: float = 2.0) -> ViewGrid:
    """A bright Gaussian spot at disparity ``d`` in the middle of the central view, in linear light on black."""
    positions = grid_positions(2 * reach + 1, 2 * reach + 1, (reach, reach), STRAIGHT)
    y, x = np.mgrid[:size, :size] - size // 2
    images = []
    for row, col in positions:
        light = 0.9 * np.exp(-((y + d * row) ** 2 + (x + d * col) ** 2) / (2 * sigma**2))
        encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        images.append(np.repeat(encoded[..., None], 3, axis=2).astype(np.float32))
    return view_grid(images, positions)


def variance_per_axis(image: np.ndarray) -> float:
    light = image[..., 1].astype(np.float64)
    light /= light.sum()
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    cy, cx = (light * y).sum(), (light * x).sum()
    return float(((light * (y - cy) ** 2).sum() + (light * (x - cx) ** 2).sum()) / 2)


def test_the_weight_of_a_view_is_the_share_of_its_cell_in_the_disc() -> None:
    positions = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    assert disc_weights(positions, 0.75, 1.0)[0] == 1
    assert disc_weights(positions, 1.0, 1.0)[1] == pytest.approx(0.45, abs=0.06)
    assert disc_weights(positions, 1.0, 1.0)[2] == 0


def test_the_weights_of_a_lattice_add_up_to_the_area_of_the_disc() -> None:
    lattice = grid_positions(21, 21, (10, 10), STRAIGHT)
    assert disc_weights(lattice, 6.3, 1.0).sum() == pytest.approx(np.pi * 6.3**2, rel=0.01)


def test_kappa_of_a_fine_disc_is_its_diameter() -> None:
    # Views of a disc of radius R spread a point at disparity 1 over a disc of diameter 2 R.
    grid = view_grid(np.zeros((121, 4, 4, 3)), grid_positions(11, 11, (5, 5), STRAIGHT))
    disc = view_discs(grid, [4.0], steps=4)[0]
    assert disc.kappa_px == pytest.approx(8.0, rel=0.02)
    assert disc.weights.sum() == pytest.approx(1)


def test_convention_blur_is_kappa_times_the_distance_from_the_plane_of_focus() -> None:
    d, sigma = 0.8, 2.0
    grid = spot_field(d, reach=3, sigma=sigma)
    interpolator = ViewInterpolator(grid, np.full((81, 81), d, dtype=np.float32))
    disc = view_discs(grid, [3.0], steps=1)[0]
    for frame in refocus(interpolator, [disc], [0.8, 0.3, -0.2, 1.6]):
        coc = disc.kappa_px * abs(frame.d_focus - d)
        assert variance_per_axis(frame.linear) == pytest.approx(sigma**2 + (coc / 4) ** 2, rel=0.04, abs=0.05)


def test_a_disc_keeps_the_light() -> None:
    grid = spot_field(0.8, reach=2)
    interpolator = ViewInterpolator(grid, np.full((81, 81), 0.8, dtype=np.float32))
    sharp = interpolator.real_view(grid.centre)
    for frame in refocus(interpolator, view_discs(grid, [1.0, 2.0], 1), [-0.5]):
        assert frame.linear.sum() == pytest.approx(sharp.sum(), rel=0.01)


@pytest.mark.slow
def test_the_plane_in_focus_is_sharp_and_the_other_blurred(planes: TwoPlanes, grid: ViewGrid) -> None:
    interpolator = ViewInterpolator(grid, planes.truth())
    disc = view_discs(grid, [2.0], steps_between_views(planes.near - planes.far))[0]
    near_frame, far_frame = refocus(interpolator, [disc], [planes.near, planes.far])
    sharp = linear_from_srgb(planes.view(0, 0))
    top, bottom, left, right = planes.box
    inside = (slice(top + 6, bottom - 6), slice(left + 6, right - 6))
    wall = (slice(6, top - 6), slice(6, -6))

    def apart(frame: np.ndarray, where: tuple[slice, slice]) -> float:
        return float(np.abs(frame[where] - sharp[where]).mean())

    assert apart(near_frame.linear, inside) < 0.005
    assert apart(far_frame.linear, wall) < 0.005
    assert apart(far_frame.linear, inside) > 10 * apart(near_frame.linear, inside)
    assert apart(near_frame.linear, wall) > 10 * apart(far_frame.linear, wall)


def test_an_interpolated_view_matches_a_real_one(planes: TwoPlanes, grid: ViewGrid) -> None:
    interpolator = ViewInterpolator(grid, planes.truth())
    for position in ((0.5, 0.5), (-1.5, 0.75)):
        made = interpolator.view_at(np.array(position))
        wanted = linear_from_srgb(planes.view(*position))
        apart = np.abs(made - wanted)[5:-5, 5:-5]
        assert np.median(apart) < 0.003
        assert np.quantile(apart, 0.95) < 0.05
    assert interpolator.view_at(np.array([1.0, -1.0])) is interpolator.real_view(16)


def test_interpolation_leaves_no_ghosts() -> None:
    # Disparity 4 px a view: three real views would show three separate spots, steps in between make a disc.
    d = 4.0
    grid = spot_field(d, reach=1, sigma=1.2)
    interpolator = ViewInterpolator(grid, np.full((81, 81), d, dtype=np.float32))
    coarse = next(refocus(interpolator, view_discs(grid, [1.0], 1), [0.0])).linear
    fine = next(refocus(interpolator, view_discs(grid, [1.0], steps_between_views(d)), [0.0])).linear
    row = slice(40, 41)
    inner = slice(38, 43)
    assert coarse[row, inner, 1].min() < 0.6 * coarse[row, inner, 1].max()
    assert fine[row, inner, 1].min() > 0.85 * fine[row, inner, 1].max()


@pytest.mark.parametrize(("span", "steps"), [(0.0, 1), (0.6, 1), (1.0, 1), (1.9, 2), (4.9, 5)])
def test_steps_follow_the_range_of_disparities(span: float, steps: int) -> None:
    assert steps_between_views(span) == steps


def test_the_lattice_stays_inside_the_views(grid: ViewGrid) -> None:
    lattice = disc_lattice(grid, 5.0, steps=3)
    assert np.abs(lattice).max() == pytest.approx(2)
    assert len(lattice) == 13 * 13


def test_a_disc_of_one_view_is_refused(grid: ViewGrid) -> None:
    with pytest.raises(ValueError, match="expected at least 2"):
        view_discs(grid, [0.3], steps=1)


def test_a_map_with_gaps_is_refused(planes: TwoPlanes, grid: ViewGrid) -> None:
    gaps = planes.truth()
    gaps[0, 0] = np.nan
    with pytest.raises(ValueError, match="without gaps"):
        ViewInterpolator(grid, gaps)
    with pytest.raises(ValueError, match="shape"):
        ViewInterpolator(grid, gaps[1:])

"""The scan finds the plane of focus that made the blur, also outside the scene."""

from __future__ import annotations

import numpy as np
import pytest

from mddnet.predict.plane_of_focus import Cells, find_plane, isotonic


def cells(u_focus: float, kappa: float = 6.0, odds: float = 0.0, power: float = 1.0, noise: float = 0.0) -> Cells:
    """A scene of inverse depths around 0 whose CoCs obey the law for u = sign(d) |d| ** power."""
    random = np.random.default_rng(0)
    depth = random.uniform(-2, 2, 2000)
    u = np.sign(depth) * np.abs(depth) ** power
    signed = kappa * (u_focus - u)
    root = np.abs(np.sqrt(np.abs(signed)) + noise * random.normal(size=depth.shape))
    return Cells(depth, root, np.full_like(depth, 0.3), odds * np.sign(signed))


def test_isotonic_by_hand() -> None:
    values = np.array([[1.0, 3.0, 2.0, 5.0], [4.0, 3.0, 2.0, 1.0]])
    np.testing.assert_allclose(isotonic(values, np.ones(4)), [[1, 2.5, 2.5, 5], [2.5, 2.5, 2.5, 2.5]])
    np.testing.assert_allclose(isotonic(values[:1], np.array([1.0, 1.0, 3.0, 1.0])), [[1, 2.25, 2.25, 5]])


@pytest.mark.parametrize("u_focus", [-3.5, -1.0, 0.0, 0.8, 3.5])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_law_is_found_by_the_size_of_the_blur_alone(u_focus: float, noise: float) -> None:
    plane = find_plane(cells(u_focus, noise=noise))
    tolerance = 0.1 if abs(u_focus) < 2 else 0.6
    assert plane.u_focus == pytest.approx(u_focus, abs=tolerance)
    assert plane.kappa_px == pytest.approx(6.0, rel=0.25)
    assert plane.log_odds > 5
    depth = np.linspace(-1.8, 1.8, 9, dtype=np.float32)
    np.testing.assert_allclose(plane.defocus_px(depth), 6 * (u_focus - depth), atol=1.5)


def test_the_scene_may_be_distorted() -> None:
    plane = find_plane(cells(0.5, power=0.5))
    assert plane.u_focus == pytest.approx(0.25, abs=0.1)  # where u is 0.5
    fitted = plane.defocus_px(np.array([-1.0, 1.0], np.float32))
    np.testing.assert_allclose(fitted, [9, -3], atol=0.7)


def test_blur_that_rises_with_distance_is_behind_and_with_nearness_in_front() -> None:
    behind, in_front = cells(2.5), cells(-2.5)
    assert find_plane(behind).u_focus > 2 and find_plane(in_front).u_focus < -2
    # The network is unsure and wrong.
    for wholly in (behind, in_front):
        against = Cells(wholly.depth, wholly.root, wholly.root_sigma, np.full(2000, -0.5 * np.sign(wholly.root[0])))
        assert np.sign(find_plane(against).u_focus) == np.sign(find_plane(wholly).u_focus)


def test_the_network_decides_where_the_blur_is_the_same_everywhere() -> None:
    flat = cells(0.0)
    for sign in (1.0, -1.0):
        plane = find_plane(Cells(flat.depth, np.full(2000, 3.0), flat.root_sigma, np.full(2000, sign)))
        assert (np.sign(plane.defocus_px(np.array([-1.0, 1.0], np.float32))) == sign).all()
        assert plane.gain < 3


def test_a_third_of_wrong_signs_does_not_matter() -> None:
    right = cells(0.4, odds=2.0)
    wrong = np.where(np.random.default_rng(1).random(2000) < 0.35, -1, 1)
    plane = find_plane(Cells(right.depth, right.root, right.root_sigma, right.log_odds * wrong))
    assert plane.u_focus == pytest.approx(0.4, abs=0.1)


def test_a_fifth_of_outliers_does_not_matter() -> None:
    right = cells(0.4)
    root = np.where(np.random.default_rng(2).random(2000) < 0.2, 3.5, right.root)
    assert find_plane(Cells(right.depth, root, right.root_sigma, right.log_odds)).u_focus == pytest.approx(0.4, abs=0.2)


def test_doubtful_cells_do_not_matter() -> None:
    right = cells(0.4)
    doubtful = right.depth > 0.7
    root = np.where(doubtful, 1.0, right.root)
    sigma = np.where(doubtful, 5.0, right.root_sigma)
    plane = find_plane(Cells(right.depth, root, sigma, right.log_odds))
    assert plane.u_focus == pytest.approx(0.4, abs=0.2)


def test_a_scene_of_one_or_two_depths() -> None:
    one = find_plane(Cells(np.zeros(50), np.full(50, 2.0), np.full(50, 0.3), np.full(50, 1.0)))
    assert one.u_focus > 0 and np.isfinite(one.kappa_px)
    depth = np.repeat([-1.0, 1.0], 50)
    between = find_plane(Cells(depth, np.repeat([3.0, 2.0], 50), np.full(100, 0.3), np.repeat([3.0, -3.0], 50)))
    assert between.u_focus == pytest.approx(-1 + 2 * 9 / 13, abs=0.05)  # 9 px behind, 4 px in front

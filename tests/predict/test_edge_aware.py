"""Means across no edge, and maps whose edges lie on those of the photo."""

from __future__ import annotations

import numpy as np
import pytest

from mddnet.predict.edge_aware import EdgeAwareMean, cell_means, upsampled_along
from mddnet.types import UInt8Array


def halves(height: int, width: int, edge: int) -> UInt8Array:
    photo = np.full((height, width, 3), 40, np.uint8)
    photo[:, edge:] = 200
    return photo


def test_cells_are_means_and_the_last_ones_may_be_smaller() -> None:
    photo = halves(6, 10, 2)
    np.testing.assert_allclose(cell_means(photo, 4)[..., 0] * 255, [[120, 200, 200], [120, 200, 200]], atol=0.6)


def test_a_mean_stays_on_its_side_of_an_edge() -> None:
    guide = np.zeros((12, 16, 1), np.float32)
    guide[:, 8:] = 10
    values = np.where(guide[..., 0] > 0, 3, -1) + np.random.default_rng(0).normal(size=(12, 16)) / 2
    smooth = EdgeAwareMean(guide, 3)(values.astype(np.float32))
    assert smooth[:, :8].max() < 0.2 and smooth[:, 8:].min() > 1.8
    assert smooth[:, :8].std() < 0.4 * values[:, :8].std()


def test_a_mean_of_three_by_hand() -> None:
    # One row, half width 1: neighbours weigh exp(-2) where they are alike.
    guide = np.zeros((1, 3, 1), np.float32)
    weight = np.exp(-2.0)
    expected = (5 + weight * (2 + 11)) / (1 + 2 * weight)
    assert EdgeAwareMean(guide, 1)(np.array([[2, 5, 11]], np.float32))[0, 1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 3)])
def test_small_maps_are_averaged_too(shape: tuple[int, int]) -> None:
    constant = np.full(shape, 0.7, np.float32)
    np.testing.assert_allclose(EdgeAwareMean(np.zeros((*shape, 3), np.float32), 3)(constant), constant, rtol=1e-6)


@pytest.mark.parametrize("edge", [16, 17, 18, 19])
def test_an_edge_of_a_map_lies_on_that_of_the_photo(edge: int) -> None:
    photo = halves(24, 40, edge)
    cells = cell_means(photo, 4)
    share = (cells[..., 0] * 255 - 40) / 160  # of every cell that is on the right side
    (whole,) = upsampled_along(photo, cells, 4, [share])
    assert whole.shape == (24, 40)
    assert np.argmax(whole[12] > 0.5) == edge


def test_upsampling_keeps_constants_and_never_overshoots() -> None:
    random = np.random.default_rng(1)
    photo = random.integers(0, 255, (30, 41, 3), dtype=np.uint8)
    cells = cell_means(photo, 4)
    values = random.normal(size=cells.shape[:2]).astype(np.float32)
    whole, constant = upsampled_along(photo, cells, 4, [values, np.full_like(values, 2.5)])
    assert whole.shape == (30, 41) and values.min() <= whole.min() and whole.max() <= values.max()
    np.testing.assert_allclose(constant, 2.5, rtol=1e-5)

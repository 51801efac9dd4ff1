"""The light field that the tests of disparity and refocusing share."""

from __future__ import annotations

import pytest
from tests.made_light_field import STRAIGHT, TwoPlanes

from mddnet.sets.disparity import ViewGrid, grid_positions, view_grid


@pytest.fixture(scope="module")
def planes() -> TwoPlanes:
    return TwoPlanes()


@pytest.fixture(scope="module")
def grid(planes: TwoPlanes) -> ViewGrid:
    return view_grid(planes.views(2), grid_positions(5, 5, (2, 2), STRAIGHT))

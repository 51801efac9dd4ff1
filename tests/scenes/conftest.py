"""The light field that the tests of disparity and refocusing share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.made_light_field import STRAIGHT, TwoPlanes

if TYPE_CHECKING:
    from mddnet.scenes.disparity import ViewGrid


@pytest.fixture(scope="module")
def planes() -> TwoPlanes:
    return TwoPlanes()


@pytest.fixture(scope="module")
def grid(planes: TwoPlanes) -> ViewGrid:
    # here, not above: tests of the base package, which has no OpenCV, load this file, too
    from mddnet.scenes.disparity import grid_positions, view_grid

    return view_grid(planes.views(2), grid_positions(5, 5, (2, 2), STRAIGHT))

"""What the page keeps: smaller maps whose values are still those of the photo."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.support.made_law_model import LawModel, ramp

from mddnet.demo.look import Look, look_at, values_at
from mddnet.types import Lens, Photo


def test_values_at_a_point_are_those_of_the_maps(look: Look) -> None:
    values = values_at(look, 79, 10)
    assert (values.x_px, values.y_px) == (79, 10)
    assert values.inv_depth == pytest.approx(1.0) and values.signed_defocus_px == pytest.approx(-10.0)
    assert values.depth_m is None and values.confidence == pytest.approx(0.75)


def test_a_point_outside_is_moved_to_the_border(look: Look) -> None:
    assert values_at(look, 1e9, -5) == values_at(look, 79, 0)


def test_a_smaller_look_keeps_pixels_of_the_photo() -> None:
    pixels = ramp(300, 400)
    prediction = LawModel().predict(Photo(pixels))
    look = look_at(prediction, 100)
    assert look.pixels.shape == (75, 100, 3) and look.scale == 0.25
    assert (look.width_px, look.height_px) == (400, 300)
    assert np.isin(look.signed_defocus_px, prediction.signed_defocus_px).all()  # picked, never averaged
    values = values_at(look, 201, 150)
    assert values.signed_defocus_px == pytest.approx(prediction.signed_defocus_px[150, 201], abs=0.2)


def test_metres_follow_from_the_lens() -> None:
    lens = Lens(focal_mm=50, f_number=2, pixel_um=400, focus_m=1.1025)  # the plane of focus is at 1.05 m from the lens
    look = look_at(LawModel().predict(Photo(ramp(), lens)))
    assert look.unit == "1/m" and look.focus.u_focus == pytest.approx(1 / 1.05, rel=1e-3)
    middle = values_at(look, 40, 0)
    assert middle.depth_m is not None and math.isclose(middle.depth_m, 1 / middle.inv_depth)

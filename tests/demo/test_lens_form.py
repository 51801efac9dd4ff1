"""The lens facts as a form."""

from __future__ import annotations

import math

import pytest

from mddnet.demo.lens_form import form_of_lens, lens_of_form, pixel_um_of_sensor
from mddnet.errors import MddnetError
from mddnet.types import Lens


@pytest.mark.parametrize("lens", [Lens(), Lens(50, 1.8, 5.9, 0.8), Lens(focal_mm=4.2), Lens(35, 2.0, 6.0, math.inf)])
def test_round_trip(lens: Lens) -> None:
    assert lens_of_form(*form_of_lens(lens)) == lens


def test_empty_and_zero_are_unknown() -> None:
    assert lens_of_form(0, None, 0.0, None, False) == Lens()


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, "50", True])
def test_a_field_that_is_no_positive_number_is_named(value: object) -> None:
    with pytest.raises(MddnetError, match=r"f-number: .* expected a positive number"):
        lens_of_form(50, value, 5, 1, False)  # type: ignore[arg-type]


def test_pitch_from_the_sensor() -> None:
    assert pixel_um_of_sensor("full frame, 36 mm", 6000, 4000) == pytest.approx(6.0)
    assert pixel_um_of_sensor("full frame, 36 mm", 4000, 6000) == pytest.approx(6.0)
    with pytest.raises(MddnetError, match="expected one of"):
        pixel_um_of_sensor("a plate", 6000, 4000)

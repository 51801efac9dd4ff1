"""The lens facts as a form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mddnet.demo.lens_form import (
    NO_LENS_FACTS,
    TypedLens,
    form_of_lens,
    lens_of_form,
)
from mddnet.errors import MddnetError
from mddnet.photo.sensor_table import CAMERAS, SENSOR_CHOICES, SENSOR_WIDTH_MM, SENSORS, pitch_of_sensor
from mddnet.types import Lens, Photo


@pytest.mark.parametrize("lens", [Lens(), Lens(50, 1.8, 5.9, 0.8), Lens(focal_mm=4.2), Lens(35, 2.0, 6.0, math.inf)])
def test_round_trip(lens: Lens) -> None:
    assert lens_of_form(*form_of_lens(lens)) == lens


def test_empty_and_zero_are_unknown() -> None:
    assert lens_of_form(0, None, 0.0, None, False) == Lens()


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, "50", True])
def test_an_invalid_field_is_reported(value: object) -> None:
    with pytest.raises(MddnetError, match=r"f-number: .* positive number"):
        lens_of_form(50, value, 5, 1, False)  # type: ignore[arg-type]


def test_pitch_from_the_format_of_the_sensor() -> None:
    assert pitch_of_sensor("full frame, 36 mm", 6000, 4000).pixel_um == pytest.approx(6.0)
    assert pitch_of_sensor("full frame, 36 mm", 4000, 6000).pixel_um == pytest.approx(6.0)
    with pytest.raises(MddnetError, match="expected one of"):
        pitch_of_sensor("a plate", 6000, 4000)


def test_every_camera_of_the_table_can_be_chosen() -> None:
    assert len(SENSOR_CHOICES) == len(set(SENSOR_CHOICES)) == len(SENSOR_WIDTH_MM) + len(SENSORS)
    for name, camera in CAMERAS.items():
        pitch = pitch_of_sensor(name, camera.long_px, camera.short_px)
        assert pitch.pixel_um == camera.pixel_um and pitch.note == "", name


def test_pitch_from_the_camera() -> None:
    half = pitch_of_sensor("Canon EOS 5D Mark II", 1872, 2808)
    assert half.pixel_um == pytest.approx(2 * 36000 / 5616) and "resized" in half.note
    assert pitch_of_sensor("Canon EOS 5D Mark II", 1000, 1000).pixel_um is None


def test_a_phone_is_listed_with_one_of_its_lenses() -> None:
    assert pitch_of_sensor("iPhone 11", 4032, 3024, 4.25).pixel_um == pytest.approx(5640 / 4032)
    other = pitch_of_sensor("iPhone 11", 4032, 3024, 1.54)
    assert other.pixel_um is None and "4.25 mm, not of 1.54 mm" in other.note


def test_typed_facts_replace_exif() -> None:
    photo = Photo(np.zeros((3024, 4032, 3), np.uint8), Lens(f_number=1.8, pixel_um=9.0), notes=("read",))
    typed = TypedLens(Lens(focus_m=0.5), "iPhone 11").added_to(photo)
    assert typed.lens == Lens(4.25, 1.8, 5640 / 4032, 0.5) and typed.notes == ("read",)
    assert TypedLens(Lens(pixel_um=2.0), "iPhone 11").added_to(photo).lens == Lens(None, 1.8, 2.0, None)
    assert NO_LENS_FACTS.added_to(photo) == photo
    other = TypedLens(Lens(focal_mm=1.54), "iPhone 11").added_to(photo)
    assert other.lens.pixel_um is None and "not of 1.54 mm" in other.notes[-1]

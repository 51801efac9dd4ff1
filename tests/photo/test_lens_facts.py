"""Lens facts from EXIF: plausible ones are used, others are noted."""

from __future__ import annotations

import io
import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from mddnet.photo.lens_facts import lens_of_tags, missing_scale, tags_of_exif
from mddnet.types import Lens

F_NUMBER, DISTANCE, FOCAL, FOCAL_35MM = 0x829D, 0x9206, 0x920A, 0xA405
EXIF_WIDTH, EXIF_HEIGHT, PLANE_X, PLANE_UNIT = 0xA002, 0xA003, 0xA20E, 0xA210
SENSOR = {EXIF_WIDTH: 6000, EXIF_HEIGHT: 4000, PLANE_X: 6000 / 3.6, PLANE_UNIT: 3}
"""A sensor 36 mm wide with 6000 pixels: 6 um."""


class LensFacts(NamedTuple):
    lens: Lens
    notes: tuple[str, ...] = ()


def lens_facts_of_tags(tags: Any, width: int, height: int, given: Lens | None = None) -> LensFacts:
    notes: list[str] = []
    lens = lens_of_tags(tags, width, height, given, notes)
    return LensFacts(lens, tuple(notes))


def facts_of(tags: dict[int, Any], width: int = 6000, height: int = 4000, model: str | None = None) -> LensFacts:
    """Through a written file, as cameras store them."""
    exif = Image.Exif()
    if model is not None:
        exif[0x0110] = model
    exif.get_ifd(0x8769).update(tags)
    stream = io.BytesIO()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(stream, "JPEG", exif=exif)
    with Image.open(stream) as image:
        return lens_facts_of_tags(tags_of_exif(image.getexif()), width, height)


def test_no_exif_gives_no_facts_and_no_notes() -> None:
    facts = facts_of({})
    assert facts == LensFacts(facts.lens) and facts.lens.focal_mm is None and facts.lens.pixel_um is None


def test_focal_length_aperture_distance_and_pitch() -> None:
    facts = facts_of({FOCAL: 50.0, F_NUMBER: 1.8, DISTANCE: 0.8, **SENSOR})
    assert facts.lens.focal_mm == pytest.approx(50) and facts.lens.f_number == pytest.approx(1.8)
    assert facts.lens.focus_m == pytest.approx(0.8) and facts.lens.pixel_um == pytest.approx(6.0)
    assert facts.notes == ()


@pytest.mark.parametrize(("width", "height"), [(1500, 1000), (1000, 1500)])
def test_convention_pitch_is_that_of_the_pixels_as_given(width: int, height: int) -> None:
    assert facts_of(SENSOR, width, height).lens.pixel_um == pytest.approx(24.0)


@pytest.mark.parametrize(("unit", "per_unit"), [(2, 6000 / 36 * 25.4), (3, 6000 / 3.6), (4, 6000 / 36)])
def test_units_of_the_focal_plane(unit: int, per_unit: float) -> None:
    assert facts_of({**SENSOR, PLANE_X: per_unit, PLANE_UNIT: unit}).lens.pixel_um == pytest.approx(6.0, rel=1e-4)


def test_pitch_from_the_35mm_focal_length_is_an_assumption() -> None:
    # Crop factor 2: a diagonal of 43.27 / 2 mm over hypot(6000, 4000) pixels.
    facts = facts_of({FOCAL: 25.0, FOCAL_35MM: 50})
    assert facts.lens.pixel_um == pytest.approx(1000 * math.hypot(36, 24) / 2 / math.hypot(6000, 4000))
    assert any("assumed" in note for note in facts.notes)


def test_after_cropping_the_pitch_is_unknown() -> None:
    facts = facts_of({**SENSOR, FOCAL: 50.0, FOCAL_35MM: 50}, width=4000, height=4000)
    assert facts.lens.pixel_um is None and facts.lens.focal_mm == 50
    assert any("cropped" in note for note in facts.notes)


def test_a_pitch_that_contradicts_the_35mm_focal_length_is_ignored() -> None:
    facts = facts_of({**SENSOR, PLANE_UNIT: 2, FOCAL: 50.0, FOCAL_35MM: 50})
    assert facts.lens.pixel_um is None
    assert any("contradicts itself" in note for note in facts.notes)


@pytest.mark.parametrize("tag", [F_NUMBER, FOCAL, DISTANCE, PLANE_X])
@pytest.mark.parametrize("value", [IFDRational(5, 0), IFDRational(0, 0), 1e9], ids=["5/0", "0/0", "absurd"])
def test_implausible_values_are_noted(tag: int, value: Any) -> None:
    facts = facts_of({FOCAL: 50.0, F_NUMBER: 2.0, DISTANCE: 3.0, **SENSOR, tag: value})
    known = (facts.lens.f_number, facts.lens.focal_mm, facts.lens.focus_m, facts.lens.pixel_um)
    assert [value is None for value in known] == [tag == t for t in (F_NUMBER, FOCAL, DISTANCE, PLANE_X)]
    assert any("ignored" in note for note in facts.notes)


@pytest.mark.parametrize("value", [-50.0, 0.0, "fifty", (50, 0), (1, 2, 3), b"\0", None])
def test_values_of_the_wrong_type_are_noted(value: object) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[FOCAL] = value
    facts = lens_facts_of_tags(tags_of_exif(exif), 6000, 4000)
    assert facts.lens.focal_mm is None
    assert any("focal length" in note and "ignored" in note for note in facts.notes)


def test_distance_zero_is_unknown_and_all_ones_is_infinity() -> None:
    unknown = facts_of({DISTANCE: IFDRational(0, 1)})
    assert unknown.lens.focus_m is None and unknown.notes == ()
    assert facts_of({DISTANCE: IFDRational(0xFFFFFFFF, 1)}).lens.focus_m == math.inf


def test_a_distance_within_four_focal_lengths_is_noted() -> None:
    facts = facts_of({FOCAL: 100.0, DISTANCE: 0.3})
    assert facts.lens.focus_m is None
    assert any("four focal lengths" in note for note in facts.notes)


def test_zero_35mm_focal_length_is_unknown() -> None:
    facts = facts_of({FOCAL: 50.0, FOCAL_35MM: 0})
    assert facts.lens.pixel_um is None and facts.notes == ()


# --- the camera's model -----------------------------------------------------------------------------------------------

D850 = "NIKON D850"
"""8256 x 5504 px on 35.9 mm: 4.348 um."""


def test_the_model_gives_the_pitch_that_exif_lacks() -> None:
    facts = facts_of({FOCAL: 50.0}, 8256, 5504, model=D850)
    assert facts.lens.pixel_um == pytest.approx(35900 / 8256)
    assert [note for note in facts.notes if "from the sensor of the NIKON D850" in note]
    assert facts_of({FOCAL: 50.0}, 8256, 5504, model="Brownie").lens.pixel_um is None


def test_a_resized_photo_is_noted() -> None:
    facts = facts_of({}, 2064, 1376, model=D850)
    assert facts.lens.pixel_um == pytest.approx(4 * 35900 / 8256)
    assert any("assumed to be resized, not cropped" in note for note in facts.notes)
    cropped = facts_of({}, 2000, 2000, model=D850)
    assert cropped.lens.pixel_um is None and any("pitch is unknown" in note for note in cropped.notes)


def test_exif_with_the_pitch_of_the_original_photo_is_detected() -> None:
    # A program made the photo smaller, wrote the new pixel dimensions, and left the resolution as it was.
    lie = {EXIF_WIDTH: 2064, EXIF_HEIGHT: 1376, PLANE_X: 8256 / 3.59, PLANE_UNIT: 3}
    assert facts_of(lie, 2064, 1376).lens.pixel_um == pytest.approx(4.348, rel=1e-3)
    facts = facts_of(lie, 2064, 1376, model=D850)
    assert facts.lens.pixel_um == pytest.approx(4 * 35900 / 8256)
    assert any("EXIF pixel pitch of 4.35 um ignored" in note for note in facts.notes)


def test_exif_is_used_if_it_agrees_with_the_model() -> None:
    truth = {EXIF_WIDTH: 8256, EXIF_HEIGHT: 5504, PLANE_X: 8256 / 3.6, PLANE_UNIT: 3}
    facts = facts_of(truth, 8256, 5504, model=D850)
    assert facts.lens.pixel_um == pytest.approx(36000 / 8256) and facts.notes == ()


def test_a_crop_in_the_camera_is_found_by_the_35mm_focal_length() -> None:
    # The DX crop of the D850: 5408 x 3600 px of 4.35 um, and a 35 mm equivalent focal length of 75 mm.
    facts = facts_of({FOCAL: 50.0, FOCAL_35MM: 75, EXIF_WIDTH: 5408, EXIF_HEIGHT: 3600}, 5408, 3600, model=D850)
    assert facts.lens.pixel_um == pytest.approx(4.35, rel=0.03)


def test_assumptions_about_exif_are_noted() -> None:
    without_dimensions = facts_of({PLANE_X: 6000 / 3.6, PLANE_UNIT: 3})
    assert without_dimensions.lens.pixel_um == pytest.approx(6.0)
    assert any("EXIF lacks the pixel dimensions" in note for note in without_dimensions.notes)
    smaller = facts_of(SENSOR, 1500, 1000)
    assert any("1500 px long, EXIF says 6000 px: assumed to be resized" in note for note in smaller.notes)


ZOOM = 0xA404


@pytest.mark.parametrize("distance", [IFDRational(0xFFFFFFFF, 1), IFDRational(0xFFFFFFFF, 1000)])
def test_an_infinite_distance_of_any_denominator(distance: IFDRational) -> None:
    assert facts_of({FOCAL: 50.0, DISTANCE: distance}).lens.focus_m == math.inf


@pytest.mark.parametrize("distance", [(0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 1000), Fraction(0xFFFFFFFF, 1000)])
def test_an_infinite_distance_as_other_readers_give_it(distance: object) -> None:
    assert lens_facts_of_tags({FOCAL: 50.0, DISTANCE: distance}, 6000, 4000).lens.focus_m == math.inf


def test_digital_zoom_makes_the_pixels_smaller() -> None:
    facts = facts_of({**SENSOR, ZOOM: 2.0})
    assert facts.lens.pixel_um == pytest.approx(3.0)
    assert any("Digital zoom of 2x" in note for note in facts.notes)
    assert facts_of({**SENSOR, ZOOM: 1.0}).notes == () and facts_of({**SENSOR, ZOOM: 0.0}).notes == ()


@pytest.mark.parametrize("focal_35mm", [50, 100], ids=["not counted", "counted"])
def test_digital_zoom_and_the_35mm_focal_length(focal_35mm: int) -> None:
    # A full-frame sensor at 50 mm: 50 mm without the zoom, 100 mm with it.
    facts = facts_of({**SENSOR, FOCAL: 50.0, FOCAL_35MM: focal_35mm, ZOOM: 2.0})
    assert facts.lens.pixel_um == pytest.approx(3.0, rel=0.01)


def test_digital_zoom_of_a_known_camera() -> None:
    facts = facts_of({FOCAL: 50.0, ZOOM: 2.0}, 5616, 3744, "Canon EOS 5D Mark II")
    assert facts.lens.pixel_um == pytest.approx(36000 / 5616 / 2)


def test_digital_zoom_that_only_the_35mm_focal_length_can_count() -> None:
    facts = facts_of({FOCAL: 25.0, FOCAL_35MM: 50, ZOOM: 2.0})
    assert facts.lens.pixel_um == pytest.approx(1000 * math.hypot(36, 24) / 2 / math.hypot(6000, 4000))
    assert any("counted in the 35 mm focal length" in note for note in facts.notes)


def test_nothing_is_assumed_of_what_is_given() -> None:
    tags = {FOCAL: 25.0, FOCAL_35MM: 50, F_NUMBER: 1e9, DISTANCE: 1e9}
    facts = lens_facts_of_tags(tags, 6000, 4000, Lens(pixel_um=5.0, f_number=2.0, focus_m=3.0))
    assert facts == LensFacts(Lens(25.0, 2.0, 5.0, 3.0))


def test_what_is_missing_for_metres_is_named_if_facts_were_given() -> None:
    given = Lens(50.0, 1.8, None, 2.0)
    (note,) = missing_scale(given, given)
    assert "pixel pitch" in note and "--pixel-um" in note and "--focal-mm" not in note
    assert missing_scale(given, None) == () and missing_scale(Lens(50.0, 1.8, 6.0, 2.0), given) == ()

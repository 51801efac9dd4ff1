"""Sensors by camera model, and the pixel pitch from the size of a photo."""

from __future__ import annotations

import pytest

from mddnet.errors import MddnetError
from mddnet.photo.lens_facts import CameraLens, lens_of_tags
from mddnet.photo.sensor_table import SENSORS, pitch_of_sensor, sensor_of


def test_there_are_many_cameras_of_many_makers() -> None:
    assert len(SENSORS) >= 40
    # By the first word of a model, which makers choose in their own ways.
    for start in ("canon", "nikon", "ilce", "dsc", "x-t", "e-m", "dmc", "pentax", "leica", "iphone", "sm-", "pixel"):
        assert any(name.startswith(start) for name in SENSORS), start


@pytest.mark.parametrize("name", SENSORS)
def test_every_row_has_square_pixels_of_a_likely_pitch(name: str) -> None:
    sensor = SENSORS[name]
    across, down = sensor.pixel_um, 1000 * sensor.short_mm / sensor.short_px
    assert across == pytest.approx(down, rel=0.015)
    assert (1.0 if sensor.focal_mm else 2.4) < across < 9.0
    assert 1.3 < sensor.long_px / sensor.short_px < 1.8


def test_a_model_is_found_regardless_of_case_and_spaces() -> None:
    for model in ("Canon EOS 5D Mark II", "CANON EOS 5D MARK II\0\0", "  Canon EOS  5D Mark II "):
        sensor = sensor_of(model, None)
        assert sensor is not None and sensor.long_px == 5616 and sensor.pixel_um == pytest.approx(6.41, abs=0.01)
    assert sensor_of("Canon EOS REBEL T3i", 50.0) is not None
    for model in ("Canon", "", None, 7, b"NIKON D850"):
        assert sensor_of(model, 50.0) is None


def test_a_phone_has_the_table_of_one_of_its_cameras_only() -> None:
    main = sensor_of("iPhone 11", 4.25)
    assert main is not None and main.pixel_um == pytest.approx(1.4, abs=0.01)
    assert sensor_of("iPhone 11", 1.54) is None and sensor_of("iPhone 11", None) is None


@pytest.mark.parametrize(
    ("size", "pitch_um", "words"),
    [
        ((6000, 4000), 4.0, ""),
        ((4000, 6000), 4.0, ""),
        ((6016, 4016), 4.0, ""),  # a developer of raw files keeps the rim
        ((1500, 1000), 16.0, "assumed to be resized"),
        ((6000, 3376), 4.0, "assumed to be cropped"),  # 16:9
        ((4000, 4000), 4.0, "assumed to be cropped"),  # square
        ((3000, 3000), None, "cropped, and perhaps resized"),
        ((12000, 8000), None, "enlarged"),
        ((9000, 2500), None, "stitched"),
    ],
)
def test_pitch_by_the_number_of_pixels(size: tuple[int, int], pitch_um: float | None, words: str) -> None:
    sensor = sensor_of("X-T2", None)
    assert sensor is not None
    pitch = sensor.pitch(*size)
    if pitch_um is None:
        assert pitch.pixel_um is None
    else:
        assert pitch.pixel_um == pytest.approx(pitch_um * 23.6 / 24.0)
    assert words in pitch.note and bool(words) == bool(pitch.note)


@pytest.mark.parametrize(
    ("choice", "size", "pixel_um"),
    [
        ("36x24", (6000, 4000), 6.0),
        ("36 x 24 mm", (4000, 6000), 6.0),
        ("36x24", (6000, 3375), 6.0),  # cropped to 16:9
        ("36x24", (4000, 4000), 6.0),  # cropped to a square
        ("canon eos 600d", (5184, 3456), 22300 / 5184),
        ("Canon EOS 600D", (2592, 1728), 22300 / 2592),
    ],
)
def test_pitch_by_the_camera_or_the_size_of_its_sensor(choice: str, size: tuple[int, int], pixel_um: float) -> None:
    lens = lens_of_tags({}, *size, CameraLens(50.0, 1.8, None, 2.0, choice), [])
    assert lens.pixel_um == pytest.approx(pixel_um) and (lens.focal_mm, lens.f_number, lens.focus_m) == (50.0, 1.8, 2.0)


def test_a_camera_replaces_the_pitch_of_exif() -> None:
    tags = {0x920A: 50.0, 0xA405: 75, 0x829D: 2.0}
    notes: list[str] = []
    lens = lens_of_tags(tags, 5184, 3456, CameraLens(camera="Canon EOS 600D"), notes)
    assert lens.pixel_um == pytest.approx(22300 / 5184) and lens.focal_mm == 50.0
    assert not any("assumed" in note for note in notes)


@pytest.mark.parametrize("choice", ["Canon EOS 601D", "0x0", "36", "a plate"])
def test_an_unknown_camera_or_size(choice: str) -> None:
    with pytest.raises(MddnetError, match=choice) as caught:
        pitch_of_sensor(choice, 6000, 4000)
    assert ("Canon EOS 600D" in str(caught.value)) == (choice == "Canon EOS 601D")

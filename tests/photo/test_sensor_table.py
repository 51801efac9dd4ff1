"""Sensors by camera model, and the pixel pitch from the size of a photo."""

from __future__ import annotations

import pytest

from mddnet.photo.sensor_table import SENSORS, sensor_of


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

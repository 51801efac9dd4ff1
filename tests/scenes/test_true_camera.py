"""The camera of a scene's image."""

import math
from dataclasses import replace

import pytest

from mddnet.scenes.true_camera import true_camera
from mddnet.types import FrameRecord, Lens, SceneRecord


def record() -> SceneRecord:
    return SceneRecord(
        name="a", location="a", capture="rgbd", source="", licence="", provenance="rendered", unit="1/m",
        frames=(FrameRecord("f.png", 1.0, 5.0),), sharp="s.png", inv_depth="d.png", confidence=None,
        lens=Lens(focal_mm=18.0, pixel_um=36.0),
    )  # fmt: skip


def test_a_lens_of_half_its_sensor_width() -> None:
    """18 mm before a sensor of 36 mm (1000 px of 36 um): half the field of view is 45 degrees."""
    field, depth = true_camera(record(), 1000, 0.5)
    assert math.degrees(2 * math.atan(math.exp(field))) == pytest.approx(90)
    assert math.exp(depth) == pytest.approx(2.0)


def test_what_is_unknown_is_nan() -> None:
    assert math.isnan(true_camera(replace(record(), lens=Lens()), 1000, 0.5)[0])
    assert math.isnan(true_camera(replace(record(), provenance="real"), 1000, 0.5)[0])
    assert math.isnan(true_camera(replace(record(), unit="relative"), 1000, 0.5)[1])
    assert all(math.isnan(true_camera(record(), 1000, u)[1]) for u in (math.nan, 0.0))

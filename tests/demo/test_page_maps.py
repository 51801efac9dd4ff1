"""What the page keeps: smaller maps whose values are still those of the photo."""

from __future__ import annotations

import base64
import json
import math
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.made_law_model import LawModel, ramp

import mddnet.demo
from mddnet.demo.page_maps import POINTER_SIDE_PX, PageMaps, packed_maps, page_maps, points_of, smaller, values_at
from mddnet.predict.point_cloud import FAR_OVER_NEAR
from mddnet.types import Lens, Photo


def test_values_at_a_point_are_those_of_the_maps(maps: PageMaps) -> None:
    values = values_at(maps, 79, 10)
    assert (values.x_px, values.y_px) == (79, 10)
    assert values.inv_depth == pytest.approx(1.0) and values.signed_defocus_px == pytest.approx(-10.0)
    assert values.depth_m is None and values.confidence == pytest.approx(0.75)


def test_a_point_outside_is_moved_to_the_border(maps: PageMaps) -> None:
    assert values_at(maps, 1e9, -5) == values_at(maps, 79, 0)


def test_smaller_maps_keep_pixels_of_the_photo() -> None:
    pixels = ramp(300, 400)
    prediction = LawModel().predict(Photo(pixels))
    maps = page_maps(prediction, 100)
    assert maps.pixels.shape == (75, 100, 3) and maps.scale == 0.25
    assert (maps.width_px, maps.height_px) == (400, 300)
    assert np.isin(maps.signed_defocus_px, prediction.signed_defocus_px).all()  # picked, never averaged
    values = values_at(maps, 201, 150)
    assert values.signed_defocus_px == pytest.approx(prediction.signed_defocus_px[150, 201], abs=0.2)


def test_maps_get_smaller_a_second_time() -> None:
    maps = page_maps(LawModel().predict(Photo(ramp(300, 400))))
    small = smaller(maps, 100)
    assert small.pixels.shape == (75, 100, 3) and small.scale == 0.25 and smaller(small, 100) is small
    assert values_at(small, 201, 150).inv_depth == pytest.approx(values_at(maps, 201, 150).inv_depth, abs=0.01)
    assert small.signed_defocus_px.min() == pytest.approx(maps.signed_defocus_px.min(), abs=0.2)


def test_metres_follow_from_the_lens() -> None:
    lens = Lens(focal_mm=50, f_number=2, pixel_um=400, focus_m=1.1025)  # the plane of focus is at 1.05 m from the lens
    maps = page_maps(LawModel().predict(Photo(ramp(), lens)))
    assert maps.unit == "1/m" and maps.focus.u_focus == pytest.approx(1 / 1.05, rel=1e-3)
    middle = values_at(maps, 40, 0)
    assert middle.depth_m is not None and math.isclose(middle.depth_m, 1 / middle.inv_depth)


# --- packed for the browser


def unpacked(text: str) -> tuple[dict, np.ndarray, np.ndarray, np.ndarray]:
    """The facts, inverse depth, signed defocus and confidence, as pointer.js reads them."""
    facts = json.loads(text)
    raw = np.frombuffer(zlib.decompress(base64.b64decode(facts["data"])), np.uint8)
    count = facts["columns"] * facts["rows"]
    assert len(raw) == 5 * count

    def values(start: int, axis: tuple[float, float]) -> np.ndarray:
        codes = raw[start : start + 2 * count].view("<u2").astype(float)
        return (axis[0] + axis[1] * codes).reshape(facts["rows"], facts["columns"])

    confidence = raw[4 * count :].reshape(facts["rows"], facts["columns"]) / 255
    return facts, values(0, facts["inv_depth"]), values(2 * count, facts["signed_px"]), confidence


def test_small_maps_come_whole(maps: PageMaps) -> None:
    facts, inv_depth, signed_px, confidence = unpacked(packed_maps(maps))
    assert (facts["width"], facts["height"], facts["columns"], facts["rows"]) == (80, 60, 80, 60)
    np.testing.assert_allclose(inv_depth, maps.inv_depth, atol=1e-5)
    np.testing.assert_allclose(signed_px, maps.signed_defocus_px, atol=2e-4)
    np.testing.assert_allclose(confidence, maps.confidence, atol=0.5 / 255)


def test_values_of_a_large_photo_are_those_of_a_click_nearby() -> None:
    lens = Lens(focal_mm=50, f_number=2, pixel_um=40, focus_m=1.1025)
    maps = page_maps(LawModel().predict(Photo(ramp(1500, 2000), lens)))
    facts, inv_depth, signed_px, _ = unpacked(packed_maps(maps))
    assert facts["unit"] == "1/m" and max(facts["columns"], facts["rows"]) == POINTER_SIDE_PX
    for x, y in ((0, 0), (700, 900), (1999, 1499)):
        clicked = values_at(maps, x, y)
        row, column = int(y / 1500 * facts["rows"]), int(x / 2000 * facts["columns"])
        assert inv_depth[row, column] == pytest.approx(clicked.inv_depth, abs=0.01)
        assert signed_px[row, column] == pytest.approx(clicked.signed_defocus_px, abs=0.1)


def test_constant_maps(maps: PageMaps) -> None:
    flat = replace(maps, inv_depth=np.full((60, 80), 0.25, np.float32))
    assert unpacked(packed_maps(flat))[1] == pytest.approx(np.full((60, 80), 0.25))


# --- points in space

LENS = Lens(focal_mm=50, f_number=2, pixel_um=400, focus_m=1.1025)


def test_relative_depth_is_stretched_to_a_fixed_range(maps: PageMaps) -> None:
    cloud = points_of(maps)
    z = -cloud.positions[:, 2]
    assert not cloud.metric and len(z) == 60 * 80
    assert z.min() == pytest.approx(1.0) and z.max() == pytest.approx(FAR_OVER_NEAR)


def test_metric_points_project_back_onto_their_pixels() -> None:
    maps = page_maps(LawModel().predict(Photo(ramp(), LENS)))
    cloud = points_of(maps)
    x, y, z = cloud.positions[-1]  # the last pixel of the picture, near
    assert cloud.metric and z == pytest.approx(-1 / maps.inv_depth[-1, -1], rel=1e-5)
    # In focus at 1.05 m from the lens: v = 52.5 mm, over 0.4 mm a pixel.
    assert x / -z * 131.25 == pytest.approx(39.5, rel=1e-4) and y / -z * 131.25 == pytest.approx(-29.5, rel=1e-4)


def test_there_are_only_so_many_points() -> None:
    maps = page_maps(LawModel().predict(Photo(ramp(300, 400))))
    assert len(points_of(maps, 1000).positions) <= 1000


SCRIPT = Path(mddnet.demo.__file__).with_name("pointer.js")


def test_the_script_loads_nothing_from_other_machines() -> None:
    text = SCRIPT.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "//" not in text.replace("// ", "") and "fetch(" not in text and "innerHTML" not in text

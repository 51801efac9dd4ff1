"""The maps as the browser gets them: unpacked as its script does, they are those of the page."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
from tests.support.made_law_model import LawModel, ramp

from mddnet.demo.linked_maps import POINTER_SIDE_PX, SCRIPT, packed_maps
from mddnet.demo.look import Look, look_at, values_at
from mddnet.types import Lens, Photo


def unpacked(text: str) -> tuple[dict, np.ndarray, np.ndarray, np.ndarray]:
    """The facts, inverse depth, signed defocus and confidence, as linked_maps.js reads them."""
    facts = json.loads(text)
    raw = np.frombuffer(zlib.decompress(base64.b64decode(facts["data"])), np.uint8)
    count = facts["columns"] * facts["rows"]
    assert len(raw) == 5 * count

    def values(start: int, axis: tuple[float, float]) -> np.ndarray:
        steps = raw[start : start + count] + raw[start + count : start + 2 * count].astype(np.int64) * 256
        return (axis[0] + axis[1] * (np.cumsum(steps) % 65536)).reshape(facts["rows"], facts["columns"])

    confidence = raw[4 * count :].reshape(facts["rows"], facts["columns"]) / 255
    return facts, values(0, facts["inv_depth"]), values(2 * count, facts["signed_px"]), confidence


def test_small_maps_come_whole(look: Look) -> None:
    facts, inv_depth, signed_px, confidence = unpacked(packed_maps(look))
    assert (facts["width"], facts["height"], facts["columns"], facts["rows"]) == (80, 60, 80, 60)
    np.testing.assert_allclose(inv_depth, look.inv_depth, atol=1e-5)
    np.testing.assert_allclose(signed_px, look.signed_defocus_px, atol=2e-4)
    np.testing.assert_allclose(confidence, look.confidence, atol=0.5 / 255)


def test_values_of_a_large_photo_are_those_of_a_click_nearby() -> None:
    lens = Lens(focal_mm=50, f_number=2, pixel_um=40, focus_m=1.1025)
    look = look_at(LawModel().predict(Photo(ramp(1500, 2000), lens)))
    facts, inv_depth, signed_px, _ = unpacked(packed_maps(look))
    assert facts["unit"] == "1/m" and max(facts["columns"], facts["rows"]) == POINTER_SIDE_PX
    for x, y in ((0, 0), (700, 900), (1999, 1499)):
        clicked = values_at(look, x, y)
        row, column = int(y / 1500 * facts["rows"]), int(x / 2000 * facts["columns"])
        assert inv_depth[row, column] == pytest.approx(clicked.inv_depth, abs=0.01)
        assert signed_px[row, column] == pytest.approx(clicked.signed_defocus_px, abs=0.1)


def test_constant_maps(look: Look) -> None:
    flat = replace(look, inv_depth=np.full((60, 80), 0.25, np.float32))
    assert unpacked(packed_maps(flat))[1] == pytest.approx(np.full((60, 80), 0.25))


def test_the_script_asks_no_other_machine() -> None:
    text = SCRIPT.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "//" not in text.replace("// ", "") and "fetch(" not in text and "innerHTML" not in text

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mddnet.captures.light_field import read_light_field
from mddnet.errors import CaptureError


def write_capture(folder: Path, rows: int = 2, cols: int = 3, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for r in range(rows):
        for c in range(cols):
            Image.new("RGB", (20, 16), (10 * r, 20 * c, 0)).save(folder / f"view_{r:02d}_{c:02d}.jpg")
    about = {
        "kind": "light_field",
        "scene": "s",
        "place": "p",
        "source": "x",
        "licence": "y",
        "rows": rows,
        "cols": cols,
    }
    about |= {"views": "view_RR_CC.jpg"} | changes
    (folder / "capture.json").write_text(json.dumps({k: v for k, v in about.items() if v is not ...}))
    return folder


def test_a_capture_is_read(tmp_path: Path) -> None:
    field = read_light_field(write_capture(tmp_path / "a"))
    assert (field.scene, field.location, field.rows, field.cols) == ("s", "p", 2, 3)
    assert (field.height, field.width) == (16, 20)
    assert field.centre == (1, 1)
    view = field.read_view(1, 2)
    assert view.shape == (16, 20, 3) and view.dtype == np.uint8
    assert abs(int(view[8, 8, 0]) - 10) <= 3 and abs(int(view[8, 8, 1]) - 40) <= 3


def test_a_view_outside_the_grid_is_refused(tmp_path: Path) -> None:
    field = read_light_field(write_capture(tmp_path / "a"))
    with pytest.raises(ValueError, match="row below 2"):
        field.view_path(2, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "focal_stack"}, 'expected "light_field"'),
        ({"rows": 1}, "rows is 1; .* 2 to 100"),
        ({"cols": "3"}, "cols is '3'"),
        ({"rows": True}, "rows is True"),
        ({"rows": ...}, "rows is None"),
        ({"place": ...}, "place is None"),
        ({"scene": "../up"}, r"scene is '\.\./up'"),
        ({"views": "img.png"}, 'expected "view_RR_CC.jpg"'),
        ({"rows": 3}, "3 of 9 views .*view_02_00.jpg"),
    ],
)
def test_a_wrong_capture_is_named_with_its_fix(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_capture(tmp_path / "a")
    path = tmp_path / "a" / "capture.json"
    about = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in about.items() if v is not ...}))
    with pytest.raises(CaptureError, match=message) as caught:
        read_light_field(tmp_path / "a")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "\ufeff{}"])
def test_a_damaged_capture_json_is_refused(tmp_path: Path, text: str) -> None:
    write_capture(tmp_path / "a")
    (tmp_path / "a" / "capture.json").write_text(text)
    with pytest.raises(CaptureError, match=r"capture\.json"):
        read_light_field(tmp_path / "a")


def test_views_of_two_sizes_are_refused(tmp_path: Path) -> None:
    write_capture(tmp_path / "a")
    Image.new("RGB", (21, 16)).save(tmp_path / "a" / "view_01_01.jpg")
    with pytest.raises(CaptureError, match="several sizes: 20x16"):
        read_light_field(tmp_path / "a")


def test_a_damaged_view_is_named(tmp_path: Path) -> None:
    field = read_light_field(write_capture(tmp_path / "a"))
    field.view_path(0, 1).write_bytes(field.view_path(0, 1).read_bytes()[:200])
    with pytest.raises(CaptureError, match=r"view_00_01\.jpg"):
        field.read_view(0, 1)
    field.view_path(0, 1).write_bytes(b"no image")
    with pytest.raises(CaptureError, match=r"view_00_01\.jpg"):
        read_light_field(tmp_path / "a")


def test_the_real_captures_read(shared_data: Path) -> None:
    folders = sorted((shared_data / "captures/light_fields").iterdir())
    assert len(folders) == 3
    assert {read_light_field(f).rows for f in folders} == {9, 16}

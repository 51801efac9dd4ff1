"""What JSON can hold that no capture does: each is refused with the file, the value and what was expected."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.captures.test_rig import calibration, fringes, write_rig
from tests.support.made_focal_stack import write_made_stack
from tests.support.made_png_bomb import png_bomb

from mddnet.captures.all_in_3d import list_all_in_3d
from mddnet.captures.focal_stack import read_focal_stack
from mddnet.captures.light_field import read_light_field
from mddnet.captures.rgbd import read_codes, read_rgb_file
from mddnet.captures.rig import read_rig
from mddnet.errors import CaptureError, ImageError, ModelError
from mddnet.io.json_fields import (
    display,
    first_repeated,
    is_number,
    is_plain_name,
    named_file,
    read_json_object,
)
from mddnet.model.folder import read_config
from mddnet.scenes.store import read_image, read_inv_depth, read_scene

DEEP = "[" * 100_000 + "]" * 100_000
GREY = np.full((40, 48, 3), 90, np.uint8)
HUGE = 10**400
"""A whole number that JSON may hold and no float can."""


@pytest.mark.parametrize(
    "text", [DEEP, '{"a":' * 30_000 + "1" + "}" * 30_000, "9" * 6000, "", "{", '"\udcff"', "[1]", "7"]
)
def test_every_reader_reports_invalid_json(tmp_path: Path, text: str) -> None:
    for name in ("capture.json", "scene.json", "config.json", "all_in_3d.json"):
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    for read in (read_focal_stack, read_light_field, read_rig):
        with pytest.raises(CaptureError, match=r"capture\.json"):
            read(tmp_path)
    with pytest.raises(CaptureError, match=r"scene\.json"):
        read_scene(tmp_path)
    with pytest.raises(ModelError, match=r"config\.json"):
        read_config(tmp_path)
    with pytest.raises(CaptureError, match=r"all_in_3d\.json"):
        list_all_in_3d(tmp_path)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as stream:
        stream.truncate(10 * 2**30)
    with pytest.raises(CaptureError, match=r"a\.json: .*10737418240 .*67108864\).*expected x"):
        read_json_object(tmp_path / "a.json", "expected x")
    with pytest.raises(ModelError, match=r"list; .*JSON object"):
        (tmp_path / "b.json").write_text("[]")
        read_json_object(tmp_path / "b.json", error=ModelError)


def test_numbers() -> None:
    assert all(map(is_number, (0, -1, 2.5, 1e308, 10**308)))
    assert not any(map(is_number, (True, None, "1", float("nan"), float("inf"), HUGE, -HUGE, [], {})))


def test_plain_names() -> None:
    assert all(map(is_plain_name, ("a", "a.png", "Bild 1.jpg", "caf\u00e9.tif", ".hidden", "x" * 255)))
    bad = (
        "",
        ".",
        "..",
        "a/b",
        "/etc/passwd",
        "//x",
        "a\\b",
        "a\0",
        "\ud800",
        "x" * 256,
        "\u00e9" * 128,
        None,
        3,
        ["a"],
    )
    assert not any(map(is_plain_name, bad))


def test_long_values_are_shortened_and_names_compared_quickly() -> None:
    assert display("short") == "'short'" and len(display("x" * 100_000)) < 200 and display(["x" * 400]).endswith("x']")
    started = time.monotonic()
    names = [str(number) for number in range(100_000)]
    assert first_repeated(names) is None and first_repeated([*names, "77", "5"]) == "5"
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize(
    "name", ["//etc/passwd", "/etc/passwd", "../x", "a/../x", "a/b/c", "stack//etc/passwd", "x" * 300, "\ud800"]
)
def test_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(CaptureError, match=r"capture\.json: frames is .*plain name"):
        named_file(tmp_path / "capture.json", name, "frames", folders=1)
    with pytest.raises(CaptureError, match=r"capture\.json"):
        read_rig(write_rig(tmp_path / "rig", frames=[name] * 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"focal_mm": HUGE}, "focal_mm is 1000"),
        ({"focal_mm": 1e200}, "expected millimetres"),
        ({"sensor": [28.0, 28.3, HUGE, 28.9, 29.2]}, "found 1000"),
        ({"frames": [["stack/0.png"]] * 5}, "frames is"),
        ({"offset_mm": HUGE}, "offset_mm is 1000"),
        ({"calibration": calibration("projector", width=HUGE)}, "projector.width is 1000"),
        (
            {"calibration": calibration("projector", width=10**10), "fringes": fringes(periods=[1, 1e9])},
            "periods up to 16384",
        ),
        ({"calibration": calibration(rotation=[[1e200, 0, 0], [0, 1e200, 0], [0, 0, 1e200]])}, "a rotation R"),
        ({"calibration": calibration(translation=[1e308, 1e308, 1e308])}, "numbers in millimetres"),
        ({"fringes": fringes(periods=[1 + k / 8000 for k in range(8000)])}, "32 periods, not 8000"),
    ],
)
def test_numbers_beyond_any_rig(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CaptureError) as caught:
        read_rig(write_rig(tmp_path / "a", **changes))
    assert message in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"focus": {"unit": "1/m", "values": [1, 2, HUGE]}}, "found 1000"),
        ({"focus": {"unit": "1/m", "values": [1, 2, -3]}}, "0 or more"),
        ({"lens": {"focal_mm": HUGE}}, "lens.focal_mm is 1000"),
        ({"lens": {"f_number": "2"}}, "lens.f_number is '2'"),
        ({"lens": {"pixel_um": True}}, "lens.pixel_um is True"),
        ({"index_map": {"file": "frame_00.png", "first_frame": HUGE}}, "index_map.first_frame is 1000"),
        ({"frames": ["a"] * 20_000}, "has 'a' twice"),
        ({"frames": ["x" * 400, "y", "z"]}, "expected the plain name"),
        ({"place": "\ud800"}, "whole Unicode characters"),
    ],
)
def test_values_beyond_any_focal_stack(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    folder = write_made_stack(tmp_path / "a", [GREY] * 3)
    path = folder / "capture.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(CaptureError) as caught:
        read_focal_stack(folder)
    assert message in str(caught.value) and "capture.json" in str(caught.value)


# --- images -----------------------------------------------------------------------------------------------------------


def eps(path: Path) -> Path:
    Image.fromarray(GREY).save(path, "EPS")
    return path


def test_a_vector_graphic_is_refused_for_any_suffix(tmp_path: Path) -> None:
    # Pillow would start Ghostscript to draw it.
    drawing = eps(tmp_path / "a.png")
    for read in (read_image, read_inv_depth):
        with pytest.raises(CaptureError, match="EPS"):
            read(drawing)
    with pytest.raises(ImageError, match="EPS"):
        read_rgb_file(drawing)
    with pytest.raises(CaptureError, match="EPS"):
        read_codes(drawing, "uint8")
    folder = write_made_stack(tmp_path / "stack", [GREY] * 3)
    eps(folder / "frame_01.png")
    with pytest.raises(CaptureError, match=r"frame_01\.png: EPS"):
        read_focal_stack(folder)


def test_every_reader_of_images_refuses_decompression_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = png_bomb(tmp_path / "bomb.png")
    for read in (read_image, read_inv_depth, lambda path: read_codes(path, "uint16")):
        with pytest.raises(CaptureError, match=r"bomb\.png: 30000 x 30000 px .* 200 megapixels"):
            read(bomb)
    with pytest.raises(ImageError, match="MDDNET_MAX_MEGAPIXELS"):
        read_rgb_file(bomb)
    folder = write_made_stack(tmp_path / "stack", [GREY] * 3)
    png_bomb(folder / "frame_02.png")
    with pytest.raises(CaptureError, match=r"frame_02\.png: 30000 x 30000 px"):
        read_focal_stack(folder)
    monkeypatch.setenv("MDDNET_MAX_MEGAPIXELS", "0.001")
    with pytest.raises(CaptureError, match=r"48 x 40 px .* 0\.001 megapixels"):
        read_focal_stack(folder)
    monkeypatch.setenv("MDDNET_MAX_MEGAPIXELS", "many")
    with pytest.raises(ImageError, match="MDDNET_MAX_MEGAPIXELS is 'many'"):
        read_image(folder / "frame_00.png")

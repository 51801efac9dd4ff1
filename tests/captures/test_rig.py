from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mddnet.captures.rig import read_light, read_rig, rig_files
from mddnet.captures.structured_light import order_distance_rad
from mddnet.color import srgb8_from_linear
from mddnet.errors import CaptureError

CALIBRATION: dict[str, Any] = {
    "camera": {"fx": 1000, "fy": 1000, "cx": 3.5, "cy": 2.5},
    "projector": {"width": 64, "height": 48, "fx": 90, "fy": 90, "cx": 31.5, "cy": 23.5, "distortion": [0.1]},
    "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "translation": [-200, 0, 0],
}


def write_rig(folder: Path, **changes: Any) -> Path:
    """A capture of plain grey images: enough to be read."""
    for part in ("stack", "fringes"):
        (folder / part).mkdir(parents=True)
    frames = [f"stack/{i}.png" for i in range(5)]
    fringes = [[f"fringes/{k}_{i}.png" for i in range(3)] for k in range(2)]
    for name in (*frames, *(n for row in fringes for n in row)):
        Image.fromarray(np.full((6, 8), 90, np.uint8)).save(folder / name)
    data: dict[str, Any] = {
        "kind": "rig",
        "scene": "fruit",
        "place": "lab",
        "source": "made",
        "licence": "none",
        "unit": "mm",
        "response": "linear",
        "focal_mm": 50,
        "frames": frames,
        "sensor": [28.0, 28.3, 28.6, 28.9, 29.2],
        "fringes": {"axis": "x", "sensor": 28.6, "periods": [1, 8], "frames": fringes},
        "calibration": CALIBRATION,
        **changes,
    }
    (folder / "capture.json").write_text(json.dumps(data))
    return folder


def fringes(**changes: Any) -> dict[str, Any]:
    names = [[f"fringes/{k}_{i}.png" for i in range(3)] for k in range(2)]
    return {"axis": "x", "sensor": 28.6, "periods": [1, 8], "frames": names, **changes}


def calibration(part: str | None = None, **changes: Any) -> dict[str, Any]:
    return {**CALIBRATION, **(changes if part is None else {part: {**CALIBRATION[part], **changes}})}


def test_the_description_is_read(tmp_path: Path) -> None:
    rig = read_rig(write_rig(tmp_path / "a", f_number=2.8, aligned=True))
    assert (rig.scene, rig.location, rig.width, rig.height, rig.aligned) == ("fruit", "lab", 8, 6, True)
    assert (rig.focal_mm, rig.f_number, rig.pixel_um, rig.aperture_px, rig.offset_mm) == (50, 2.8, None, None, None)
    assert rig.sensor_mm == (28.0, 28.3, 28.6, 28.9, 29.2)
    assert (rig.fringes.periods, len(rig.fringes.files[1]), rig.fringes.sensor_mm) == ((1, 8), 3, 28.6)
    assert rig.geometry.baseline_mm == 200 and rig.geometry.lines("y") == 48
    assert rig.geometry.projector.distortion == (0.1, 0, 0, 0, 0)
    assert rig.read_fringe(1, 2).tolist() == np.full((6, 8), np.float32(90 / 255)).tolist()


def test_the_calibration_may_be_in_the_parent_folder(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text(json.dumps(CALIBRATION))
    folder = write_rig(tmp_path / "a", calibration="calibration.json")
    assert read_rig(folder).geometry.baseline_mm == 200
    assert tmp_path / "calibration.json" in rig_files(folder)
    assert len(rig_files(folder)) == 1 + 1 + 5 + 6


def test_16_bits_of_a_fringe_image_are_kept(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 30001, np.uint16)).save(tmp_path / "deep.png")
    assert read_light(tmp_path / "deep.png", "linear")[0, 0] == pytest.approx(30001 / 65535, abs=1e-6)
    Image.fromarray(np.full((40, 40, 3), (10, 188, 20), np.uint8)).save(tmp_path / "colour.png")
    assert read_light(tmp_path / "colour.png", "srgb")[0, 0] == pytest.approx(0.5029, abs=1e-3)


def test_images_of_a_rig_are_turned_alike_and_have_one_full_scale(tmp_path: Path) -> None:
    folder = write_rig(tmp_path / "a")
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, path in enumerate(sorted(folder.rglob("*.png"))):  # 12 bits at most, 8 bits by the darkest
        codes = np.full((6, 8), 4095 if number == 0 else 200, np.uint16)
        codes[0] = 0
        Image.fromarray(codes).save(path, exif=exif)
    rig = read_rig(folder)
    assert (rig.width, rig.height) == (6, 8)
    fringe, frame = rig.read_fringe(1, 2), rig.read_frame(4)
    assert fringe.shape == (8, 6) and frame.shape == (8, 6, 3)
    assert (fringe[:, -1] == 0).all() and (frame[:, -1] == 0).all()
    assert fringe[0, 0] == pytest.approx(200 / 4095) and rig.read_fringe(0, 0).max() == pytest.approx(1.0)
    assert frame[0, 0, 0] == srgb8_from_linear(np.array(200 / 4095, np.float32))


def test_the_distance_of_fringe_orders_is_that_of_the_nearest_two() -> None:
    # one period and eight: the orders of the eight differ by 2 pi / 8 in the one
    assert order_distance_rad((1, 8)) == pytest.approx(2 * np.pi / 8)
    assert order_distance_rad((2, 8)) == pytest.approx(0)
    assert order_distance_rad((1,)) == np.inf


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "focal_stack"}, 'expected "rig"'),
        ({"unit": "m"}, "unit is 'm'; expected \"mm\""),
        ({"unit": None}, 'unit is None; expected "mm"'),
        ({"response": "log"}, "expected one of linear, srgb"),
        ({"focal_mm": 0}, "focal_mm is 0"),
        ({"focal_mm": float("nan")}, "focal_mm is nan"),
        ({"frames": ["stack/0.png"], "sensor": [28.0]}, "1 frame"),
        ({"frames": [f"stack/{i}.png" for i in range(6)], "sensor": [1, 2, 3, 4, 5, 6]}, "stack/5.png"),
        ({"frames": ["stack/0.png"] * 5}, "twice"),
        ({"frames": ["../../etc/passwd"] * 1}, "at most one folder down"),
        ({"frames": ["/etc/passwd"] * 1}, "at most one folder down"),
        ({"sensor": [28.0, 28.3, 28.9, 28.6, 29.2]}, "28.6 follows 28.9 at 3.png"),
        ({"sensor": [28.0, 28.3]}, "expected a list of 5 numbers"),
        ({"sensor": [0.0280, 0.0283, 0.0286, 0.0289, 0.0292]}, "expected millimetres"),
        ({"sensor": [28000, 28300, 28600, 28900, 29200]}, "expected millimetres"),
        ({"sensor": [28.0, 28.3, None, 28.9, 29.2]}, "found None"),
        ({"aligned": "no"}, "expected true or false"),
        ({"scene": "../x"}, "plain name"),
        ({"offset_mm": "24"}, "offset_mm is '24'"),
        ({"fringes": None}, "expected an object with axis"),
        ({"fringes": fringes(axis="horizontal")}, "expected one of x, y"),
        ({"fringes": fringes(periods=[8, 1])}, "periods of rising numbers"),
        ({"fringes": fringes(periods=[2, 8])}, "separate all fringe orders"),
        (
            {"calibration": calibration("projector", width=40), "fringes": fringes(periods=[1, 12])},
            "at least 4 pixels per period",
        ),
        ({"fringes": fringes(frames=[["fringes/0_0.png"]])}, "2 lists, one per frequency, not 1"),
        (
            {"fringes": fringes(frames=[["fringes/0_0.png", "fringes/0_1.png"], ["fringes/1_0.png"]])},
            "at least 3 steps",
        ),
        ({"fringes": fringes(sensor=None)}, "sensor position of the fringe images"),
        ({"calibration": None}, "expected an object with camera, projector, rotation, translation"),
        ({"calibration": "no.json"}, "is neither in"),
        ({"calibration": "../c.json"}, "plain file name"),
        ({"calibration": calibration(translation=[-0.2, 0, 0])}, "numbers in millimetres"),
        ({"calibration": calibration(translation=[-0.2, float("nan"), 0])}, "found nan"),
        ({"calibration": calibration(rotation=[[1, 0, 0], [0, 1, 0], [0, 0, 2]])}, "a rotation R"),
        ({"calibration": calibration("camera", fx=-3)}, "calibration.camera.fx is -3"),
        ({"calibration": calibration("projector", width=0)}, "projector.width is 0"),
        ({"calibration": calibration("camera", distortion=[0] * 8)}, "at most 5"),
    ],
)
def test_invalid_descriptions_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CaptureError) as caught:
        read_rig(write_rig(tmp_path / "a", **changes))
    assert message in str(caught.value)
    assert "capture.json" in str(caught.value)


def test_images_of_another_size_are_named(tmp_path: Path) -> None:
    folder = write_rig(tmp_path / "a")
    Image.fromarray(np.full((6, 9), 90, np.uint8)).save(folder / "fringes/1_2.png")
    with pytest.raises(CaptureError, match=r"1_2\.png: 9 x 6 .*8 x 6"):
        read_rig(folder)


def test_images_that_are_missing_or_damaged_are_named(tmp_path: Path) -> None:
    folder = write_rig(tmp_path / "a")
    (folder / "stack/3.png").unlink()
    with pytest.raises(CaptureError, match=r"stack/3.png' does not exist"):
        read_rig(folder)
    shutil.copy(folder / "stack/2.png", folder / "stack/3.png")
    (folder / "fringes/0_1.png").write_bytes(b"no image")
    with pytest.raises(CaptureError, match=r"0_1\.png: not .*readable"):
        read_rig(folder)

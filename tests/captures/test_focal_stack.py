from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.photo.test_damaged_jpeg import jpeg, scene
from tests.photo.test_odd_files import dng_with_thumbnail
from tests.photo.test_photo import linear_profile

from mddnet.captures.focal_stack import read_focal_stack
from mddnet.color import srgb8_from_linear
from mddnet.errors import CaptureError


def write_stack(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"frame_{i:02d}.png" for i in range(4)]
    for i, name in enumerate(names):
        Image.fromarray(np.full((6, 8, 3), 10 * i, dtype=np.uint8)).save(folder / name)
    data: dict[str, Any] = {
        "kind": "focal_stack",
        "scene": "desk",
        "place": "room",
        "source": "made",
        "licence": "none",
        "frames": names,
        "focus": {"unit": "1/m", "values": [0.5, 1.0, 1.5, 2.0]},
        "lens": {"focal_mm": 50, "f_number": 2.8, "pixel_um": None},
        "aligned": True,
    }
    data.update(changes)
    (folder / "capture.json").write_text(json.dumps({k: v for k, v in data.items() if v is not ...}))
    return folder


def test_the_description_is_read(tmp_path: Path) -> None:
    stack = read_focal_stack(write_stack(tmp_path))
    assert (stack.scene, stack.location, stack.height, stack.width) == ("desk", "room", 6, 8)
    assert stack.focus_values == (0.5, 1.0, 1.5, 2.0)
    assert stack.lens.focal_mm == 50 and stack.lens.pixel_um is None
    assert stack.read_frame(2).tolist() == np.full((6, 8, 3), 20).tolist()
    assert stack.read_index_map() is None


def test_convention_rising_dioptres_run_far_to_near(tmp_path: Path) -> None:
    assert read_focal_stack(write_stack(tmp_path / "a")).focus.direction == "far_to_near"
    falling = {"unit": "1/m", "values": [3.0, 2.0, 1.0, 0.0]}
    assert read_focal_stack(write_stack(tmp_path / "b", focus=falling)).focus.direction == "near_to_far"


def test_index_map_becomes_0_based(tmp_path: Path) -> None:
    folder = write_stack(tmp_path, index_map={"file": "index.png", "first_frame": 1})
    Image.fromarray(np.full((6, 8), 3, dtype=np.uint8)).save(folder / "index.png")
    (folder / "capture.json").write_text((folder / "capture.json").read_text())
    stack = read_focal_stack(folder)
    index = stack.read_index_map()
    assert index is not None and (index == 2.0).all()


def test_rotated_frames_are_read_upright(tmp_path: Path) -> None:
    folder = write_stack(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in range(4):
        Image.new("RGB", (8, 6)).save(folder / f"frame_{i:02d}.png", exif=exif)
    stack = read_focal_stack(folder)
    assert (stack.height, stack.width) == (8, 6)
    assert stack.read_frame(0).shape == (8, 6, 3)


def frame_of_another_size(folder: Path) -> None:
    Image.new("RGB", (9, 6)).save(folder / "frame_03.png")


def frame_that_is_no_image(folder: Path) -> None:
    (folder / "frame_01.png").write_bytes(b"not an image")


def frame_that_is_missing(folder: Path) -> None:
    (folder / "frame_01.png").unlink()


def description_that_is_no_json(folder: Path) -> None:
    (folder / "capture.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (frame_of_another_size, ["frame_03.png", "9 x 6", "8 x 6"]),
        (frame_that_is_no_image, ["frame_01.png", "not a readable image"]),
        (frame_that_is_missing, ["frame_01.png", "does not exist"]),
        (description_that_is_no_json, ["capture.json", "not readable"]),
    ],
)
def test_damaged_folders_are_refused_by_name(tmp_path: Path, damage: Callable[[Path], None], words: list[str]) -> None:
    folder = write_stack(tmp_path)
    damage(folder)
    with pytest.raises(CaptureError) as caught:
        read_focal_stack(folder)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "light_field"}, 'expected "focal_stack"'),
        ({"scene": "../desk"}, "expected a plain name"),
        ({"scene": ".desk"}, "expected a plain name"),
        ({"place": ...}, "place is None"),
        ({"frames": ["frame_00.png", "frame_01.png"]}, "expected at least 3"),
        ({"frames": ["frame_00.png", "frame_01.png", "frame_01.png", "frame_02.png"]}, "twice"),
        ({"frames": ["../frame_00.png", "frame_01.png", "frame_02.png"]}, "plain name of a file"),
        ({"frames": ["/etc/passwd", "frame_01.png", "frame_02.png"]}, "plain name of a file"),
        ({"focus": {"unit": "1/m", "values": [1.0, 2.0]}}, "has 2 value(s); expected 4"),
        ({"focus": {"unit": "1/m", "values": [1.0, 2.0, 1.5, 3.0]}}, "rise or fall throughout"),
        ({"focus": {"unit": "1/m", "values": [1.0, 2.0, "x", 3.0]}}, "'x'"),
        ({"focus": {"unit": "1/m", "values": [0.1, 0.2, 0.3, 0.4], "order": "near_to_far"}}, "far_to_near"),
        ({"focus": {"unit": "metres"}}, "'metres'"),
        ({"focus": {"unit": "relative", "order": "up"}}, "'up'"),
        ({"focus": None}, "focus is None"),
        ({"lens": {"focal_mm": -50}}, "focal_mm"),
        ({"lens": [50]}, "expected an object"),
        ({"aligned": "yes"}, "expected true or false"),
        ({"index_map": {"file": "../index.png", "first_frame": 1}}, "plain name of a file"),
        ({"index_map": "index.png"}, "expected an object with file, first_frame"),
    ],
)
def test_wrong_descriptions_are_refused_with_the_value(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    folder = write_stack(tmp_path, **changes)
    with pytest.raises(CaptureError, match=r"capture\.json") as caught:
        read_focal_stack(folder)
    assert words in str(caught.value)


def test_an_index_map_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = write_stack(tmp_path, index_map={"file": "index.png", "first_frame": 1})
    Image.new("L", (4, 4)).save(folder / "index.png")
    with pytest.raises(CaptureError, match=r"index\.png.*\(4, 4\)"):
        read_focal_stack(folder).read_index_map()


def test_every_real_stack_is_read(shared_data: Path) -> None:
    stacks = [read_focal_stack(p) for p in sorted((shared_data / "captures" / "focal_stacks").iterdir())]
    assert len(stacks) == 28
    assert sum(len(s.frame_files) for s in stacks) == 706
    assert {s.scene for s in stacks if s.focus_values} == {"phone_scene1", "phone_scene2"}


def test_frames_are_read_as_photos_are(tmp_path: Path) -> None:
    """The kinds of frames that were read as white, or in wrong colours."""
    names = ["deep.png", "linear.png", "clear.png"]
    folder = write_stack(tmp_path, frames=names, focus={"unit": "relative", "order": "near_to_far"})
    Image.fromarray(np.full((96, 128), 128 * 257, np.uint16)).save(folder / "deep.png")
    Image.new("RGB", (128, 96), (128,) * 3).save(folder / "linear.png", icc_profile=linear_profile(b"RGB "))
    Image.new("RGBA", (128, 96), (0, 0, 0, 0)).save(folder / "clear.png")
    stack = read_focal_stack(folder)
    assert (stack.height, stack.width) == (96, 128)
    deep, linear, clear = (stack.read_frame(index) for index in range(3))
    assert (deep == 128).all() and (clear == 128).all()
    assert np.abs(linear.astype(int) - 188).max() <= 1


def test_raw_frames_have_one_exposure(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    names = [f"{i}.dng" for i in range(4)]
    folder = write_stack(tmp_path, frames=names)
    for name, light in zip(names, (4000, 8000, 20000, 16000), strict=True):
        dng_with_thumbnail(folder / name, light=light)
    stack = read_focal_stack(folder)
    assert (stack.height, stack.width) == (96, 128)
    whites = [np.median(stack.read_frame(index)[:, :50]) for index in range(4)]
    shares = np.array([0.2, 0.4, 1.0, 0.8], np.float32)
    np.testing.assert_allclose(whites, srgb8_from_linear(shares), atol=2)
    assert stack.remarks() == (
        "0.dng and 3 more: Developed from raw with the camera's white balance and one exposure for all frames.",
    )


@pytest.mark.parametrize("kind", ["uint16 .png", "int32 .tif", "planar .tif"])
def test_deep_frames_have_one_exposure(tmp_path: Path, kind: str) -> None:
    """Each alone would be read as 8, 10, 12 and 14 bits."""
    names = [f"{i}{kind.split()[1]}" for i in range(4)]
    folder = write_stack(tmp_path, frames=names)
    levels = (200, 1000, 4000, 16383)
    for name, level in zip(names, levels, strict=True):
        if kind.startswith("planar"):
            tifffile.imwrite(folder / name, np.full((3, 48, 64), level, np.uint16), photometric="rgb", planarconfig=2)
        else:
            Image.fromarray(np.full((48, 64), level, kind.split()[0])).save(folder / name)
    stack = read_focal_stack(folder)
    seen = [int(stack.read_frame(index)[0, 0, 0]) for index in range(4)]
    np.testing.assert_allclose(seen, np.array(levels) * 255 / 16383, atol=1)
    assert any(remark.startswith("0") and "One exposure" in remark for remark in stack.remarks())


def test_light_frames_have_one_exposure(tmp_path: Path) -> None:
    openexr = pytest.importorskip("OpenEXR")
    names = [f"{i}.exr" for i in range(4)]
    folder = write_stack(tmp_path, frames=names)
    for name, light in zip(names, (0.5, 1.0, 2.0, 4.0), strict=True):
        pixels = np.full((48, 64, 3), light, np.float32)
        header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
        with openexr.File(header, {"RGB": pixels}) as file:
            file.write(str(folder / name))
    stack = read_focal_stack(folder)
    seen = [int(stack.read_frame(index)[0, 0, 0]) for index in range(4)]
    np.testing.assert_allclose(seen, srgb8_from_linear(np.array([0.125, 0.25, 0.5, 1.0], np.float32)), atol=1)


def test_an_index_map_is_turned_with_its_frames(tmp_path: Path) -> None:
    folder = write_stack(tmp_path, index_map={"file": "index.png", "first_frame": 0})
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in range(4):
        Image.new("RGB", (8, 6)).save(folder / f"frame_{i:02d}.png", exif=exif)
    stored = np.zeros((6, 8), np.uint8)
    stored[0] = 3  # the right side of the upright picture
    Image.fromarray(stored).save(folder / "index.png")
    index = read_focal_stack(folder).read_index_map()
    assert index is not None and index.shape == (8, 6)
    assert (index[:, -1] == 3).all() and (index[:, :-1] == 0).all()


def test_heic_frames(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    names = [f"{i}.heic" for i in range(4)]
    folder = write_stack(tmp_path, frames=names)
    for i, name in enumerate(names):
        pillow_heif.from_pillow(Image.new("RGB", (64, 64), (50 * i,) * 3)).save(folder / name, quality=-1)
    stack = read_focal_stack(folder)
    assert np.abs(stack.read_frame(3).astype(int) - 150).max() <= 2


def test_half_a_jpeg_is_no_frame(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(4)]
    folder = write_stack(tmp_path, frames=names)
    for name in names:
        (folder / name).write_bytes(jpeg(scene()))
    data = bytearray(jpeg(scene()))
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    (folder / "2.jpg").write_bytes(data)
    stack = read_focal_stack(folder)
    with pytest.raises(CaptureError, match=r"2\.jpg: damaged .*restore"):
        stack.read_frame(2)

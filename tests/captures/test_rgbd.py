"""RGB-D captures by manifest."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.photo.test_photo import STORED

from mddnet.captures.rgbd import list_pseudo, list_rgbd
from mddnet.data.split import read_split
from mddnet.errors import CaptureError, ImageError

HEADER = "source,scene,rgb,depth,depth_unit,licence,note\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two frames of two sources: millimetres with a hole, and 8-bit order."""
    for source in ("lab", "field"):
        (tmp_path / source).mkdir()
        Image.fromarray(np.full((2, 3, 3), 128, dtype=np.uint8)).save(tmp_path / source / "1.jpg")
    Image.fromarray(np.array([[0, 500, 1000], [2000, 4000, 65535]], dtype=np.uint16)).save(tmp_path / "lab/1.png")
    Image.fromarray(np.array([[0, 51, 255], [1, 2, 3]], dtype=np.uint8)).save(tmp_path / "field/1.png")
    (tmp_path / "manifest.csv").write_text(
        HEADER
        + "lab,room,lab/1.jpg,lab/1.png,mm,CC0,\n"
        + "field,crops,field/1.jpg,field/1.png,8bit-relative,none stated,noisy\n"
    )
    return tmp_path


def test_frames_are_listed_with_location_unit_and_licence(root: Path) -> None:
    lab, field = list_rgbd(root)
    assert (lab.name, lab.location, lab.unit, lab.licence) == ("lab_1", "rgbd/lab", "1/m", "CC0")
    assert (field.name, field.location, field.unit, field.note) == ("field_1", "rgbd/field", "ordinal", "noisy")
    assert lab.read_rgb().shape == (2, 3, 3)


def test_millimetres_become_inverse_metres_and_the_ends_of_the_range_are_unknown(root: Path) -> None:
    notes: list[str] = []
    u = list_rgbd(root)[0].read_inv_depth(notes)
    assert len(notes) == 1 and "16.7% of the depth is 65535" in notes[0]
    assert u.dtype == np.float32
    np.testing.assert_allclose(u, [[np.nan, 2.0, 1.0], [0.5, 0.25, np.nan]], rtol=1e-6)


def test_convention_brighter_ordinal_depth_is_nearer(root: Path) -> None:
    u = list_rgbd(root)[1].read_inv_depth()
    np.testing.assert_allclose(u[0], [np.nan, 0.2, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lab,room,lab/1.jpg,lab/1.png,feet,CC0,", "line 2: depth_unit 'feet'"),
        ("lab,room,lab/9.jpg,lab/1.png,mm,CC0,", "does not exist"),
        ("lab,room,../secret.jpg,lab/1.png,mm,CC0,", r"line 2: .*'\.\./secret\.jpg'; .*path below"),
        ("lab,room,/etc/hosts,lab/1.png,mm,CC0,", "line 2: .*'/etc/hosts'; .*path below"),
        ("lab,room,lab/1.jpg,lab/1.png,mm,CC0,\nlab,room,lab/1.jpg,lab/1.png,mm,CC0,", "occurs twice"),
    ],
)
def test_wrong_rows_are_named(root: Path, line: str, message: str) -> None:
    (root / "manifest.csv").write_text(HEADER + line + "\n")
    with pytest.raises(CaptureError, match=message):
        list_rgbd(root)


def test_missing_or_incomplete_manifest_is_named(root: Path) -> None:
    (root / "manifest.csv").write_text("source,rgb\nlab,lab/1.jpg\n")
    with pytest.raises(CaptureError, match=r"manifest\.csv: no column depth, depth_unit, licence, note"):
        list_rgbd(root)
    (root / "manifest.csv").unlink()
    with pytest.raises(CaptureError, match=r"manifest\.csv: not .*readable"):
        list_rgbd(root)


def test_damaged_files_are_named(root: Path) -> None:
    lab, field = list_rgbd(root)
    lab.image.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"1\.jpg: not an image.*restore"):
        lab.read_rgb()
    lab.depth.write_bytes(lab.depth.read_bytes()[:40])
    with pytest.raises(CaptureError, match=r"1\.png: not .*depth image"):
        lab.read_inv_depth()
    Image.fromarray(np.zeros((2, 3), dtype=np.uint16)).save(field.depth)
    with pytest.raises(CaptureError, match=r"expected .*uint8"):
        field.read_inv_depth()


def test_real_captures(shared_data: Path) -> None:
    root = shared_data / "depth/rgbd"
    with (root / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    frames = list_rgbd(root)
    assert [frame.image for frame in frames] == [root / row["rgb"] for row in rows]
    locations = read_split(shared_data / "split.csv")
    first_of_source = {row["source"]: (row, frame) for row, frame in reversed(list(zip(rows, frames, strict=True)))}
    for row, frame in zip(rows, frames, strict=True):
        assert frame.location == f"rgbd/{row['source']}" and frame.location in locations
        assert frame.unit == {"mm": "1/m", "8bit-relative": "ordinal"}[row["depth_unit"]]
    # those who gathered the frames measured each depth map, in mm: share of known pixels, percentiles
    for row, frame in first_of_source.values():
        u = frame.read_inv_depth()
        assert u.shape == frame.read_rgb().shape[:2] == (int(row["height"]), int(row["width"]))
        known = u[np.isfinite(u)]
        assert known.size / u.size == pytest.approx(float(row["valid_fraction"]), abs=2e-3)
        if frame.unit == "1/m":
            expected = [float(row[name]) for name in ("p1", "p50", "p99")]
            np.testing.assert_allclose(np.percentile(1000.0 / known, (1, 50, 99)), expected, rtol=2e-3)
        else:
            assert known.min() > 0 and known.max() <= 1


def test_pseudo_labels_are_listed_with_the_location_of_the_manifest(root: Path) -> None:
    codes = np.array([[0, 1, 32768], [65535, 2, 3]], dtype=np.uint16)
    Image.fromarray(codes).save(root / "lab/guess.png")
    line = "lab,lab/1.jpg,lab/guess.png,16bit-relative,CC0,by hand,room 7"
    (root / "manifest.csv").write_text("source,rgb,depth,depth_unit,licence,note,place\n" + line + "\n")
    (frame,) = list_pseudo(root)
    assert (frame.unit, frame.location, frame.note) == ("relative", "room 7", "by hand")
    np.testing.assert_allclose(frame.read_inv_depth()[:, ::2], [[np.nan, 32768 / 65535], [1.0, 3 / 65535]], rtol=1e-6)
    Image.fromarray(codes.astype(np.uint8)).save(root / "lab/guess.png")
    with pytest.raises(CaptureError, match=r"expected .*uint16"):
        frame.read_inv_depth()
    (root / "manifest.csv").write_text("source,rgb,depth,depth_unit,licence,note\n")
    with pytest.raises(CaptureError, match="no column place"):
        list_pseudo(root)


def turned_capture(
    root: Path, orientation: int, depth_is_upright: bool, flat: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """One capture whose colour image has an orientation tag; its upright image and depth in metres."""
    rng = np.random.default_rng(2)
    depth = np.full((48, 64), 4000, np.uint16)
    depth[8:30, 5:25], depth[20:44, 40:50] = 1000, 2000
    depth += rng.integers(0, 20, depth.shape).astype(np.uint16)
    rgb = np.full((48, 64, 3), 200, np.uint8)
    rgb[8:30, 5:25], rgb[20:44, 40:50] = (60, 60, 0), (20, 80, 160)
    if flat:
        rgb[:] = 100
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](rgb))
    Image.fromarray(stored).save(root / "lab/1.png", exif=exif)
    kept = depth if depth_is_upright else np.ascontiguousarray(STORED[orientation](depth[:, :, None])[:, :, 0])
    Image.fromarray(kept).save(root / "lab/d.png")
    (root / "manifest.csv").write_text(HEADER + "lab,room,lab/1.png,lab/d.png,mm,CC0,\n")
    return rgb, depth / 1000.0


@pytest.mark.parametrize("depth_is_upright", [False, True])
@pytest.mark.parametrize("orientation", STORED)
def test_depth_follows_its_turned_image(root: Path, orientation: int, depth_is_upright: bool) -> None:
    rgb, depth_m = turned_capture(root, orientation, depth_is_upright)
    (frame,) = list_rgbd(root)
    np.testing.assert_array_equal(frame.read_rgb(), rgb)
    np.testing.assert_allclose(1 / frame.read_inv_depth(), depth_m, rtol=1e-6)


def test_depth_is_turned_where_its_edges_tell_nothing(root: Path) -> None:
    _, depth_m = turned_capture(root, 3, depth_is_upright=False, flat=True)
    np.testing.assert_allclose(1 / list_rgbd(root)[0].read_inv_depth(), depth_m, rtol=1e-6)

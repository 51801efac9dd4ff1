"""Stereo captures by manifest, and metres from their calibration."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.stereo_agreement import agreement

from mddnet.captures.stereo import brightened, list_stereo, parse_calibration
from mddnet.color import linear_from_srgb8
from mddnet.data.split import read_split
from mddnet.errors import CaptureError

HEADER = "source,scene,files,kind,unit,calibration,licence,note\n"
METRIC = 'm,Metric,a.jpg;a.png;b.jpg,stereo_gt,px,"Z_mm=160*3740/(3*d+200) with d in px",free,\n'
RELATIVE = "m,Relative,a.jpg;a.png,stereo_gt,px,Z ~ 1/d,free,\n"
ORDINAL = 't,Table,a.jpg;rel.png,rgbd_relative,"uint8, brighter = nearer",none,research,"colour is dark, apply gain"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Image.fromarray(np.full((8, 8, 3), 20, dtype=np.uint8)).save(tmp_path / "a.jpg")
    disparity = np.full((8, 8), 40 * 256 + 128, dtype=np.uint16)
    disparity[0, 0] = 0
    Image.fromarray(disparity).save(tmp_path / "a.png")
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "rel.png")
    (tmp_path / "manifest.csv").write_text(HEADER + METRIC + RELATIVE + ORDINAL)
    return tmp_path


def test_calibration_formula_by_hand() -> None:
    calibration = parse_calibration("Z_mm=160*3740/(3*d+200) with d in px of this image (f=3740px full size)")
    assert calibration is not None
    # d = 50: Z = 598.4 m px / 350 px = 1.7097 m
    assert 1 / (calibration.scale * 50 + calibration.offset) == pytest.approx(1.70971, abs=1e-5)
    assert calibration.focal_px == pytest.approx(1246.667, abs=1e-3)


def test_calibration_facts_by_hand() -> None:
    calibration = parse_calibration("calib: f=1000 px, baseline 200 mm, doffs=50 px (full 209.059): Z_mm=f*b/(d+doffs)")
    assert calibration is not None
    # Z = 1000 px * 0.2 m / (50 + 50) px = 2 m
    assert calibration.scale * 50 + calibration.offset == pytest.approx(0.5)


@pytest.mark.parametrize("text", ["", "Z ~ 1/d", "Z_mm=160*3740/(3*d+dmin), dmin unknown here"])
def test_incomplete_calibration_is_no_calibration(text: str) -> None:
    assert parse_calibration(text) is None


def test_units_and_locations(root: Path) -> None:
    metric, relative, ordinal = list_stereo(root)
    assert [s.unit for s in (metric, relative, ordinal)] == ["1/m", "relative", "ordinal"]
    assert metric.location == "stereo/Metric"
    u = metric.read_inv_depth()
    assert np.isnan(u[0, 0])
    assert u[1, 1] == pytest.approx((3 * 40.5 + 200) / 598.4, rel=1e-6)
    assert relative.read_inv_depth()[1, 1] == 40.5
    assert ordinal.read_inv_depth()[1, 0] == pytest.approx(8 / 255)


def test_only_dark_images_are_brightened(root: Path) -> None:
    metric, _, ordinal = list_stereo(root)
    assert metric.read_rgb().mean() == pytest.approx(20, abs=2)
    assert float(linear_from_srgb8(ordinal.read_rgb()).mean()) == pytest.approx(0.7, abs=0.02)
    bright = np.full((4, 4, 3), 250, dtype=np.uint8)
    assert brightened(bright) is bright
    black = np.zeros((4, 4, 3), dtype=np.uint8)
    assert brightened(black) is black


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (METRIC.replace("stereo_gt", "laser"), "line 2: kind 'laser'"),
        (METRIC.replace("a.jpg;a.png;b.jpg", "a.jpg"), "expected IMAGE;DISPARITY"),
        (METRIC.replace("a.png", "z.png"), "does not exist"),
        (METRIC.replace("a.png", "../a.png"), r"line 2: .*'\.\./a\.png'; .*path below"),
        (METRIC + METRIC, "occurs twice"),
    ],
)
def test_wrong_rows_are_named(root: Path, line: str, message: str) -> None:
    (root / "manifest.csv").write_text(HEADER + line)
    with pytest.raises(CaptureError, match=message):
        list_stereo(root)


def test_eight_bit_disparity_is_refused(root: Path) -> None:
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(root / "a.png")
    with pytest.raises(CaptureError, match=r"expected .*uint16"):
        list_stereo(root)[0].read_inv_depth()


@pytest.mark.slow
def test_real_captures(shared_data: Path) -> None:
    root = shared_data / "depth/stereo"
    with (root / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    scenes = list_stereo(root)
    assert [scene.name for scene in scenes] == [row["scene"] for row in rows]
    locations = read_split(shared_data / "split.csv")
    # data sets that publish the offset of the disparity: without it, depth is affine
    unit_of_sample = {
        **dict.fromkeys(("middlebury2005", "middlebury2014"), "1/m"),
        **dict.fromkeys(("middlebury2001", "middlebury2003"), "relative"),
    }
    for row, scene in zip(rows, scenes, strict=True):
        assert scene.location in locations
        assert (scene.unit == "ordinal") == (row["kind"] == "rgbd_relative")
        assert scene.unit == unit_of_sample.get(scene.source, scene.unit), scene.name
        u = scene.read_inv_depth()
        assert u.shape == scene.read_rgb().shape[:2]
        assert np.isfinite(u).mean() > 0.75
        if scene.calibration is not None:
            # still lifes on a table, some metres away
            assert 0.5 < 1 / np.nanmax(u) < 1 / np.nanmin(u) < 5.0, scene.name
        if scene.unit != "ordinal":
            # a point at x in the left photo is at x - d in the right one, unless the map is rotated
            disparity = u if scene.calibration is None else (u - scene.calibration.offset) / scene.calibration.scale
            left, right = (
                np.asarray(Image.open(root / name).convert("L"), dtype=np.float64)
                for name in (row["files"].split(";")[k] for k in (0, 2))
            )
            upright, rotated = (agreement(left, right, d) for d in (disparity, disparity[::-1]))
            assert upright > 0.8 and upright > rotated, scene.name

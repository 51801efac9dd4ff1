"""Inverse depth at single points, by manifest."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mddnet.captures.rgbd import list_multiview
from mddnet.data.split import read_split
from mddnet.errors import CaptureError

HEADER = "source,scene,rgb,depth,depth_unit,licence,note,place\n"
ROW = "bust,bust,bust/001.jpg,bust/001.png,ordinal,CC0,few far points,multiview/bust\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A view with points at three of its six pixels."""
    (tmp_path / "bust").mkdir()
    Image.fromarray(np.full((2, 3, 3), 128, dtype=np.uint8)).save(tmp_path / "bust/001.jpg")
    Image.fromarray(np.array([[0, 60000, 0], [15000, 0, 1]], dtype=np.uint16)).save(tmp_path / "bust/001.png")
    (tmp_path / "manifest.csv").write_text(HEADER + ROW)
    return tmp_path


def test_points_are_ordinal_one_is_the_nearest_and_none_elsewhere(root: Path) -> None:
    (view,) = list_multiview(root)
    assert (view.name, view.location, view.unit, view.licence) == ("bust_001", "multiview/bust", "ordinal", "CC0")
    assert view.read_rgb().shape == (2, 3, 3)
    u = view.read_inv_depth()
    assert u.dtype == np.float32
    np.testing.assert_allclose(u, [[np.nan, 1.0, np.nan], [0.25, np.nan, 1 / 60000]], rtol=1e-6)


def test_a_code_beyond_the_nearest_and_another_type_are_refused(root: Path) -> None:
    (view,) = list_multiview(root)
    Image.fromarray(np.full((2, 3), 60001, dtype=np.uint16)).save(view.depth)
    with pytest.raises(CaptureError, match=r"001\.png: .*60001; .* 60000"):
        view.read_inv_depth()
    Image.fromarray(np.full((2, 3), 60, dtype=np.uint8)).save(view.depth)
    with pytest.raises(CaptureError, match=r"expected .*uint16"):
        view.read_inv_depth()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + ROW.replace("ordinal", "mm"), "line 2: depth_unit 'mm'; .*ordinal"),
        (HEADER + ROW.replace("001.png", "002.png"), "does not exist"),
        (HEADER + ROW.replace("bust/001.jpg", "../001.jpg"), r"line 2: .*'\.\./001\.jpg'; .*path below"),
        (HEADER + ROW + ROW, "occurs twice"),
        (HEADER.replace(",place", "") + ROW, "no column place"),
    ],
)
def test_wrong_rows_are_named(root: Path, text: str, message: str) -> None:
    (root / "manifest.csv").write_text(text)
    with pytest.raises(CaptureError, match=message):
        list_multiview(root)


def test_real_captures(shared_data: Path) -> None:
    root = shared_data / "depth/multiview"
    if not root.is_dir():
        pytest.skip(f"no multi-view captures at {root}")
    with (root / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    views = list_multiview(root)
    assert [view.image for view in views] == [root / row["rgb"] for row in rows]
    locations = read_split(shared_data / "split.csv")
    for row, view in zip(rows, views, strict=True):
        assert view.location == row["place"] and view.location in locations and view.unit == "ordinal"
        u = view.read_inv_depth()
        assert u.shape == view.read_rgb().shape[:2] == (int(row["height"]), int(row["width"]))
        # the manifest states the number of points and the ratio of far and near ones
        known = u[np.isfinite(u)]
        assert known.size == int(row["points"]) and known.size < 0.05 * u.size
        assert known.min() > 0 and known.max() == 1.0
        low, high = np.percentile(known, (3, 97))
        assert high / low == pytest.approx(float(row["u_p97_over_p3"]), rel=0.01)


def test_scene_is_one_sharp_frame_and_needs_points(root: Path, tmp_path: Path) -> None:
    from mddnet.errors import RejectedScene
    from mddnet.kinds import KINDS

    pytest.importorskip("cv2")
    kind = KINDS["multiview"]
    (view,) = kind.reader(root)
    with pytest.raises(RejectedScene, match="3 points"):
        kind.build(view, tmp_path / "out", None, 0)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(view.image)
    codes = np.where(rng.random((30, 40)) < 0.1, 30000, 0).astype(np.uint16)
    Image.fromarray(codes).save(view.depth)
    record = kind.build(view, tmp_path / "out", None, 0)
    assert record.unit == "ordinal" and record.measures["points"] == (codes > 0).sum()
    (frame,) = record.frames
    assert frame.kappa_px == 0 and frame.file == record.sharp

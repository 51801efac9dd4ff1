"""Rendered views: codes, field of view, refusals, and the scene that is built from one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mddnet.captures.views import list_views
from mddnet.errors import CaptureError
from mddnet.kinds import KINDS

HEADER = "id,scene,place,kind,width,height,hfov,infinite\n"
ROW = "R1_00,R1,R1,room,40,30,90.0,0.1\n"
NEAR, FAR = 65535, 13107
"""Codes of 0.2 m and 1 m."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A view whose sky is above a near half and a far half."""
    folder = tmp_path / "views" / "rooms"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(folder / "R1_00.jpg")
    codes = np.zeros((30, 40), dtype=np.uint16)
    codes[10:, :20], codes[10:, 20:] = NEAR, FAR
    Image.fromarray(codes).save(folder / "R1_00.png")
    (folder / "index.csv").write_text(HEADER + ROW)
    return tmp_path / "views"


def test_depth_is_metric_and_the_sky_is_known(root: Path) -> None:
    (view,) = list_views(root)
    assert (view.name, view.location, view.unit) == ("rooms_R1_00", "views/rooms/R1", "1/m")
    u = view.read_inv_depth()
    assert u.dtype == np.float32 and u[0, 0] == 0
    np.testing.assert_allclose([u[29, 0], u[29, 39]], [5.0, 1.0], rtol=1e-5)
    assert view.focal_px(40) == pytest.approx(20.0)  # 90 degrees


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + ROW.replace("90.0", "200"), "hfov"),
        (HEADER + ROW.replace("90.0", "wide"), "hfov"),
        (HEADER + ROW.replace("R1_00", "R2_00"), "does not exist"),
        (HEADER + ROW.replace("R1_00", "../R1_00"), r"line 2: .*'\.\./R1_00.*; .*path below"),
        (HEADER + ROW + ROW, "occurs twice"),
        (HEADER.replace(",hfov", "") + ROW, "no column hfov"),
    ],
)
def test_wrong_rows_are_named(root: Path, text: str, message: str) -> None:
    (root / "rooms" / "index.csv").write_text(text)
    with pytest.raises(CaptureError, match=message):
        list_views(root)


def test_damaged_depth_is_refused(root: Path) -> None:
    (view,) = list_views(root)
    Image.fromarray(np.zeros((30, 40), dtype=np.uint8)).save(view.depth)
    with pytest.raises(CaptureError, match="uint16"):
        view.read_inv_depth()


def test_scene_has_the_field_of_view_and_exact_depth(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    kind = KINDS["views"]
    (view,) = kind.reader(root)
    record = kind.build(view, tmp_path / "out", 2, 0)
    assert record.unit == "1/m" and record.capture == "view" and len(record.frames) == 2
    lens = record.lens
    assert 40 * lens.pixel_um / (2000 * lens.focal_mm) == pytest.approx(math.tan(math.radians(45)))
    stored = json.loads((tmp_path / "out" / record.name / "scene.json").read_text())
    assert stored["place"] == "views/rooms/R1"
    for number, frame in enumerate(record.frames):
        largest = frame.kappa_px * max(abs(frame.u_focus - u) for u in (0.0, 1.0, 5.0))
        assert largest == pytest.approx(record.measures[f"largest_coc_px_{number:02d}"], rel=1e-4)

"""The rig from images to scene, on the simulator, which shares no code with it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.conftest import SmallRig

from mddnet.captures.rig import read_rig
from mddnet.cli.main import main
from mddnet.errors import CaptureError, RejectedScene
from mddnet.optics import signed_defocus_px
from mddnet.scenes.build import build_scenes
from mddnet.scenes.build_tables import write_tables
from mddnet.scenes.plan import plan_build
from mddnet.scenes.rig_scene import build_rig_scene, measure_depth
from mddnet.scenes.store import read_image, read_inv_depth, read_scene
from mddnet.types import SceneRecord

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(small_rig: SmallRig, tmp_path_factory: pytest.TempPathFactory) -> tuple[SceneRecord, Path]:
    out = tmp_path_factory.mktemp("scenes")
    return build_rig_scene(small_rig.folder, out), out / "table"


def changed(small_rig: SmallRig, to: Path, **changes: Any) -> Path:
    shutil.copytree(small_rig.folder, to)
    data = {**json.loads((to / "capture.json").read_text()), "scene": to.name, **changes}
    (to / "capture.json").write_text(json.dumps(data))
    return to


def on_each(folder: Path, pattern: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for path in sorted(folder.glob(pattern)):
        Image.fromarray(change(np.asarray(Image.open(path)))).save(path)


def test_depth_is_within_a_thousandth(small_rig: SmallRig) -> None:
    depth = measure_depth(read_rig(small_rig.folder))[0].depth_mm
    known = np.isfinite(depth)
    relative = (depth / small_rig.truth.depth_mm - 1)[known]
    assert known.mean() > 0.6
    assert np.sqrt(np.mean(relative**2)) < 0.001
    assert np.abs(relative).max() < 0.01  # no pixel of another surface


def test_a_and_e_are_recovered(small_rig: SmallRig, built: tuple[SceneRecord, Path]) -> None:
    measures, truth = built[0].measures, small_rig.truth
    assert measures["aperture_px"] == pytest.approx(truth.aperture_px, rel=0.01)
    assert measures["offset_mm"] == pytest.approx(truth.offset_mm, abs=0.2)
    assert abs(measures["aperture_px"] - truth.aperture_px) < 2 * measures["aperture_error_px"]
    assert abs(measures["offset_mm"] - truth.offset_mm) < 2 * measures["offset_error_mm"]


def test_the_scene_holds_depth_focus_and_blur(small_rig: SmallRig, built: tuple[SceneRecord, Path]) -> None:
    record, folder = built
    truth = small_rig.truth
    assert read_scene(folder) == record
    assert (record.unit, record.provenance, record.capture, len(record.frames)) == ("1/m", "real", "rig", 12)
    u = read_inv_depth(folder / record.inv_depth)
    height, width = u.shape
    top, left = (truth.depth_mm.shape[0] - height) // 2, (truth.depth_mm.shape[1] - width) // 2
    inner = (slice(top, top + height), slice(left, left + width))
    assert height < 128 and width < 160  # what not every frame shows is cut off
    errors = []
    for i, frame in enumerate(record.frames):
        mine = signed_defocus_px(u, frame.u_focus, frame.kappa_px)
        errors.append(np.nanmean(np.abs(np.abs(mine) - np.abs(truth.signed_defocus_px(i)[inner]))))
    assert max(errors) < 0.25
    # the nearest frame by its record is the one with the detail of the sharp image
    sharp = read_image(folder / record.sharp).astype(np.float32)
    assert sharp.shape == (height, width, 3)
    detail = [np.abs(cv2.Laplacian(read_image(folder / f.file).astype(np.float32), cv2.CV_32F)) for f in record.frames]
    known = np.isfinite(u)
    assert np.abs(cv2.Laplacian(sharp, cv2.CV_32F))[known].mean() > 0.95 * max(d[known].mean() for d in detail)


def test_a_given_law_is_used(small_rig: SmallRig, tmp_path: Path) -> None:
    folder = changed(small_rig, tmp_path / "given", aperture_px=small_rig.truth.aperture_px, offset_mm=24.0)
    record = build_rig_scene(folder, tmp_path / "out")
    assert record.measures["law_fitted"] == 0
    assert record.measures["offset_mm"] == 24.0 and "offset_error_mm" not in record.measures
    alone = changed(small_rig, tmp_path / "alone", offset_mm=24.0)
    with pytest.raises(CaptureError, match="both aperture_px and offset_mm"):
        build_rig_scene(alone, tmp_path / "out")


# --- bad captures -----------------------------------------------------------------------------------------------------


def exchanged(folder: Path) -> None:
    data = json.loads((folder / "capture.json").read_text())
    row = data["fringes"]["frames"][2]
    row[3], row[4] = row[4], row[3]
    (folder / "capture.json").write_text(json.dumps(data))


def saturated_fringes(folder: Path) -> None:
    on_each(folder, "fringes/*.png", lambda a: np.minimum(255, 8 * a.astype(int) + 120).astype(np.uint8))


def saturated_stack(folder: Path) -> None:
    on_each(folder, "stack/*.png", lambda a: np.minimum(255, 5 * a.astype(int)).astype(np.uint8))


def motion_blur(folder: Path) -> None:
    on_each(folder, "stack/006.png", lambda a: cv2.blur(a, (25, 1)))


def camera_moved(folder: Path) -> None:
    on_each(folder, "stack/00[6-9].png", lambda a: np.roll(a, 9, axis=1))


def no_light(folder: Path) -> None:
    rng = np.random.default_rng(0)
    on_each(folder, "fringes/*.png", lambda a: (5 + 2 * rng.random(a.shape)).astype(np.uint8))


def frames_shuffled(folder: Path) -> None:
    data = json.loads((folder / "capture.json").read_text())
    data["frames"] = data["frames"][::-1]
    (folder / "capture.json").write_text(json.dumps(data))


def centimetres(folder: Path) -> None:
    data = json.loads((folder / "capture.json").read_text())
    data["sensor"] = [v / 10 for v in data["sensor"]]
    data["fringes"]["sensor"] /= 10
    (folder / "capture.json").write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (exchanged, r"2_04.png and 2_03.png exchanged"),
        (saturated_fringes, "fringe images .*saturated"),
        (saturated_stack, "stack .*saturated"),
        (motion_blur, r"006.png is an outlier"),
        (camera_moved, r"displaced|differs|explains too little|not determined"),
        (no_light, "projector is on"),
        (frames_shuffled, r"magnified|explained best by|explains too little|does not|determine"),
        (centimetres, r"in mm|determine|explains too little|magnified"),
    ],
)
def test_bad_captures_are_rejected_with_their_reason(
    small_rig: SmallRig, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    folder = changed(small_rig, tmp_path / "bad")
    spoil(folder)
    with pytest.raises(RejectedScene, match=message):
        build_rig_scene(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_other_scenes_are_built(small_rig: SmallRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed(small_rig, tmp_path / "data/captures/rigs/good", aperture_px=small_rig.truth.aperture_px, offset_mm=24.0)
    dark = changed(small_rig, tmp_path / "data/captures/rigs/dark")
    no_light(dark)
    changed(small_rig, tmp_path / "data/captures/rigs/lost", frames=["stack/000.png"] * 2)
    changed(small_rig, tmp_path / "data/captures/rigs/metres", unit="m")
    out = tmp_path / "out"
    plan = plan_build([tmp_path / "data"])
    rows = list(build_scenes(plan, out))
    write_tables(out, rows, lambda location: "")
    assert {row.name: row.state for row in rows} == {
        "dark": "rejected",
        "good": "built",
        "lost": "failed",
        "metres": "failed",
    }
    with (out / "rejected.csv").open(newline="") as file:
        reasons = {row["scene"]: row["reason"] for row in csv.DictReader(file)}
    assert "projector" in reasons["dark"] and "twice" in reasons["lost"] and 'expected "mm"' in reasons["metres"]
    assert [row.state for row in build_scenes(plan_build([tmp_path / "data/captures/rigs/good"]), out)] == ["kept"]
    assert main(["inspect", str(out), "-o", str(tmp_path / "report.html")]) == 0
    capsys.readouterr()
    page = (tmp_path / "report.html").read_text()
    assert "rigs" in page and "projector is on" in page

"""The check of a folder of scenes reports its content, and rejects unusable scenes with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("joblib")

from tests.support.made_scenes import KAPPA_PX, make_scene

from mddnet.errors import CaptureError, TrainingError
from mddnet.scenes.store import write_image, write_inv_depth
from mddnet.train.data_check import check_data

CAP_PX = 40.0


def _change(folder: Path, **fields: object) -> None:
    path = folder / "scene.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def _kappa(folder: Path, kappa_px: float) -> None:
    frames = json.loads((folder / "scene.json").read_text())["frames"]
    _change(folder, frames=[frame | {"kappa_px": kappa_px} for frame in frames])


@pytest.mark.slow
def test_blur_is_in_pixels_of_the_input(tmp_path: Path) -> None:
    make_scene(tmp_path, "focal_stacks", "a", "place", 1)  # 96 x 128 px: shown as it is
    make_scene(tmp_path, "focal_stacks", "b", "place", 2, size=(768, 1024))  # shown at half its size
    small, large = check_data(tmp_path, CAP_PX).scenes
    # depths from .1 to .9, focused at .1, .5 and .9: the strongest blur is kappa * .8
    assert small.coc_px[2] <= KAPPA_PX * 0.8 + 1e-3 and small.coc_px[2] > KAPPA_PX * 0.7
    assert large.coc_px[2] == pytest.approx(small.coc_px[2] / 2, rel=0.02)
    assert small.beyond_share == 0 and small.unknown_share == pytest.approx(16 / (96 * 128))
    assert check_data(tmp_path, 5.0).scenes[0].beyond_share > 0.2


def test_unusable_scenes_are_rejected_with_reason(tmp_path: Path) -> None:
    good = make_scene(tmp_path, "focal_stacks", "good", "place", 1)
    _kappa(make_scene(tmp_path, "focal_stacks", "sharp", "place", 1), 0.5)
    unknown = make_scene(tmp_path, "focal_stacks", "unknown", "place", 1)
    write_inv_depth(unknown / "inv_depth.png", np.full((96, 128), np.nan, dtype=np.float32), "relative")
    (make_scene(tmp_path, "focal_stacks", "gone", "place", 1) / "frame_01.png").unlink()
    write_image(make_scene(tmp_path, "rgbd", "other", "place", 1) / "sharp.png", np.zeros((9, 9, 3), dtype=np.uint8))
    (make_scene(tmp_path, "rgbd", "broken", "place", 1) / "scene.json").write_text("{")
    _change(make_scene(tmp_path, "rgbd", "empty", "place", 1), frames=[])
    make_scene(tmp_path, "my_things", "odd", "place", 1)
    (tmp_path / "rejected.csv").write_text("group,scene,place,split,state,reason\nfocal_stacks,lost,p,,rejected,why\n")
    check = check_data(tmp_path, CAP_PX)
    assert [scene.entry.folder for scene in check.scenes] == [good]
    reasons = {rejection.name: rejection.reason for rejection in check.rejected}
    expected = {
        "focal_stacks/sharp": "everything is sharp",
        "focal_stacks/unknown": "0.0% of the depth is known, the rest is NaN",
        "focal_stacks/gone": "frame_01.png",
        "rgbd/other": "9 x 9 pixels; expected 128 x 96",
        "rgbd/broken": "scene.json",
        "rgbd/empty": "no frames",
        "my_things/odd": "expected a folder named focal_stacks",
        "focal_stacks/lost": "why",
    }
    assert reasons.keys() == expected.keys()
    for name, words in expected.items():
        assert words in reasons[name], name
    assert [rejection.name for rejection in check.rejected if rejection.by_build] == ["focal_stacks/lost"]


def test_no_usable_scene_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no such folder"):
        check_data(tmp_path / "nowhere", CAP_PX)
    with pytest.raises(CaptureError, match="mddnet build"):
        check_data(tmp_path, CAP_PX)
    for name in ("a", "b"):
        _kappa(make_scene(tmp_path, "focal_stacks", name, "place", 1), 0.0)
    with pytest.raises(TrainingError, match=r" 2 scenes.*is sharp"):
        check_data(tmp_path, CAP_PX)

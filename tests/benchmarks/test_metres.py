"""Metres of single frames: right for a predictor that is right, and the focus distance for one that stays relative."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.metres import (
    BEST_CONSTANT_ROW,
    FOCUS_ROW,
    TRUE_SIGN,
    measure_metres,
    metres_markdown,
    metric_scenes,
)
from research.verdict.lens_of_frame import lens_of_frame

from mddnet.data.scene_pool import SceneEntry
from mddnet.optics import lens_kappa_px
from mddnet.predict.prediction import Prediction, SmallMaps
from mddnet.scenes.store import read_scene, write_image, write_inv_depth, write_scene_json
from mddnet.types import FrameRecord, Lens, LensLawFit, Photo, SceneRecord

SIZE = (60, 80)
KAPPA_PX = 8.0
LENS = Lens(focal_mm=4.3, f_number=1.9, pixel_um=1.2)


def truth() -> np.ndarray:
    return np.linspace(0.5, 3.0, SIZE[1], dtype=np.float32)[None].repeat(SIZE[0], 0).copy()


@pytest.fixture
def scene(tmp_path: Path) -> SceneEntry:
    folder = tmp_path / "focal_stacks" / "table"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    frames = [FrameRecord(f"{i}.png", u_focus, KAPPA_PX) for i, u_focus in enumerate((1.0, 2.0, 3.0))]
    for name in ("sharp.png", *(frame.file for frame in frames)):
        write_image(folder / name, noise)
    write_inv_depth(folder / "inv_depth.png", truth(), "1/m")
    record = SceneRecord(
        name="table",
        location="table",
        capture="focal_stack",
        source="made by the tests",
        licence="Apache-2.0",
        provenance="real",
        unit="1/m",
        frames=frames,
        sharp="sharp.png",
        inv_depth="inv_depth.png",
        lens=LENS,
    )
    write_scene_json(folder, record)
    return SceneEntry(folder, "focal_stacks", read_scene(folder))


def predicted(photo: Photo, factor: float, relative: bool = False) -> Prediction:
    """The true depth times a factor, with an error of a twentieth."""
    assert photo.lens.focal_mm is not None and photo.lens.focus_m is not None
    u = (truth() / np.float32(factor)).astype(np.float32)
    u_focus = 1.0 / photo.lens.focus_m
    signed = (KAPPA_PX * (u_focus - truth())).astype(np.float32)
    return Prediction(
        maps=SmallMaps(u, np.abs(signed), np.sign(signed), np.ones(SIZE, np.float32), None if relative else u / 20),
        unit="relative" if relative else "1/m",
        focus=LensLawFit(True, u_focus, KAPPA_PX, 0.0),
        photo=photo,
        model="oracle",
        model_version="1",
    )


def test_an_oracle_one_that_is_off_and_one_that_stays_relative(scene: SceneEntry) -> None:
    predictors = {
        "right": lambda photo: predicted(photo, 1.0),
        "off by a tenth": lambda photo: predicted(photo, 1.1),
        "relative": lambda photo: predicted(photo, 1.0, relative=True),
    }
    frames = list(measure_metres(scene, 10, predictors))
    assert [frame.u_focus for frame in frames] == [1.0, 2.0, 3.0]
    for frame in frames:
        assert frame.abs_rel["right"] < 1e-3 and frame.covered["right"] == 1.0
        assert frame.abs_rel["off by a tenth"] == pytest.approx(0.1, abs=1e-3)
        assert frame.covered["off by a tenth"] == 0.0  # a tenth is more than its error of 5.5 hundredths
        assert frame.abs_rel["relative"] == pytest.approx(frame.abs_rel[FOCUS_ROW]) and "relative" not in frame.covered
        assert frame.sign_accuracy["right"] > 0.98
        # the size of the blur is right in all three; a relative prediction has no kappa to read it by
        assert frame.abs_rel["off by a tenth" + TRUE_SIGN] < 1e-3
        assert frame.abs_rel["relative" + TRUE_SIGN] == pytest.approx(frame.abs_rel[FOCUS_ROW])
        assert frame.abs_rel[BEST_CONSTANT_ROW] > 0.1
    # The plane of focus at 1 dioptre: what lies within half a dioptre of it is off by at most half.
    near, far = frames[0].by_distance[FOCUS_ROW][0], frames[0].by_distance[FOCUS_ROW][2]
    assert near < 0.5 < far
    text = metres_markdown(frames, "oracle 1")
    assert "| off by a tenth | 0.100 | 0.100 | 3 of 3 |" in text
    assert "| focal_stacks, off by a tenth | 3 | 3 | 1.00 | 0.100 | 0.100 | 0.00 |" in text
    assert "| focal_stacks, relative | 3 | 0 | 0.00 |  |  |  |" in text
    assert text.count("| table |") == 3 and text.count(f"| right{TRUE_SIGN} |") == 2


def test_a_frames_distance_is_counted_from_the_sensor(scene: SceneEntry) -> None:
    lens = lens_of_frame(scene.record, FrameRecord("0.png", 2.0, KAPPA_PX))
    assert lens is not None and lens.f_number == LENS.f_number
    # z = 0.5 m, v = 4.3 mm x 0.5 / (0.5 - 0.0043)
    assert lens.focus_m == pytest.approx(0.5 + 0.0043 * 0.5 / 0.4957)


def test_the_f_number_of_a_rendered_frame_follows_from_its_blur(scene: SceneEntry) -> None:
    record = replace(scene.record, lens=Lens(focal_mm=4.3, pixel_um=1.2))
    lens = lens_of_frame(record, FrameRecord("0.png", 2.0, KAPPA_PX), scale=2.0)
    assert lens is not None and lens.focus_m is not None and lens.pixel_um == 2.4
    # Half the pixels, half the blur: kappa = f v / (N p).
    assert lens_kappa_px(lens, 0.5) == pytest.approx(KAPPA_PX / 2)
    assert lens_of_frame(record, FrameRecord("0.png", 2.0, 0.0)) is None  # sharp everywhere: no f-number


def test_scenes_without_dioptres_or_lens_take_no_part(scene: SceneEntry) -> None:
    assert metric_scenes([scene]) == [scene]
    text = (scene.folder / "scene.json").read_text()
    (scene.folder / "scene.json").write_text(text.replace('"1/m"', '"relative"'))
    assert metric_scenes([SceneEntry(scene.folder, scene.group, read_scene(scene.folder))]) == []

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.support.made_focal_stack import made_stack, textured, write_made_stack

from mddnet.errors import RejectedScene
from mddnet.optics import signed_defocus_px
from mddnet.scenes.focal_stack_scene import MAX_FRAMES, build_focal_stack_scene
from mddnet.scenes.store import read_image, read_inv_depth, read_scene

KAPPA = 1.2


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_a_synthetic_stack_gives_its_true_scene(tmp_path: Path) -> None:
    made = made_stack(KAPPA * np.arange(11))
    folder = write_made_stack(tmp_path / "slabs", made.frames)
    record = build_focal_stack_scene(folder, tmp_path / "out")
    assert record == read_scene(tmp_path / "out" / "slabs")
    assert (record.unit, record.provenance, record.capture, len(record.frames)) == (
        "relative",
        "real",
        "focal_stack",
        11,
    )
    assert record.measures["kappa_px_per_frame"] == pytest.approx(KAPPA, rel=0.1)
    assert record.measures["rerender_error_fraction"] < 0.4
    assert record.measures["parallax_undone"] == 0
    # The first frame is focused nearest, the left slab is nearest, and the law gives its blur in any frame.
    assert record.frames[0].u_focus == 1 and record.frames[-1].u_focus == 0
    inv_depth = read_inv_depth(tmp_path / "out" / "slabs" / "inv_depth.png")
    left, right = np.nanmedian(inv_depth[:, 10:40]), np.nanmedian(inv_depth[:, 120:150])
    assert left > right
    for frame, index in ((record.frames[0], 0), (record.frames[-1], 10)):
        expected = KAPPA * (made.index[0, 20] - index)
        assert signed_defocus_px(float(left), frame.u_focus, frame.kappa_px) == pytest.approx(expected, abs=1.2)
    sharp = read_image(tmp_path / "out" / "slabs" / "sharp.jpg")
    assert np.abs(sharp[:, 5:45].astype(float) - made.sharp[:, 5:45]).mean() < 8


@pytest.mark.slow
def test_label_noise_matches_the_depth_error_and_grows_with_noise(tmp_path: Path) -> None:
    made = made_stack(KAPPA * np.arange(12))
    rng = np.random.default_rng(0)
    stated, true = [], []
    for sigma in (0, 20):
        frames = [np.clip(f + sigma * rng.standard_normal(f.shape), 0, 255).astype(np.uint8) for f in made.frames]
        folder = write_made_stack(tmp_path / f"noise{sigma}", frames)
        record = build_focal_stack_scene(folder, tmp_path / "out")
        stated.append(record.measures["coc_label_noise_px"])
        inv_depth = read_inv_depth(tmp_path / "out" / f"noise{sigma}" / "inv_depth.png")
        confidence = read_image(tmp_path / "out" / f"noise{sigma}" / "confidence.png")[..., 0]
        # by the law, the CoC in the first frame, of our depth and of the depth that the stack was made with
        error = np.abs(record.frames[0].kappa_px * (1 - inv_depth) - KAPPA * made.index)
        true.append(float(np.nanmean(error[confidence > 127])))
    assert 0 < stated[0] < stated[1]
    assert stated[1] < 3 * true[1] + 0.1 and true[1] < 5 * stated[1] + 0.3


def test_a_short_stack_does_not_state_its_label_noise(tmp_path: Path) -> None:
    folder = write_made_stack(tmp_path / "short", made_stack(KAPPA * np.arange(7), 60, 90).frames)
    assert "coc_label_noise_px" not in build_focal_stack_scene(folder, tmp_path / "out").measures


def test_a_rebuilt_scene_is_identical(tmp_path: Path) -> None:
    folder = write_made_stack(tmp_path / "slabs", made_stack(KAPPA * np.arange(7), 60, 90).frames)
    build_focal_stack_scene(folder, tmp_path / "out")
    before = digest(tmp_path / "out" / "slabs")
    build_focal_stack_scene(folder, tmp_path / "out")
    assert digest(tmp_path / "out" / "slabs") == before


def test_far_to_near_and_dioptres(tmp_path: Path) -> None:
    dioptres = [0.5 * i for i in range(9)]
    frames = made_stack(2.0 * np.array(dioptres)).frames
    focus = {"unit": "1/m", "values": dioptres}
    lens = {"focal_mm": 20, "f_number": 2.0, "pixel_um": 100.0}
    record = build_focal_stack_scene(
        write_made_stack(tmp_path / "metric", frames, focus=focus, lens=lens), tmp_path / "out"
    )
    assert record.unit == "1/m"
    assert [f.u_focus for f in record.frames] == dioptres
    assert record.frames[0].kappa_px == pytest.approx(2.0, rel=0.1)
    # 10 mm aperture, v = 20 mm, 0.1 mm pixels.
    assert record.measures["kappa_px_per_dioptre_from_lens"] == pytest.approx(2.0)
    inv_depth = read_inv_depth(tmp_path / "out" / "metric" / "inv_depth.png")
    assert np.nanmedian(inv_depth[:, 10:40]) == pytest.approx(4 / 6, abs=0.35)


@pytest.mark.slow
def test_long_sweeps_keep_frames_spread_over_the_sweep(tmp_path: Path) -> None:
    frames = made_stack(0.5 * np.arange(40), 40, 60).frames
    record = build_focal_stack_scene(write_made_stack(tmp_path / "long", frames), tmp_path / "out")
    assert len(record.frames) == MAX_FRAMES
    assert (record.frames[0].file, record.frames[-1].file) == ("frame_00.jpg", "frame_39.jpg")
    assert record.measures["frames_captured"] == 40


def breathed(frames: list[np.ndarray], per_frame: float) -> list[np.ndarray]:
    height, width = frames[0].shape[:2]
    out = []
    for i, frame in enumerate(frames):
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, 1 + per_frame * (len(frames) // 2 - i))
        out.append(cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT))
    return out


@pytest.mark.parametrize("near_first", [True, False])
def test_convention_an_unknown_order_follows_from_breathing(tmp_path: Path, near_first: bool) -> None:
    frames = breathed(made_stack(KAPPA * np.arange(7)).frames, 0.004 if near_first else -0.004)
    focus = {"unit": "relative", "order": "unknown"}
    record = build_focal_stack_scene(
        write_made_stack(tmp_path / "b", frames, focus=focus, aligned=False), tmp_path / "out"
    )
    assert (record.frames[0].u_focus > record.frames[-1].u_focus) == near_first


def test_an_unknown_order_without_breathing_is_rejected_with_the_numbers(tmp_path: Path) -> None:
    focus = {"unit": "relative", "order": "unknown"}
    folder = write_made_stack(tmp_path / "b", made_stack(KAPPA * np.arange(5), 60, 90).frames, focus=focus)
    with pytest.raises(RejectedScene, match=r"order .*magnification 1\.0000 to 1\.0000"):
        build_focal_stack_scene(folder, tmp_path / "out")
    assert not (tmp_path / "out" / "b").exists()


def test_frames_that_blur_does_not_explain_are_rejected_with_the_error(tmp_path: Path) -> None:
    folder = write_made_stack(tmp_path / "b", [textured(60, 90, seed) for seed in range(5)])
    with pytest.raises(RejectedScene, match=r"blur explains .*0\.\d\d|depth .*\d+%"):
        build_focal_stack_scene(folder, tmp_path / "out")
    assert not (tmp_path / "out" / "b").exists()


@pytest.mark.slow
def test_a_real_sweep_has_the_known_blur(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "captures" / "focal_stacks" / "columbia_joe7"
    record = build_focal_stack_scene(folder, tmp_path)
    assert record.measures["kappa_px_per_frame"] == pytest.approx(1.2, abs=0.15)
    assert record.measures["rerender_error_fraction"] < 0.5
    assert record.measures["r_with_index_map"] > 0.8

"""Rendered scenes: stored files, random parameters, and reproducibility."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mddnet.captures.kind import scene_name
from mddnet.captures.photo_folder import SharpPhoto
from mddnet.captures.rgbd import RGBD_CODES, RgbdFrame
from mddnet.captures.stereo import list_stereo
from mddnet.errors import RejectedScene
from mddnet.optics import kappa_px
from mddnet.scenes.render import Surface, render_surfaces
from mddnet.scenes.rendered_scene import (
    build_photo_scene,
    build_rgbd_scene,
    build_stereo_scene,
    completed_inv_depth,
    draw_flaws,
    draw_shots,
    named_rng,
)
from mddnet.scenes.store import read_image, read_inv_depth, read_scene
from mddnet.types import InvDepthUnit


def rgbd_capture(folder: Path, unit: InvDepthUnit = "1/m", hole: bool = True) -> RgbdFrame:
    """A near square in front of a slanted wall, 48 x 64, with a hole next to the square."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / "c.png")
    depth_mm = np.tile(np.linspace(1500, 3000, 64), (48, 1))
    depth_mm[12:36, 20:40] = 700
    if hole:
        depth_mm[12:36, 40:46] = 0
    codes = depth_mm.astype(np.uint16) if unit == "1/m" else (depth_mm / 3000 * 255).astype(np.uint8)
    Image.fromarray(codes).save(folder / "d.png")
    stored = RGBD_CODES["mm" if unit == "1/m" else "8bit-relative"]
    return RgbdFrame("lab_1", "rgbd/lab", "lab", "CC0", folder / "c.png", folder / "d.png", stored, "")


def photo_capture(folder: Path, name: str, seed: int) -> SharpPhoto:
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{name}.png")
    return SharpPhoto(name, "photos/walk", "walk", "CC0", folder / f"{name}.png")


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


# --- completion of depth ---


def test_holes_take_the_depth_of_similar_pixels() -> None:
    image = np.zeros((20, 40, 3), dtype=np.uint8)
    image[:, 24:] = 220
    u = np.where(np.arange(40) < 24, 2.0, 0.5).astype(np.float32) * np.ones((20, 1), dtype=np.float32)
    holed = u.copy()
    holed[:, 18:30] = np.nan
    filled = completed_inv_depth(holed, image)
    assert np.isfinite(filled).all()
    np.testing.assert_allclose(filled[:, :22], 2.0)
    np.testing.assert_allclose(filled[:, 26:], 0.5)
    known = np.isfinite(holed)
    np.testing.assert_array_equal(filled[known], holed[known])


def test_holes_between_equal_colours_take_the_farther_depth() -> None:
    image = np.full((20, 41, 3), 90, dtype=np.uint8)
    u = np.full((20, 41), np.nan, dtype=np.float32)
    u[:, :14], u[:, 27:] = 2.0, 0.5
    np.testing.assert_allclose(completed_inv_depth(u, image)[:, 20], 0.5)


def test_unknown_depth_is_rejected() -> None:
    with pytest.raises(RejectedScene, match="no pixel"):
        completed_inv_depth(np.full((4, 4), np.nan, dtype=np.float32), np.zeros((4, 4, 3), dtype=np.uint8))


# --- drawing ---


def test_largest_coc_is_the_drawn_value() -> None:
    u = np.random.default_rng(0).uniform(0.5, 2.0, (40, 448)).astype(np.float32)
    shots = draw_shots(u, 1600, np.random.default_rng(1))
    largest = np.array([s.kappa * np.abs(s.u_focus - u).max() for s in shots])
    np.testing.assert_allclose(largest, [s.largest_coc_px for s in shots], rtol=1e-5)
    # 1 to 40 px for a long edge of 512 px; log-uniform: the median is the geometric mean of the ends
    ends = np.array([1.0, 40.0]) * 448 / 512
    assert ends[0] - 1e-4 <= largest.min() and largest.max() <= ends[1] + 1e-4
    assert np.median(largest) == pytest.approx(np.sqrt(ends[0] * ends[1]), rel=0.15)
    inside = np.mean([0.5 <= s.u_focus <= 2.0 for s in shots])
    assert 0.6 < inside < 0.8


def test_larger_images_get_larger_blur() -> None:
    u = np.random.default_rng(0).uniform(0, 1, (40, 640)).astype(np.float32)
    largest = max(s.largest_coc_px for s in draw_shots(u, 300, np.random.default_rng(1)))
    assert 36 < largest <= 36 * 640 / 448


def test_metric_focus_is_never_beyond_infinity() -> None:
    u = np.random.default_rng(0).uniform(0.0, 0.1, (40, 40)).astype(np.float32)
    assert min(s.u_focus for s in draw_shots(u, 200, np.random.default_rng(1), lowest_u=0.0)) == 0.0


def test_flat_scenes_and_no_frames_are_refused() -> None:
    with pytest.raises(RejectedScene, match="one depth"):
        draw_shots(np.ones((8, 8), dtype=np.float32), 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least 1"):
        draw_shots(np.eye(8, dtype=np.float32), 0, np.random.default_rng(0))


def test_most_lenses_have_a_colour_error_that_grows_with_the_blur() -> None:
    shifts = [draw_flaws(8.0, np.random.default_rng(s)).colour_shift_px for s in range(200)]
    assert 150 < sum(s != (0.0, 0.0, 0.0) for s in shifts) < 190
    assert max(max(np.abs(s)) for s in shifts) <= 1.0


@pytest.mark.parametrize("side", [1, -1])
def test_convention_red_is_the_smaller_disc_behind_focus_and_the_larger_in_front(side: int) -> None:
    point = np.zeros((41, 41, 3), dtype=np.float32)
    point[20, 20] = 1.0
    flat = Surface(point, np.zeros((41, 41), np.float32), np.ones((41, 41), np.float32))
    y, x = np.mgrid[-20:21, -20:21]
    seen = 0
    for seed in range(40):
        flaws = draw_flaws(10.0, np.random.default_rng(seed))
        if flaws.colour_shift_px == (0.0, 0.0, 0.0):
            continue
        # u = 0 and kappa = 1: the signed defocus is u_focus, here 8 px behind the plane of focus or in front of it
        picture = render_surfaces([flat], 8.0 * side, 1.0, flaws)
        spread = (picture * (x**2 + y**2)[..., None]).sum((0, 1)) - (picture * x[..., None]).sum((0, 1)) ** 2
        spread -= (picture * y[..., None]).sum((0, 1)) ** 2
        assert spread[0] < spread[1] if side > 0 else spread[0] > spread[1]
        seen += 1
    assert seen > 20


def test_names_are_safe_and_generators_depend_on_name_and_seed() -> None:
    assert scene_name("jack-o'-lantern/../x") == "jack-o_-lantern_.._x"
    assert scene_name("..") == "_"
    a, b, c = named_rng("a", 0), named_rng("a", 0), named_rng("b", 0)
    assert a.random() == b.random() != c.random()
    assert named_rng("a", 1).random() != named_rng("a", 0).random()


# --- scenes ---


def test_rgbd_scene_on_disk(tmp_path: Path) -> None:
    record = build_rgbd_scene(rgbd_capture(tmp_path), tmp_path / "out", 3, 0)
    folder = tmp_path / "out/lab_1"
    assert read_scene(folder) == record
    assert (record.location, record.capture, record.provenance, record.unit) == ("rgbd/lab", "rgbd", "rendered", "1/m")
    truth = read_inv_depth(folder / record.inv_depth)
    assert np.isnan(truth[12:36, 41:45]).all()
    np.testing.assert_allclose(truth[16:32, 24:36], 1 / 0.7, rtol=1e-3)
    assert len(record.frames) == 3
    for frame in record.frames:
        assert read_image(folder / frame.file).shape == read_image(folder / record.sharp).shape == (48, 64, 3)
        assert frame.u_focus >= 0
        assert frame.kappa_px > 0


def test_metric_scene_names_a_lens_that_gives_its_kappa(tmp_path: Path) -> None:
    record = build_rgbd_scene(rgbd_capture(tmp_path), tmp_path / "out", 4, 0)
    assert record.lens.focal_mm is not None
    assert record.lens.pixel_um is not None
    for i, frame in enumerate(record.frames):
        f_number = record.measures[f"f_number_{i:02d}"]
        z = 1 / frame.u_focus if frame.u_focus > 0 else float("inf")
        kappa = kappa_px(record.lens.focal_mm, f_number, record.lens.pixel_um, z)
        assert kappa == pytest.approx(frame.kappa_px, rel=1e-6)


def test_ordinal_scene_stays_ordinal_and_names_no_lens(tmp_path: Path) -> None:
    record = build_rgbd_scene(rgbd_capture(tmp_path, unit="ordinal"), tmp_path / "out", 2, 0)
    assert record.unit == "ordinal"
    assert record.lens.focal_mm is None
    assert not any(k.startswith("f_number") for k in record.measures)


def test_frames_follow_the_lens_law(tmp_path: Path) -> None:
    # Of the two depths in the scene, the one with the larger CoC by the law must have lost more detail.
    capture = rgbd_capture(tmp_path, hole=False)
    record = build_rgbd_scene(capture, tmp_path / "out", 8, 0)
    folder = tmp_path / "out/lab_1"
    u = read_inv_depth(folder / record.inv_depth)
    judged = 0
    for frame in record.frames:
        coc = frame.kappa_px * np.abs(frame.u_focus - u)
        near, far = float(coc[24, 30]), float(coc[24, 2:12].mean())
        if max(near, far) < 1.5 or 0.5 < near / max(far, 1e-9) < 2.0:
            continue
        grey = read_image(folder / frame.file).astype(float).mean(axis=2)
        assert (grey[16:32, 24:36].std() > grey[:, 1:12].std()) == (near < far)
        judged += 1
    assert judged >= 2


def test_a_rebuilt_scene_has_the_same_bytes(tmp_path: Path) -> None:
    capture = rgbd_capture(tmp_path)
    build_rgbd_scene(capture, tmp_path / "a", 4, 0)
    first = digest(tmp_path / "a/lab_1")
    build_rgbd_scene(capture, tmp_path / "a", 4, 0)
    assert digest(tmp_path / "a/lab_1") == first
    build_rgbd_scene(capture, tmp_path / "b", 4, 1)
    assert digest(tmp_path / "b/lab_1")["frame_00.jpg"] != first["frame_00.jpg"]
    build_rgbd_scene(capture, tmp_path / "a", 2, 0)
    assert not (tmp_path / "a/lab_1/frame_03.jpg").exists()


def test_photo_scene_on_disk(tmp_path: Path) -> None:
    photo, other = photo_capture(tmp_path, "one", 1), photo_capture(tmp_path, "two", 2)
    record = build_photo_scene(replace(photo, other=other), tmp_path / "out", 3, 0)
    folder = tmp_path / "out/one"
    assert read_scene(folder) == record
    assert (record.location, record.unit, record.capture, len(record.frames)) == ("photos/walk", "relative", "photo", 3)
    u = read_inv_depth(folder / record.inv_depth)
    assert np.isfinite(u).all()
    assert (u.min(), u.max()) == (pytest.approx(0, abs=1e-4), pytest.approx(1, abs=1e-4))


def test_depth_of_another_size_or_with_hardly_a_value_is_rejected(tmp_path: Path) -> None:
    capture = rgbd_capture(tmp_path)
    Image.fromarray(np.full((24, 64), 900, dtype=np.uint16)).save(capture.depth)
    with pytest.raises(RejectedScene, match="differ in size"):
        build_rgbd_scene(capture, tmp_path / "out", 2, 0)
    sparse = np.zeros((48, 64), dtype=np.uint16)
    sparse[:2] = 900
    Image.fromarray(sparse).save(capture.depth)
    with pytest.raises(RejectedScene, match="known for 4%"):
        build_rgbd_scene(capture, tmp_path / "out", 2, 0)
    assert not (tmp_path / "out/lab_1").exists()


@pytest.mark.slow
def test_real_stereo_scene(shared_data: Path, tmp_path: Path) -> None:
    scenes = {s.name: s for s in list_stereo(shared_data / "depth/stereo")}
    record = build_stereo_scene(scenes["Adirondack"], tmp_path, 2, 0)
    assert record.unit == "1/m"
    assert record.lens.focal_mm is not None
    assert record.lens.pixel_um is not None
    assert record.lens.focal_mm / record.lens.pixel_um * 1000 == pytest.approx(1040.305, rel=1e-6)
    assert all(record.measures[f"f_number_{i:02d}"] > 0.1 for i in range(2))

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.made_light_field import TwoPlanes, write_light_field

from mddnet.color import linear_from_srgb
from mddnet.errors import CaptureError, RejectedScene
from mddnet.scenes.disparity import DisparityMap, ViewGrid, grid_positions, view_grid
from mddnet.scenes.light_field_scene import (
    build_light_field_scene,
    check_law,
    clean_central_view,
    interpolation_error,
    noise_of_views,
)
from mddnet.scenes.refocus import RefocusedFrame, ViewInterpolator, refocus, view_discs
from mddnet.scenes.store import read_image, read_inv_depth, read_scene
from mddnet.types import SceneRecord

pytestmark = pytest.mark.slow

PLANES = TwoPlanes(near=1.0, far=-1.0)


def grid_of(planes: TwoPlanes, reach: int) -> ViewGrid:
    side = 2 * reach + 1
    return view_grid(planes.views(reach), grid_positions(side, side, (reach, reach), "rows down, columns right"))


def perfect(planes: TwoPlanes) -> DisparityMap:
    truth = planes.truth()
    return DisparityMap(truth, truth, np.ones_like(truth))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SceneRecord]:
    root = tmp_path_factory.mktemp("field")
    capture = write_light_field(root / "captures" / "two_planes", PLANES, reach=2, columns_left=True)
    return root / "scenes" / "two_planes", build_light_field_scene(capture, root / "scenes")


def test_the_scene_is_complete_with_its_facts(built: tuple[Path, SceneRecord]) -> None:
    folder, record = built
    assert read_scene(folder) == record
    assert (record.unit, record.provenance, record.capture, record.location) == (
        "relative",
        "real",
        "light_field",
        "made",
    )
    assert len(record.frames) == 24
    assert all((folder / frame.file).is_file() for frame in record.frames)
    shape = read_image(folder / record.sharp).shape[:2]
    assert read_inv_depth(folder / record.inv_depth).shape == shape
    assert read_image(folder / record.frames[0].file).shape[:2] == shape
    assert not list(folder.glob(".*"))


def test_the_inverse_depth_is_the_disparity_and_near_is_larger(built: tuple[Path, SceneRecord]) -> None:
    folder, record = built
    u = read_inv_depth(folder / record.inv_depth)
    height, width = u.shape
    assert np.nanmedian(u[height // 2 - 10 : height // 2 + 10, width // 2 - 15 : width // 2 + 15]) == pytest.approx(
        1, abs=0.05
    )
    assert np.nanmedian(u[:8]) == pytest.approx(-1, abs=0.05)
    assert np.isfinite(u).mean() > 0.6


def test_the_frames_obey_the_law(built: tuple[Path, SceneRecord]) -> None:
    _, record = built
    assert record.measures["kappa_ratio"] == pytest.approx(1, abs=0.1)
    assert record.measures["rerender_error_fraction"] < 0.3
    assert record.measures["near_vote"] > 0.8
    assert len({round(frame.kappa_px, 6) for frame in record.frames}) == 3
    # The largest disc of 5x5 views is cut off at +-2: its kappa is below the 5 px of a full disc of radius 2.5.
    assert 3.5 < max(frame.kappa_px for frame in record.frames) <= 5.0


def test_what_is_in_focus_is_sharp_in_the_stored_frames(built: tuple[Path, SceneRecord]) -> None:
    folder, record = built
    widest = max(frame.kappa_px for frame in record.frames)
    frames = sorted((f for f in record.frames if f.kappa_px == widest), key=lambda f: f.u_focus)
    far, near = (read_image(folder / f.file).astype(float) for f in (frames[0], frames[-1]))
    sharp = read_image(folder / record.sharp).astype(float)
    height, width = sharp.shape[:2]
    middle = (slice(height // 2 - 10, height // 2 + 10), slice(width // 2 - 15, width // 2 + 15))
    top = (slice(0, 8), slice(8, -8))
    assert np.abs(near - sharp)[middle].mean() < 0.3 * np.abs(far - sharp)[middle].mean()
    assert np.abs(far - sharp)[top].mean() < 0.3 * np.abs(near - sharp)[top].mean()


def test_a_field_without_parallax_is_rejected_with_its_numbers(tmp_path: Path) -> None:
    still = TwoPlanes(near=0.0, far=0.0)
    with pytest.raises(RejectedScene, match=r"order .*ambiguous.* costs 0\.0"):
        build_light_field_scene(write_light_field(tmp_path / "still", still, reach=1), tmp_path / "out")
    assert not (tmp_path / "out" / "still").exists()


def test_one_plane_has_no_near_and_far(tmp_path: Path) -> None:
    flat = TwoPlanes(near=0.8, far=0.8)
    with pytest.raises(RejectedScene):
        build_light_field_scene(write_light_field(tmp_path / "flat", flat, reach=1), tmp_path / "out")


def test_a_field_that_misses_a_view_is_an_error(tmp_path: Path) -> None:
    capture = write_light_field(tmp_path / "gap", PLANES, reach=1)
    (capture / "view_01_02.jpg").unlink()
    with pytest.raises(CaptureError, match=r"view_01_02\.jpg"):
        build_light_field_scene(capture, tmp_path / "out")


def test_a_truncated_view_is_an_error(tmp_path: Path) -> None:
    capture = write_light_field(tmp_path / "cut", PLANES, reach=1)
    path = capture / "view_00_00.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CaptureError, match=r"view_00_00\.jpg"):
        build_light_field_scene(capture, tmp_path / "out")


def test_the_noise_is_measured_and_averaging_lowers_it() -> None:
    planes = TwoPlanes()
    views = planes.views(1)
    sigma = 0.02
    views += np.random.default_rng(1).normal(0, sigma, views.shape).astype(np.float32)
    grid = view_grid(views, grid_positions(3, 3, (1, 1), "rows down, columns right"))
    depth = perfect(planes)
    # Sampling between pixels averages a little of the neighbours' noise away.
    assert noise_of_views(grid, depth) == pytest.approx(sigma, rel=0.25)
    clean = clean_central_view(grid, depth)
    truth = linear_from_srgb(planes.view(0, 0))
    noisy = linear_from_srgb(np.clip(views[4], 0, 1))
    inner = (slice(4, -4), slice(4, -4))
    assert np.std((clean - truth)[inner]) < 0.65 * np.std((noisy - truth)[inner])


def test_the_check_detects_a_wrong_kappa() -> None:
    planes = TwoPlanes()
    grid = grid_of(planes, 2)
    interpolator = ViewInterpolator(grid, planes.truth())
    discs = view_discs(grid, [2.0], steps=2)
    frames = list(refocus(interpolator, discs, [planes.near, planes.far]))
    sharp = interpolator.real_view(grid.centre)
    right = check_law(sharp, planes.truth(), frames, discs)
    assert right.kappa_ratio == pytest.approx(1, abs=0.08)
    assert right.error_fraction < 0.2
    # Frames with a wrong focus: blur by the law explains little.
    swapped = [RefocusedFrame(f.linear, planes.near + planes.far - f.d_focus, f.disc) for f in frames]
    assert check_law(sharp, planes.truth(), swapped, discs).error_fraction > 0.9


def test_the_error_of_interpolation_is_small_for_an_exact_map() -> None:
    planes = TwoPlanes()
    assert interpolation_error(ViewInterpolator(grid_of(planes, 2), planes.truth())) < 0.06


def test_views_that_are_too_far_apart_are_rejected(tmp_path: Path) -> None:
    # 12 px per view on 96 rows: a disc of one view already leaves a border of an eighth of the image.
    wide = TwoPlanes(near=12.0, far=11.0)
    with pytest.raises(RejectedScene, match="too far apart"):
        build_light_field_scene(write_light_field(tmp_path / "wide", wide, reach=1), tmp_path / "out")


def test_png_views_are_not_read_as_jpeg(tmp_path: Path) -> None:
    capture = write_light_field(tmp_path / "png", PLANES, reach=1)
    Image.new("RGB", (128, 96)).save(capture / "view_00_00.png")
    (capture / "view_00_00.jpg").unlink()
    with pytest.raises(CaptureError, match="1 of 9 views"):
        build_light_field_scene(capture, tmp_path / "out")

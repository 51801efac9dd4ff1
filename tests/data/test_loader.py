"""Batches: determined by seed and number, with consistent geometry and lens law."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.made_scenes import KAPPA_PX, make_scene, make_scene_root  # noqa: E402

from mddnet.config import DataConfig  # noqa: E402
from mddnet.data.augment import View, draw_view, photometric, view_image, view_map  # noqa: E402
from mddnet.data.loader import SampleBatches, batch_loader  # noqa: E402
from mddnet.data.scene_pool import open_by_split, open_scenes, read_truth  # noqa: E402
from mddnet.errors import CaptureError, RecipeError  # noqa: E402

LOCATIONS = {"place_a": "train", "place_b": "train", "place_c": "train", "place_d": "dev"}


def _config(**changes) -> DataConfig:
    data = {
        "crop": (64, 64),
        "batch_size": 4,
        "mixture": {"focal_stacks": 1.0, "rgbd": 0.5},
        "late_crop": (64, 96),
        "photometric": 0.0,
        "sharp_share": 0.0,
    }
    return DataConfig.model_validate({**data, **changes})


@pytest.fixture
def entries(tmp_path: Path):
    root, _ = make_scene_root(tmp_path / "scenes")
    return open_scenes(root, LOCATIONS, "train")


def test_dev_locations_are_not_used(entries, tmp_path: Path) -> None:
    assert {e.record.location for e in entries} == {"place_a", "place_b", "place_c"}
    assert [e.record.name for e in open_scenes(tmp_path / "scenes", LOCATIONS, "dev")] == ["d"]


def test_calib_locations_are_not_used(entries, tmp_path: Path) -> None:
    sides = open_by_split(tmp_path / "scenes", {**LOCATIONS, "place_b": "calib"})
    assert {e.record.location for e in sides["train"]} == {"place_a", "place_c"}
    assert {e.record.location for e in sides["dev"]} == {"place_d"}


def test_unlisted_location_is_refused(entries, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="place_c"):
        open_scenes(tmp_path / "scenes", {"place_a": "train", "place_b": "train", "place_d": "dev"}, "train")


def test_batch_depends_on_seed_and_number_only(entries) -> None:
    first = SampleBatches(entries, _config(photometric=0.8), seed=3, length=10)
    second = SampleBatches(entries, _config(photometric=0.8), seed=3, length=10)
    second[0], second[7]  # what was drawn before does not matter
    assert torch.equal(first[5].image, second[5].image)
    assert not torch.equal(first[5].image, first[6].image)
    other = SampleBatches(entries, _config(photometric=0.8), seed=4, length=10)
    assert not torch.equal(first[5].image, other[5].image)


def test_lens_law_holds_in_every_crop(entries) -> None:
    batches = SampleBatches(entries, _config(), seed=0, length=8)
    for n in range(8):
        batch = batches[n]
        law = batch.kappa_px.view(-1, 1, 1, 1) * (batch.u_focus.view(-1, 1, 1, 1) - batch.inv_depth)
        known = torch.isfinite(law)
        assert torch.allclose(law[known], batch.signed_defocus_px[known], atol=1e-3)
        assert (batch.weight[~known] == 0).all()


def test_resizing_scales_the_blur(entries) -> None:
    # the largest square of a scene 96 high is 96 px, and 64 px in the crop
    config = _config(window=(1.0, 1.0), rotated_share=0.0, late_share=0.0, mixture={"focal_stacks": 1.0})
    batches = SampleBatches(entries, config, seed=1, length=5)
    kappas = torch.cat([batches[n].kappa_px for n in range(5)])
    truth = read_truth(next(e for e in entries if e.group == "focal_stacks"))
    expected = KAPPA_PX * truth.range * 64 / 96
    assert torch.allclose(kappas, torch.full_like(kappas, expected), rtol=0.02)


def test_truth_has_the_stride_of_the_maps_and_late_crops_are_larger(entries) -> None:
    batches = SampleBatches(entries, _config(late_share=0.5), seed=0, length=4)
    early, late = batches[1], batches[2]
    assert early.image.shape[2:] == (64, 64) and early.inv_depth.shape[2:] == (16, 16)
    assert sorted(late.image.shape[2:]) == [64, 96] and late.inv_depth.shape[2] == late.image.shape[2] // 4


def test_a_share_of_the_samples_is_sharp(entries) -> None:
    batches = SampleBatches(entries, _config(sharp_share=0.33, batch_size=64), seed=0, length=2)
    sharp = torch.cat([batches[n].kappa_px == 0 for n in range(2)]).float().mean().item()
    assert 0.2 < sharp < 0.46
    batch = SampleBatches(entries, _config(sharp_share=1.0), seed=0, length=1)[0]
    assert (torch.nan_to_num(batch.signed_defocus_px) == 0).all()


def test_locations_are_drawn_evenly(entries, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many scenes a location has."""
    stacks = [e for e in entries if e.group == "focal_stacks"]
    rare = stacks[-1].record.location
    many = [*stacks, *([next(e for e in stacks if e.record.location != rare)] * 30)]
    batches = SampleBatches(many, _config(mixture={"focal_stacks": 1.0}, batch_size=64), seed=0, length=1)
    drawn: list[str] = []
    read = batches.pool.truth
    monkeypatch.setattr(batches.pool, "truth", lambda entry: drawn.append(entry.record.location) or read(entry))
    batches[0]
    share = drawn.count(rare) / 64
    assert abs(share - 1 / len({e.record.location for e in stacks})) < 0.2


def test_ordinal_scenes_are_marked(entries) -> None:
    batches = SampleBatches(entries, _config(mixture={"rgbd": 1.0}), seed=0, length=1)
    assert batches[0].ordinal.all()


def test_mixture_without_scenes_is_refused(entries) -> None:
    with pytest.raises(RecipeError, match="photos"):
        SampleBatches(entries, _config(mixture={"photos": 1.0}), seed=0, length=1)


def test_loader_resumes_in_the_middle(entries) -> None:
    batches = SampleBatches(entries, _config(), seed=0, length=6)
    late = [b.image for b in batch_loader(batches, first=4, workers=0)]
    assert len(late) == 2 and torch.equal(late[0], batches[4].image)
    for workers in (1, 2):  # a thread, and processes
        by_worker = [b.image for b in batch_loader(batches, first=4, workers=workers)]
        assert len(by_worker) == 2 and torch.equal(by_worker[1], late[1])


def test_view_rotates_image_and_map_alike() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    values = image[..., 0].astype(np.float32)
    for turns in range(4):
        for mirrored in (False, True):
            view = View(top=0, left=16, height=64, width=64, quarter_turns=turns, mirrored=mirrored)
            seen = view_image(image, view, (64, 64))
            assert np.array_equal(seen[..., 0].astype(np.float32), view_map(values, view, (64, 64)))
    rotated = view_image(image, View(0, 0, 64, 96, 1, False), (96, 64))
    assert np.array_equal(rotated, np.rot90(image))  # counter-clockwise


def test_view_map_keeps_unknown_unknown() -> None:
    values = np.full((8, 8), 3.0, dtype=np.float32)
    values[:, :4] = np.nan
    seen = view_map(values, View(0, 0, 8, 8, 0, False), (4, 4))
    assert np.isnan(seen[:, :2]).all() and (seen[:, 2:] == 3).all()


def test_view_map_keeps_edges_and_sparse_points() -> None:
    edge = np.where(np.arange(16) < 7, np.float32(1), np.float32(5)) * np.ones((16, 1), np.float32)
    assert set(np.unique(view_map(edge, View(0, 0, 16, 16, 0, False), (4, 4)))) == {1, 5}  # no value between
    points = np.full((40, 40), np.nan, dtype=np.float32)
    points[3, 39], points[20, 11] = 2.0, 7.0
    seen = view_map(points, View(0, 0, 40, 40, 0, False), (10, 10))
    assert seen[0, 9] == 2 and seen[5, 2] == 7 and np.isfinite(seen).sum() == 2
    rotated = view_map(points, View(0, 0, 40, 40, 2, False), (10, 10))
    assert rotated[9, 0] == 2 and rotated[4, 7] == 7


def test_views_are_inside_scenes_and_have_the_shape_of_the_crop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = (int(rng.integers(40, 300)), int(rng.integers(40, 300)))
        view = draw_view(rng, size, (64, 96), (0.3, 0.9), 0.5, True)
        assert view.top >= 0 and view.top + view.height <= size[0]
        assert view.left >= 0 and view.left + view.width <= size[1]
        ratio = 96 / 64 if view.quarter_turns % 2 == 0 else 64 / 96
        assert view.width / view.height == pytest.approx(ratio, rel=0.12)
        assert view_image(np.zeros((*size, 3), dtype=np.uint8), view, (64, 96)).shape == (64, 96, 3)


def test_photometric_off_changes_nothing_and_on_keeps_the_range() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert photometric(rng, image, 0.0) is image
    changed = [photometric(np.random.default_rng(i), image, 1.0) for i in range(20)]
    assert all(c.dtype == np.uint8 and c.shape == image.shape for c in changed)
    assert sum(not np.array_equal(c, image) for c in changed) == 20


def test_scene_without_depth_is_refused(tmp_path: Path) -> None:
    from mddnet.scenes.store import write_inv_depth

    folder = make_scene(tmp_path, "rgbd", "empty", "place_a", 1)
    write_inv_depth(folder / "inv_depth.png", np.full((96, 128), np.nan, dtype=np.float32), "relative")
    entry = open_scenes(tmp_path, LOCATIONS, "train")[0]
    with pytest.raises(CaptureError, match="at least 50"):
        read_truth(entry)


def test_processes_draw_different_batches(entries) -> None:
    config = _config(late_share=0.0)
    alone = SampleBatches(entries, config, seed=3, length=4)
    first, second = (SampleBatches(entries, config, seed=3, length=2, rank=rank, ranks=2) for rank in (0, 1))
    for n in range(2):
        assert torch.equal(first[n].image, alone[2 * n].image)
        assert torch.equal(second[n].image, alone[2 * n + 1].image)


def test_workers_start_where_opencv_had_threads(entries) -> None:
    import cv2

    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (0, 0), 3.0)  # its threads are there now
    batches = SampleBatches(entries, _config(), seed=0, length=2)
    assert len(list(batch_loader(batches, 0, workers=2))) == 2

"""Measures and regions on scenes with a known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from research.claims.measure import measure
from research.claims.methods import OTHERS, PRIOR, NetworkMethod
from research.claims.regions import REGIONS, gradient_energy, regions
from tests.support.made_scenes import make_scene, make_scene_root

from mddnet.config import ModelConfig
from mddnet.data.scene_pool import SceneEntry, open_by_split
from mddnet.data.split import read_split
from mddnet.evaluate.scenes import SceneMaps
from mddnet.metrics import Estimate
from mddnet.model.network import MDDNet
from mddnet.scenes.store import read_image, read_inv_depth
from mddnet.types import UInt8Array


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[SceneEntry]:
    root, split = make_scene_root(tmp_path_factory.mktemp("scenes"))
    make_scene(root, "stereo", "m", "place_m", 6, unit="1/m")
    split.write_text(split.read_text() + "place_m,dev\n")
    return [entry for found in open_by_split(root, read_split(split)).values() for entry in found]


class Oracle:
    """Returns the truth of one scene, with a given error, for its frames and its sharp image."""

    name = "oracle"
    quantities = ("inv_depth", "defocus_px")

    def __init__(self, entry: SceneEntry, scale: float = 1.0, coc_error_px: float = 0.0) -> None:
        self.u = np.nan_to_num(read_inv_depth(entry.folder / entry.record.inv_depth), nan=0.1)
        self.photos = [(f.u_focus, f.kappa_px, read_image(entry.folder / f.file)) for f in entry.record.frames]
        self.photos.append((0.0, 0.0, read_image(entry.folder / entry.record.sharp)))
        self.scale, self.coc_error_px = scale, coc_error_px

    def infer(self, photo: UInt8Array, /) -> Estimate:
        for u_focus, kappa_px, pixels in self.photos:
            if np.array_equal(pixels, photo):
                signed = (kappa_px * (u_focus - self.u)).astype(np.float32)
                u = (self.scale * self.u + 3.0).astype(np.float32)
                return Estimate(u, np.abs(signed) + np.float32(self.coc_error_px), signed)
        raise AssertionError("a photo that is not of the scene")


def test_truth_has_no_error(entries: list[SceneEntry]) -> None:
    metric = next(e for e in entries if e.record.location == "place_m")
    found = measure(Oracle(metric, scale=5.0), [metric])["stereo", "place_m"]
    for name in ("depth_ordinal", "depth_ordinal_sharp", "defocus_ordinal", "sign_accuracy"):
        assert found[name] == 1.0, name
    for name in ("depth_error", "depth_error_sharp", "depth_error_weak", "depth_error_edge", "coc_mae_px"):
        assert found[name] == pytest.approx(0.0, abs=1e-3), name


def test_a_known_error_is_measured(entries: list[SceneEntry]) -> None:
    one = next(e for e in entries if e.record.location == "place_d")
    found = measure(Oracle(one, scale=-1.0, coc_error_px=0.5), [one])["focal_stacks", "place_d"]
    assert found["depth_ordinal"] == 0.0 and found["depth_ordinal_sharp"] == 0.0
    u = read_inv_depth(one.folder / one.record.inv_depth)
    u = u[np.isfinite(u)]
    # inverted depth is no better than a constant, because the scale must be positive
    low, high = np.percentile(u, (2, 98))
    assert found["depth_error"] == pytest.approx(np.abs(u - u.mean()).mean() / (high - low), rel=0.05)
    for name in ("coc_mae_px", "coc_mae_px_weak", "coc_mae_px_strong", "coc_mae_px_away"):
        assert found[name] == pytest.approx(0.5, abs=1e-3), name


def test_ordinal_depth_has_ordinal_metrics_only(entries: list[SceneEntry]) -> None:
    one = next(e for e in entries if e.record.location == "place_c")
    assert one.record.unit == "ordinal"
    found = measure(Oracle(one), [one])["rgbd", "place_c"]
    assert found["depth_ordinal"] == 1.0 and "depth_error" not in found
    assert found["coc_mae_px"] == pytest.approx(0.0, abs=1e-3)  # its blur was rendered


def test_locations_are_means_over_scenes(entries: list[SceneEntry]) -> None:
    two = [e for e in entries if e.record.location == "place_a"]

    class Constant:
        name = "constant"
        quantities = ("defocus_px",)

        def infer(self, photo: UInt8Array, /) -> Estimate:
            return Estimate(defocus_px=np.zeros(photo.shape[:2], dtype=np.float32))

    alone = [measure(Constant(), [e])["focal_stacks", "place_a"]["coc_mae_px"] for e in two]
    assert len(two) == 2
    both = measure(Constant(), two)["focal_stacks", "place_a"]
    assert both["coc_mae_px"] == pytest.approx(np.mean(alone)) and both["photos"] == 6


def test_texture_by_gradient_energy() -> None:
    sharp = np.full((60, 90, 3), 128, dtype=np.uint8)
    sharp[:, 60:] = np.where(np.indices((60, 30)).sum(axis=0)[..., None] % 2, 220, 30)  # a third: the finest pattern
    # a slope of 2 grey levels a pixel: squared gradient (2 / 255)^2 away from its ends
    slope = np.repeat(np.arange(90, dtype=np.uint8)[None, :, None] * 2, 3, axis=2).repeat(60, 0)
    assert gradient_energy(slope)[30, 45] == pytest.approx((2 / 255) ** 2, rel=1e-3)
    u = np.zeros((60, 90), dtype=np.float32)
    u[30:] = 1.0
    sharp[:30, :30] = np.random.default_rng(0).integers(100, 156, (30, 30, 1), dtype=np.uint8)
    where = regions(SceneMaps(sharp, u, np.ones((60, 90), dtype=bool), 1.0))
    assert where["edge"][30].all() and not where["edge"][:25].any() and not where["edge"][35:].any()
    assert (where["edge"] ^ where["away"]).all()
    assert not (where["weak"] & where["strong"]).any()
    assert where["weak"][45, 20] and not where["weak"][15, 15]
    assert abs(where["weak"].mean() - 1 / 3) < 0.35 and where["strong"].mean() == pytest.approx(1 / 3, abs=0.02)
    # every pixel is strong or at one distance from it: of 90 px, up to .9, up to 2.7, and more
    assert set(where) == set(REGIONS)
    assert (sum(where[name].astype(int) for name in ("strong", "close", "between", "far")) == 1).all()
    row, left = 45, int(np.flatnonzero(where["strong"][45])[0])
    assert where["between"][row, left - 2] and where["far"][row, left - 4] and not where["far"][row, left - 2]


def test_network_predicts_in_pixels_of_the_photo() -> None:
    network = MDDNet(ModelConfig(pretrained=False)).eval()
    small = np.random.default_rng(0).integers(0, 256, (128, 512, 3), dtype=np.uint8)
    large = small.repeat(2, 0).repeat(2, 1)
    a, b = NetworkMethod(network).infer(small), NetworkMethod(network).infer(large)
    assert a.defocus_px is not None and b.defocus_px is not None and b.signed_defocus_px is not None
    assert b.defocus_px.shape == (256, 1024)
    # the network sees the same picture, so the CoC is twice as many pixels
    assert np.median(b.defocus_px / 2 - a.defocus_px.repeat(2, 0).repeat(2, 1)) == pytest.approx(0, abs=0.02)
    assert np.array_equal(np.abs(b.signed_defocus_px), np.where(b.signed_defocus_px == 0, 0, b.defocus_px))


def test_a_network_of_one_task_has_no_other_map() -> None:
    settings = ModelConfig(pretrained=False, tasks="depth", soft_connection=False, sign=False)
    method = NetworkMethod(MDDNet(settings))
    answer = method.infer(np.zeros((64, 100, 3), dtype=np.uint8))
    assert method.quantities == ("inv_depth",)
    assert answer.inv_depth is not None and answer.inv_depth.shape == (64, 100)
    assert answer.defocus_px is None and answer.signed_defocus_px is None


def test_lower_is_nearer(tmp_path: Path) -> None:
    found = OTHERS[PRIOR][1](tmp_path).infer(np.zeros((8, 6, 3), dtype=np.uint8)).inv_depth
    assert found is not None and (np.diff(found, axis=0) > 0).all()

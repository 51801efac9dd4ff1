"""The linear probe: algebra, cells, and recovery of a known linear relation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")
onnxruntime = pytest.importorskip("onnxruntime")

from research.linear_probe.export import export_probe  # noqa: E402
from research.linear_probe.features import DinoFeatures  # noqa: E402
from research.linear_probe.fit import (  # noqa: E402
    BLOCKS,
    SCENES_PER_LOCATION,
    DepthProbe,
    cell_medians,
    fit_probe,
    probe_scenes,
    ridge,
)
from tests.support.made_scenes import make_scene, make_scene_root  # noqa: E402

from mddnet.data.scene_pool import open_scenes  # noqa: E402
from mddnet.data.split import read_split  # noqa: E402
from mddnet.errors import TrainingError  # noqa: E402
from mddnet.evaluate.baselines import find_baseline  # noqa: E402
from research.linear_probe import fit  # noqa: E402


@pytest.fixture(scope="module")
def features() -> DinoFeatures:
    torch.manual_seed(0)
    return DinoFeatures(pretrained=False).eval()


def test_ridge_values() -> None:
    # one feature of variance 4, mean of x y = 2: of unit variance w = 1 / (1 + cost), over the deviation of 2
    assert ridge(np.array([[4.0]]), np.array([2.0]), cost=1.0).tolist() == pytest.approx([0.25])
    # a feature that never changes gets no weight, and does no harm
    assert ridge(np.diag([4.0, 0.0]), np.array([2.0, 0.0]), cost=1.0).tolist() == pytest.approx([0.25, 0.0])
    with pytest.raises(TrainingError, match="no scene has depth"):
        ridge(np.zeros((2, 2)), np.zeros(2))


def test_ridge_is_the_minimum_and_scale_invariant() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    x -= x.mean(axis=0)
    y = x @ [1.0, -2.0, 0.5] + rng.normal(size=200)
    gram, moment = x.T @ x / 200, x.T @ y / 200

    def loss(w: np.ndarray) -> float:
        return float(np.mean((x @ w - y) ** 2) + 0.3 * np.sum((x.std(axis=0) * w) ** 2))

    found = ridge(gram, moment, 0.3)
    assert all(loss(found) < loss(found + step) for step in 0.01 * rng.normal(size=(20, 3)))
    unit = np.array([1.0, 10.0, 0.1])
    np.testing.assert_allclose(ridge(gram * unit[:, None] * unit, moment * unit, 0.3), found / unit)


def test_cells_values() -> None:
    nan = np.nan
    depth = np.array([[1, 2, 5, nan], [3, 4, nan, nan], [7, 7, 8, 8]], dtype=np.float32)
    np.testing.assert_array_equal(cell_medians(depth[:2], 1, 2), [[2.5, nan]])  # a quarter is known
    np.testing.assert_array_equal(cell_medians(depth, 3, 2), [[1.5, nan], [3.5, nan], [7, 8]])
    assert cell_medians(depth, 6, 8).shape == (6, 8)  # more cells than pixels


@pytest.mark.slow
def test_probe_is_deterministic_and_works_as_baseline(
    features: DinoFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "LONG_SIDE_PX", 128)  # quick, and large enough for the scenes of the tests
    monkeypatch.setattr(fit, "CROP_LONG_SIDES_PX", (96, 128))
    root, split = make_scene_root(tmp_path / "scenes")
    entries = open_scenes(root, read_split(split), "train")
    told: list[int] = []
    weight = fit_probe(entries, features, done=lambda: told.append(1))
    assert weight.shape == (384 * len(BLOCKS),) and len(told) == len(entries)
    np.testing.assert_array_equal(weight, fit_probe(entries, features))  # the same seed, the same probe
    probe = DepthProbe(features, weight).eval()
    export_probe(probe, tmp_path / "probe.onnx")
    baseline = find_baseline(str(tmp_path / "probe.onnx"))
    photo = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    answer = baseline.infer(photo).inv_depth
    assert answer.shape == (96, 128)
    with torch.no_grad():
        cells = probe(torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255)[0, 0].numpy()
    # float16 weights; compared at the centres of the cells, which enlarging leaves as they are
    centres = (answer[7::16, 7::16] + answer[8::16, 7::16] + answer[7::16, 8::16] + answer[8::16, 8::16]) / 4
    assert np.corrcoef(centres.ravel(), cells.ravel())[0, 1] > 0.98


def test_locations_have_equal_weight_and_photos_have_no_depth(tmp_path: Path) -> None:
    for n in range(SCENES_PER_LOCATION + 3):
        make_scene(tmp_path, "rgbd", f"r{n:02d}", "video", n)
    make_scene(tmp_path, "photos", "p", "photos/x", 99, capture="photo")
    (tmp_path / "split.csv").write_text("place,split\nvideo,train\n")
    chosen = probe_scenes(open_scenes(tmp_path, read_split(tmp_path / "split.csv"), "train"))
    assert len(chosen) == SCENES_PER_LOCATION and {entry.group for entry in chosen} == {"rgbd"}

"""Zhuo and Sim's method on edges of known blur."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mddnet.errors import ModelError
from mddnet.evaluate.baselines import find_baseline

pytest.importorskip("scipy", reason="the method needs SciPy (extra build)")
pytest.importorskip("cv2", reason="the method needs OpenCV (extra build)")

from scipy.ndimage import gaussian_filter

from mddnet.evaluate.baselines.zhuo_sim import edge_blur, matting_laplacian, propagated, sigma_map, sparse_bilateral
from mddnet.types import UInt8Array


def step(sigma_px: float, height: int = 60, width: int = 90) -> UInt8Array:
    """A grey step in the middle, blurred."""
    luma = np.where(np.arange(width) < width // 2, 40.0, 210.0)[None].repeat(height, axis=0)
    return np.rint(gaussian_filter(luma, sigma_px))[..., None].repeat(3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("sigma_px", [1.0, 2.0, 3.0])
def test_the_blur_of_a_step_is_read_back(sigma_px: float) -> None:
    edges, found = edge_blur(step(sigma_px))
    assert edges.any(axis=1).all() and not edges[:, :20].any()
    assert np.median(found[edges]) == pytest.approx(sigma_px, rel=0.12)
    assert (found[~edges] == 0).all()


def test_a_blurrier_edge_counts_as_the_largest_and_a_flat_photo_has_none() -> None:
    edges, found = edge_blur(step(9.0))
    assert found[edges].max() == pytest.approx(5.0)
    flat = np.full((40, 50, 3), 128, dtype=np.uint8)
    assert (sigma_map(flat) == 0).all()


def test_the_matting_laplacian_is_symmetric_and_blind_to_linear_maps_of_the_colours() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    laplacian = matting_laplacian(photo).toarray()
    np.testing.assert_allclose(laplacian, laplacian.T, atol=1e-9)
    np.testing.assert_allclose(laplacian.sum(axis=1), 0.0, atol=1e-9)
    assert np.linalg.eigvalsh(laplacian).min() > -1e-9
    linear = (photo / 255.0) @ np.array([0.3, -0.5, 0.8]) + 0.2
    assert np.abs(laplacian @ linear.ravel()).max() < 1e-4


def test_the_bilateral_filter_does_not_mix_across_an_edge() -> None:
    guide = np.where(np.arange(100) < 50, 0.1, 0.9)[None].repeat(80, axis=0).astype(np.float32)
    where = np.zeros((80, 100), dtype=bool)
    where[::4, ::4] = True
    values = np.where(guide < 0.5, 1.0, 4.0) * where
    values[40, 24] = 5.0
    filtered = sparse_bilateral(values, where, guide)
    assert filtered[40, 24] < 1.4 and filtered[40, 48] == pytest.approx(1.0, abs=0.15)
    assert filtered[40, 52] == pytest.approx(4.0, abs=0.15) and (filtered[~where] == 0).all()


def test_values_spread_over_one_colour_and_stop_at_another() -> None:
    photo = step(0.0, 48, 64)
    where = np.zeros((48, 64), dtype=bool)
    where[10:38, 8] = where[10:38, 56] = True
    values = np.where(np.arange(64) < 32, 1.0, 3.0)[None] * where
    for long_side_px in (64, 32):  # as it is, and through a smaller photo
        full = propagated(values, where, photo, long_side_px)
        assert full.shape == (48, 64)
        np.testing.assert_allclose(full[5:43, 2:28], 1.0, atol=0.1)
        np.testing.assert_allclose(full[5:43, 36:62], 3.0, atol=0.1)


@pytest.mark.slow
def test_a_sharp_and_a_blurred_half_from_end_to_end() -> None:
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 256, (8, 12), dtype=np.uint8).repeat(20, axis=0).repeat(20, axis=1).astype(np.float64)
    both = np.where(np.arange(240) < 120, gaussian_filter(blocks, 0.7), gaussian_filter(blocks, 2.5))
    photo = np.rint(both)[..., None].repeat(3, axis=2).astype(np.uint8)
    left, right = np.s_[:, :110], np.s_[:, 130:]
    edges, at_edges = edge_blur(photo)
    assert np.median(at_edges[left][edges[left]]) == pytest.approx(0.7, abs=0.15)
    assert np.median(at_edges[right][edges[right]]) == pytest.approx(2.5, rel=0.05)
    baseline = find_baseline("zhuo-sim")
    assert baseline.quantities == ("sigma_px",)
    sigma_px = baseline.infer(photo).defocus_px / 4
    assert sigma_px.dtype == np.float32 and sigma_px.min() >= 0 and sigma_px.max() <= 5
    # patches of one grey level lie in both halves, and the matting Laplacian ties them together
    assert 1.3 * np.median(sigma_px[left]) < np.median(sigma_px[right])


def test_a_missing_package_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ModelError, match=r"zhuo-sim: .*cv2.*mddnet\[build\]"):
        find_baseline("zhuo-sim")

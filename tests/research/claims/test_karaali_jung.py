"""Karaali and Jung's method on edges of known blur."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the method needs SciPy (extra build)")
pytest.importorskip("cv2", reason="the method needs OpenCV (extra build)")

from research.claims.karaali_jung import (
    AGREEING,
    along_edges,
    domain_transform,
    edge_blur,
    propagated,
    sigma_map,
)
from scipy.ndimage import gaussian_filter

from mddnet.color import srgb8_from_linear
from mddnet.types import UInt8Array


def photo_of(light: np.ndarray) -> UInt8Array:
    """A grey photo of linear light."""
    return srgb8_from_linear(light.astype(np.float32))[..., None].repeat(3, axis=2)


def step(sigma_px: float, height: int = 60, width: int = 90) -> UInt8Array:
    """A grey step in the middle of a pixel, blurred in linear light."""
    return photo_of(gaussian_filter(bar(width // 2, width + 9)[:, :width].repeat(height, axis=0), sigma_px))


def bar(left: int, right: int) -> np.ndarray:
    """A row of light between the middles of two pixels: an edge between pixels is now on this one, now on that."""
    x = np.arange(max(right, 120))
    inside = np.clip(x - left + 0.5, 0, 1) * np.clip(right - x + 0.5, 0, 1)
    return (0.05 + 0.55 * inside)[None]


@pytest.mark.parametrize("sigma_px", [1.0, 2.0, 3.0, 4.0])
def test_the_blur_of_a_step_is_read_back(sigma_px: float) -> None:
    seen, found = edge_blur(step(sigma_px))
    edges = seen >= AGREEING
    assert edges.any(axis=1).all() and not edges[:, :30].any()
    assert np.median(found[edges]) == pytest.approx(sigma_px, rel=0.1)
    assert (found[~edges] == 0).all() and (seen[~edges] == 0).all()


def test_a_blurrier_edge_counts_as_the_largest_and_a_flat_photo_has_none() -> None:
    seen, found = edge_blur(step(9.0, 100, 160))
    assert found[seen >= AGREEING].max() == pytest.approx(5.0)
    assert (sigma_map(np.full((40, 50, 3), 128, dtype=np.uint8)) == 0).all()


def test_an_edge_with_a_neighbour_is_read_at_a_finer_scale() -> None:
    light = bar(60, 68).repeat(60, axis=0)  # its sides run into one another at coarse scales
    photo = photo_of(gaussian_filter(light, 1.5))
    seen, found = edge_blur(photo)
    edges = seen >= AGREEING
    assert seen[edges].max() < 9
    assert np.median(found[edges]) == pytest.approx(1.5, rel=0.25)


def test_two_neighbours_along_an_edge_solve_the_linear_system() -> None:
    edges = np.zeros((5, 7), dtype=bool)
    edges[2, 2:4] = True  # two that touch
    edges[4, 6] = True  # one alone
    values = np.zeros((5, 7))
    values[2, 2], values[2, 3], values[4, 6] = 1.0, 4.0, 2.0
    seen = np.where(edges, 4, 0)
    # 5 (x - 1) + 20 (x - y) = 0 and 5 (y - 4) + 20 (y - x) = 0: x + y = 5, 45 (y - x) = 15
    found = along_edges(values, edges, seen)
    assert found[2, 2] == pytest.approx(2.5 - 1 / 6) and found[2, 3] == pytest.approx(2.5 + 1 / 6)
    assert found[4, 6] == pytest.approx(2.0) and (found[~edges] == 0).all()


def test_the_domain_transform_keeps_a_constant_and_stops_at_an_edge_of_the_guide() -> None:
    guide = np.where(np.arange(60) < 30, 0.0, 1.0)[None, :, None].repeat(40, axis=0)
    assert domain_transform(np.full((40, 60, 1), 3.0), guide, 8.0, 0.1) == pytest.approx(3.0)
    noisy = guide + np.random.default_rng(0).normal(0, 0.1, guide.shape)
    smooth = domain_transform(noisy, guide, 8.0, 0.1)
    assert smooth.std(axis=(0, 1)) == pytest.approx(0.5, abs=0.02)
    assert smooth[:, :28].std() < 0.03 and smooth[:, 29].max() < 0.2 < 0.8 < smooth[:, 30].min()
    # a row with a guide that says nothing: the impulse keeps its sum and spreads by about sigma
    impulse = np.zeros((1, 201, 1))
    impulse[0, 100] = 1.0
    spread = domain_transform(impulse, np.zeros((1, 201, 1)), 5.0, 1.0)[0, :, 0]
    assert spread.sum() == pytest.approx(1.0, abs=1e-6)
    assert np.sqrt((spread * (np.arange(201) - 100.0) ** 2).sum()) == pytest.approx(5.0, rel=0.1)


def test_a_value_at_one_edge_holds_for_the_whole_photo() -> None:
    edges = np.zeros((48, 64), dtype=bool)
    edges[10:38, 32] = True
    assert propagated(edges * 1.7, edges, step(0.0, 48, 64)) == pytest.approx(1.7)


def test_a_sharp_and_a_blurred_half_from_end_to_end() -> None:
    rng = np.random.default_rng(1)
    blocks = rng.uniform(0.02, 0.9, (4, 6)).repeat(40, axis=0).repeat(40, axis=1)
    both = np.where(np.arange(240) < 120, gaussian_filter(blocks, 0.8), gaussian_filter(blocks, 3.0))
    sigma_px = sigma_map(photo_of(both))
    assert sigma_px.dtype == np.float32 and sigma_px.min() >= 0 and sigma_px.max() <= 5
    assert np.median(sigma_px[:, :90]) < 1.5 < 2.3 < np.median(sigma_px[:, 150:])

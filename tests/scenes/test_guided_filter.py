"""The guided filter: invariants, and edges that follow the image."""

from __future__ import annotations

import numpy as np

from mddnet.scenes.guided_filter import guided


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2).astype(np.uint8)


def test_a_constant_is_kept_and_a_flat_image_only_smooths() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 96)).astype(np.uint8)
    np.testing.assert_allclose(guided(np.full((48, 96), 0.7, np.float32), grey(noise)), 0.7, atol=1e-5)
    ramp = np.linspace(0, 1, 96, dtype=np.float32)[None].repeat(48, 0)
    smooth = guided(ramp, grey(np.full((48, 96), 128)))
    np.testing.assert_allclose(smooth[:, 16:-16], ramp[:, 16:-16], atol=1e-4)


def test_a_smooth_step_becomes_as_steep_as_in_the_image() -> None:
    picture = grey(np.where(np.arange(96) < 48, 40, 200)[None].repeat(48, 0))
    soft = (1 / (1 + np.exp(-(np.arange(96) - 47.5) / 3.0))).astype(np.float32)[None].repeat(48, 0)
    found = guided(soft, picture)
    assert found[24, 48] - found[24, 47] > 4 * (soft[24, 48] - soft[24, 47])
    assert found[24, 10] < 0.05 and found[24, 85] > 0.95


def test_it_is_linear_in_the_map() -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    a, b = rng.random((2, 40, 40), dtype=np.float32)
    np.testing.assert_allclose(guided(2 * a - b, picture), 2 * guided(a, picture) - guided(b, picture), atol=1e-3)

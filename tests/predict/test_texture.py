"""Texture evidence."""

from __future__ import annotations

import numpy as np

from mddnet.predict.texture import box_mean, texture_evidence


def test_a_checkerboard_by_hand_and_a_flat_wall() -> None:
    pixels = np.full((64, 64, 3), 128, np.uint8)
    assert texture_evidence(pixels).max() < 1e-3
    pixels[::2, ::2] = pixels[1::2, 1::2] = 178
    # A standard deviation of about 25 grey levels: 0.098 / (0.098 + 0.02).
    np.testing.assert_allclose(texture_evidence(pixels)[20:40, 20:40], 0.83, atol=0.01)


def test_box_mean_against_a_direct_sum() -> None:
    values = np.random.default_rng(0).random((20, 30))
    mean = box_mean(values, 5)
    assert mean.shape == values.shape
    np.testing.assert_allclose(mean[10, 15], values[8:13, 13:18].mean())
    np.testing.assert_allclose(box_mean(np.ones((20, 30)), 17), 1.0)

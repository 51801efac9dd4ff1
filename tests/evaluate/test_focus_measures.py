"""Focus measures as peers."""

from __future__ import annotations

import numpy as np
import pytest

from mddnet.evaluate.baselines.focus_measures import BASELINES, local_variance, tenengrad
from mddnet.evaluate.discs import blurred


def test_tenengrad_of_a_step_by_hand() -> None:
    photo = np.zeros((6, 8, 3), dtype=np.uint8)
    photo[:, 4:] = 255
    # Sobel's weights 1 + 2 + 1 on both sides of the step, squared
    np.testing.assert_allclose(tenengrad(photo, 0.0)[3], [0, 0, 0, 16, 16, 0, 0, 0], atol=1e-5)


def test_local_variance_of_noise() -> None:
    noise = np.random.default_rng(0).integers(100, 156, (80, 100, 3), dtype=np.uint8)
    grey = np.repeat(noise[..., :1], 3, axis=2)
    found = float(np.median(local_variance(grey, 8.0)))
    assert found == pytest.approx(float((grey[..., 0] / 255.0).var()), rel=0.05)
    assert local_variance(np.full((20, 20, 3), 200, np.uint8), 2.0).max() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("name", BASELINES)
def test_the_blurred_half_gets_the_larger_score(name: str) -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    photo = np.where(np.arange(120)[None, :, None] < 60, sharp, blurred(sharp, 6.0))
    score = BASELINES[name]().infer(photo).blur_score
    assert score.shape == (80, 120) and score.dtype == np.float32
    assert score[:, :55].max() < score[:, 65:].min()

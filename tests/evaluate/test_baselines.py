"""Answers that need no network."""

from __future__ import annotations

import numpy as np

from mddnet import metrics
from mddnet.evaluate.baselines import SHARPNESS_SCALES, negative_sharpness, row_inv_depth, sharpness_defocus_ordinal


def test_convention_lower_in_the_picture_is_nearer() -> None:
    rows = row_inv_depth(3, 2)
    np.testing.assert_allclose(rows, [[0, 0], [0.5, 0.5], [1, 1]])


def test_sharpness_orders_a_half_that_is_flat() -> None:
    photo = np.full((60, 60, 3), 128, dtype=np.uint8)
    photo[:, :30] = np.random.default_rng(0).integers(0, 256, (60, 30, 3))
    answer = negative_sharpness(photo, 0.02)
    assert answer[:, :25].max() < answer[:, 40:].min() <= 0
    coc = np.where(np.arange(60) < 30, 0.0, 5.0)[None, :].repeat(60, axis=0)
    scores = sharpness_defocus_ordinal(photo, metrics.defocus_ordinal_pairs(coc, None))
    assert set(scores) == set(SHARPNESS_SCALES) and scores[0.01] > 0.97

"""Reference estimates that need no network."""

from __future__ import annotations

import numpy as np
import pytest

from mddnet import metrics
from mddnet.metrics import Comparison, Estimate, Truth, measure, negative_sharpness, vertical_position


def test_convention_lower_in_the_picture_is_nearer() -> None:
    np.testing.assert_allclose(vertical_position(3, 2), [[0, 0], [0.5, 0.5], [1, 1]])


def test_sharpness_orders_a_half_that_is_flat() -> None:
    photo = np.full((60, 60, 3), 128, dtype=np.uint8)
    photo[:, :30] = np.random.default_rng(0).integers(0, 256, (60, 30, 3))
    (estimate,) = negative_sharpness(photo, 0.02)
    assert estimate[:, :25].max() < estimate[:, 40:].min() <= 0
    coc = np.where(np.arange(60) < 30, 0.0, 5.0)[None, :].repeat(60, axis=0).astype(np.float32)
    truth = Truth(
        photo,
        defocus_px=coc,
        defocus_pairs=metrics.defocus_ordinal_pairs(coc, None),
        defocus_indices=np.arange(0, 3600, 7),
    )
    scores = measure(Comparison(truth, Estimate()))  # all of these need the truth alone
    assert all(f"defocus_ordinal_sharpness_{scale}" in scores for scale in metrics.SHARPNESS_SCALES)
    assert scores["defocus_ordinal_sharpness_0.01"] > 0.97 and scores["blur_ap_sharpness_0.01"] > 0.97
    share = scores["blur_share"]
    assert share == pytest.approx(0.5, abs=0.01) and scores["blur_mae_constant"] == min(share, 1 - share)
    # precision is the share, recall one
    assert scores["blur_f_everywhere"] == pytest.approx(1.3 * share / (0.3 * share + 1))
    assert measure(Comparison(truth, Estimate()), references=False) == {}

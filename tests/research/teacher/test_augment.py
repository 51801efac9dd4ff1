"""Augmentation: what a lens, a crop and a mirror do to pictures and truths."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")

from research.teacher import augment


def dots() -> np.ndarray:
    picture = np.zeros((41, 81, 3), dtype=np.float32)
    picture[20, 20] = picture[20, 60] = 1
    return picture


def two_depths() -> np.ndarray:
    inv_depth = np.zeros((41, 81), dtype=np.float32)
    inv_depth[:, 40:] = 1
    return inv_depth


def test_disc_has_the_variance_of_its_diameter() -> None:
    kernel = augment.disc(16)
    reach = kernel.shape[0] // 2
    x = np.arange(-reach, reach + 1)
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    # a disc of diameter c has the variance (c / 4)^2 per axis
    assert float((kernel.sum(0) * x**2).sum()) ** 0.5 == pytest.approx(4, rel=0.05)


def test_lens_keeps_what_is_in_focus_and_spreads_the_rest() -> None:
    blurred = augment.lens_blur(dots(), two_depths(), focus=1.0, strength_px=9)
    assert blurred[20, 60, 0] == pytest.approx(1, abs=1e-3)
    assert 0.05 < blurred[20, 20, 0] < 0.5
    assert blurred[20, 23, 0] == pytest.approx(blurred[20, 20, 0], abs=0.02)


def test_lens_keeps_an_even_picture_even() -> None:
    grey = np.full((41, 81, 3), 0.5, dtype=np.float32)
    assert np.allclose(augment.lens_blur(grey, two_depths(), focus=0.5, strength_px=9), 0.5, atol=0.01)


def test_no_blur_without_depth() -> None:
    unknown = np.full((41, 81), np.nan, dtype=np.float32)
    assert augment.random_lens_blur(dots(), unknown, np.random.default_rng(0)) is not None
    assert np.array_equal(augment.random_lens_blur(dots(), unknown, np.random.default_rng(0)), dots())


def test_photographic_is_a_function_of_the_generator() -> None:
    one, two, other = (augment.photographic(dots(), two_depths(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert one.min() >= 0 and one.max() <= 1 and one.dtype == np.float32


def test_most_photos_stay_sharp() -> None:
    assert augment.Chances().lens_blur + augment.Chances().soft_focus < 0.5


def test_smaller_truth_keeps_sparse_points_and_dense_edges() -> None:
    pytest.importorskip("torch")
    from research.teacher.batches import smaller_truth

    sparse = np.full((40, 40), np.nan, dtype=np.float32)
    sparse[1, 39], sparse[20, 20] = 3, 5
    small = smaller_truth(sparse, (0, 0, 40, 40), (10, 10))
    assert small[0, 9] == 3 and small[5, 5] == 5 and np.isfinite(small).sum() == 2
    dense = smaller_truth(two_depths(), (0, 30, 20, 20), (10, 10))
    assert dense.shape == (10, 10) and np.array_equal(np.unique(dense), [0, 1])
    assert dense[0, 4] == 0 and dense[0, 5] == 1


def test_window_lies_inside_and_has_the_shape() -> None:
    pytest.importorskip("torch")
    from research.teacher.batches import random_window

    rng = np.random.default_rng(0)
    for _ in range(50):
        top, left, high, wide = random_window(300, 200, (196, 252), rng)
        assert 0 <= top <= 300 - high and 0 <= left <= 200 - wide
        assert wide / high == pytest.approx(252 / 196, rel=0.02)


def test_features_of_a_crop_follow_the_crop_and_the_mirror() -> None:
    torch = pytest.importorskip("torch")
    from research.teacher.batches import Crop
    from research.teacher.cache import features_of_crop

    tokens = torch.arange(8.0).view(1, 1, 8).expand(1, 4, 8)
    right_half = Crop(None, (0.0, 0.5, 1.0, 0.5), False)  # type: ignore[arg-type]
    assert features_of_crop(tokens, right_half, (4, 4))[0, 0].tolist() == pytest.approx([4, 5, 6, 7])
    mirrored = Crop(None, (0.0, 0.5, 1.0, 0.5), True)  # type: ignore[arg-type]
    assert features_of_crop(tokens, mirrored, (4, 4))[0, 0].tolist() == pytest.approx([7, 6, 5, 4])

from __future__ import annotations

import cv2
import numpy as np
from tests.support.made_focal_stack import textured

from mddnet.color import linear_from_srgb8
from mddnet.scenes.sharpness import modified_laplacian, noise_floor, sharpness_profile


def test_modified_laplacian_of_a_point_by_hand() -> None:
    point = np.zeros((5, 5), dtype=np.float32)
    point[2, 2] = 1
    expected = np.zeros((5, 5), dtype=np.float32)
    expected[2, 2] = 4
    expected[1, 2] = expected[3, 2] = expected[2, 1] = expected[2, 3] = 1
    np.testing.assert_allclose(modified_laplacian(point, presmooth_px=0), expected)


def test_opposite_bends_do_not_cancel() -> None:
    y, x = np.mgrid[-3:4, -3:4].astype(np.float32)
    saddle = x**2 - y**2
    assert modified_laplacian(saddle, presmooth_px=0)[3, 3] == 4


def test_profile_peaks_at_the_sharp_frame_and_follows_blur() -> None:
    sharp = linear_from_srgb8(textured(60, 80))
    frames = [cv2.GaussianBlur(sharp, (0, 0), s) if s else sharp for s in (2.0, 1.0, 0.0, 1.0, 2.0)]
    profile = sharpness_profile(frames, 2.0)
    assert profile.shape == (5, 60, 80)
    assert (profile.argmax(axis=0) == 2).all()
    assert (profile[1] > profile[0]).mean() > 0.99


def test_noise_is_equalised_in_shadow_and_light() -> None:
    rng = np.random.default_rng(0)
    light = np.repeat(np.where(np.arange(200) < 100, 0.05, 0.8)[None, :, None], 100, axis=0).repeat(3, axis=2)
    shot = 0.01 * np.sqrt(light)
    frames = [(light + shot * rng.standard_normal(light.shape)).astype(np.float32) for _ in range(3)]
    profile = sharpness_profile(frames, 3.0).mean(axis=0)
    dark, bright = profile[:, 20:80].mean(), profile[:, 120:180].mean()
    assert 0.7 < dark / bright < 1.1


def test_noise_floor_is_positive_even_without_noise() -> None:
    assert noise_floor(np.zeros((3, 4, 4), dtype=np.float32)) > 0

"""Evidence for the sign of the defocus: the network, the lens and the scene."""

from __future__ import annotations

import numpy as np
import pytest

from mddnet.predict.blur import Blur
from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.dioptres import MetricLaw
from mddnet.predict.sign import lens_log_odds, network_log_odds, scene_log_odds


def blur(*coc_px: float) -> Blur:
    px = np.array([coc_px], np.float32)
    return Blur(px, np.full_like(px, 0.25))


def test_the_networks_odds_are_calibrated_bounded_and_need_blur() -> None:
    logit = np.array([[3.0, 3.0, -30.0, 3.0]], np.float32)
    odds = network_log_odds(logit, np.array([[8.0, 2.0, 8.0, 0.0]], np.float32))
    np.testing.assert_allclose(odds, [[1.5, 0.75, -4.0, 0.0]])


def test_blur_larger_than_at_infinity_is_in_front() -> None:
    # Infinity has 4 px; a CoC of 9 px is (3 - 2) / 0.25 = 4 errors of its root too large.
    odds = lens_log_odds(blur(3.0, 9.0), MetricLaw(0.5, 8.0))
    assert abs(odds[0, 0]) < 2.5
    assert odds[0, 1] == pytest.approx(-16, abs=2.1) and odds[0, 1] < -12


def test_a_desk_at_60_cm_is_likelier_than_one_at_5_cm() -> None:
    # Focused at 10 cm: 8.3 dioptres of blur are 60 cm behind it, or 5.5 cm in front of it.
    assert lens_log_odds(blur(8.3), MetricLaw(10.0, 1.0))[0, 0] > 0.8


def test_the_estimated_median_depth_decides_between_near_and_far() -> None:
    # The same blur of a lens focused at 10 cm: the scene is estimated at 6 cm, or at 60 cm, each within 20 %.
    near, far = (CameraEstimate(0.4, 0.1, depth_m, 0.2) for depth_m in (0.06, 0.6))
    of_near, of_far = (lens_log_odds(blur(8.3), MetricLaw(10.0, 1.0), camera)[0, 0] for camera in (near, far))
    assert of_near < -0.2 and of_far > 0.5


def test_an_uncertain_estimate_decides_less() -> None:
    odds = [lens_log_odds(blur(4.0), MetricLaw(10.0, 1.0), CameraEstimate(0.4, 0.1, 0.6, e))[0, 0] for e in (0.1, 2.0)]
    assert odds[0] > odds[1] > 0


def test_without_a_lens_nothing_is_known_and_at_the_plane_of_focus_nothing_follows() -> None:
    np.testing.assert_array_equal(lens_log_odds(blur(1.0, 20.0), None), 0)
    assert lens_log_odds(blur(0.0), MetricLaw(1.0, 10.0))[0, 0] == 0


def test_convention_farther_than_the_plane_of_focus_is_positive() -> None:
    u = np.array([[0.0, 1.0, 0.5]], np.float32)
    away, sigma = np.full_like(u, 0.3), np.full_like(u, 0.3)
    # 2 x 0.5 x 0.3 / (0.16 + 0.09)
    np.testing.assert_allclose(scene_log_odds(u, np.full_like(u, 0.4), 0.5, away, sigma), [[1.2, -1.2, 0]], rtol=1e-5)
    assert scene_log_odds(u, sigma / 100, 0.5, away, sigma / 100).max() == 4

"""Dioptres from the measured blur and the lens facts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mddnet.optics import focus_z_from_sensor_plane_m, kappa_px
from mddnet.predict.dioptres import before_infinity, depth_error_m, depth_m_of, depth_of_field, metric_law
from mddnet.predict.metric_scale import doubt_about_metres, inv_depth_scale, relative_scale
from mddnet.types import Lens, LensLawFit

FIT = LensLawFit(found=True, u_focus=0.6, kappa_px=100.0, residual_px=0.4)


def test_without_a_lens_depth_stays_relative() -> None:
    scale = inv_depth_scale(FIT, Lens(focal_mm=50, f_number=2, focus_m=1))
    assert (scale.unit, scale.gain, scale.offset, scale.focus, scale.notes) == ("relative", 1.0, 0.0, FIT, ())


def test_metres_by_hand() -> None:
    # 50 mm, f/2, 5 um, plane of focus 1.05 m from the principal plane: v = 52.5 mm, so the camera counts 1.1025 m;
    # kappa = 25 mm * 52.5 mm / 5 um = 262.5 px per dioptre.
    scale = inv_depth_scale(FIT, Lens(50, 2, 5, focus_m=1.1025))
    assert scale.unit == "1/m" and scale.notes == ()
    assert scale.gain == pytest.approx(100 / 262.5)
    assert scale.focus.u_focus == pytest.approx(1 / 1.05) and scale.focus.kappa_px == pytest.approx(262.5)
    # What the fit calls the plane of focus lands on it; one unit nearer is 100 px of blur, in either unit.
    assert scale.gain * 0.6 + scale.offset == pytest.approx(1 / 1.05)
    u = scale.gain * 1.6 + scale.offset
    assert scale.focus.kappa_px * (scale.focus.u_focus - u) == pytest.approx(-100.0)
    assert scale.focus.residual_px == 0.4


def test_true_depth_comes_back_from_any_relative_map() -> None:
    lens = Lens(85, 1.8, 6, focus_m=2.5)
    z_focus = focus_z_from_sensor_plane_m(2.5, 85)
    kappa = kappa_px(85, 1.8, 6, z_focus)
    true_u = np.array([0.1, 0.4, 1.2])
    relative = 0.3 * true_u + 0.2
    fit = LensLawFit(True, 0.3 / z_focus + 0.2, kappa / 0.3, 0.0)
    scale = inv_depth_scale(fit, lens)
    np.testing.assert_allclose(scale.gain * relative + scale.offset, true_u, rtol=1e-6)


def test_focus_at_infinity() -> None:
    scale = inv_depth_scale(FIT, Lens(50, 2, 5, focus_m=math.inf))
    assert scale.unit == "1/m" and scale.focus.u_focus == 0.0
    assert scale.focus.kappa_px == pytest.approx(250.0)  # 25 mm * 50 mm / 5 um


def test_without_a_focus_distance_the_origin_is_the_plane_of_focus() -> None:
    scale = inv_depth_scale(FIT, Lens(50, 2, 5))
    assert scale.unit == "1/m from focus" and scale.focus.u_focus == 0.0
    assert scale.gain * 0.6 + scale.offset == pytest.approx(0.0)
    assert any("Focus distance unknown" in note for note in scale.notes)


def test_an_impossible_focus_distance_is_ignored_with_a_note() -> None:
    scale = inv_depth_scale(FIT, Lens(100, 2, 5, focus_m=0.3))
    assert scale.unit == "1/m from focus"
    assert any("four focal" in note for note in scale.notes)


def test_without_a_plane_of_focus_there_are_no_metres() -> None:
    nothing = LensLawFit(False, math.nan, math.nan, 0.1, "everything is sharp")
    scale = inv_depth_scale(nothing, Lens(50, 2, 5, focus_m=1))
    assert scale.unit == "relative" and scale.focus is nothing
    assert any("everything is sharp" in note for note in scale.notes)


def test_convention_depth_is_infinite_from_10_km() -> None:
    u = np.array([-0.1, 0.0, 0.9e-4, 1.1e-4, 0.5, 4.0], np.float32)
    np.testing.assert_allclose(depth_m_of(u), [np.inf, np.inf, np.inf, 1 / 1.1e-4, 2.0, 0.25], rtol=1e-6)


def test_points_beyond_infinity_keep_their_order() -> None:
    u = np.array([0.5, 2e-4, 0.0, -0.0999, -0.9], np.float32)
    found = before_infinity(u)
    np.testing.assert_allclose(found, [0.5, 2e-4, 1e-4 / 1.001, 0.5e-4, 1e-4 / 10.001], rtol=1e-5)
    assert np.isinf(depth_m_of(found)).tolist() == [False, False, True, True, True]
    many = before_infinity(np.linspace(-3, 3, 10_001, dtype=np.float32))
    assert (np.diff(many) > 0).all() and many[0] > 0


def test_without_a_common_law_the_blur_alone_gives_metres() -> None:
    nothing = LensLawFit(False, math.nan, math.nan, 0.1, "the depth map is flat")
    scale = inv_depth_scale(nothing, Lens(50, 2, 5, focus_m=1.1025), blur_alone=True)
    assert scale.unit == "1/m" and scale.focus.found and scale.focus.u_focus == pytest.approx(1 / 1.05)
    assert any("blur alone: the depth map is flat" in note for note in scale.notes)


def test_the_blur_of_infinity() -> None:
    law, at_infinity = metric_law(Lens(50, 2, 5, focus_m=1.1025), 2.0), metric_law(Lens(50, 2, 5, focus_m=math.inf))
    assert law is not None and law.infinity_px == pytest.approx(262.5 / 1.05 / 2)
    assert at_infinity is not None and at_infinity.infinity_px == 0
    for unknown in (Lens(50, 2, 5), Lens(50, 2, None, 1.0), Lens(100, 2, 5, focus_m=0.3)):
        assert metric_law(unknown) is None


def test_an_error_of_inverse_depth_in_metres() -> None:
    u, error = np.array([[0.5, 0.5, 0.2, 0.0]], np.float32), np.array([[0.1, 0.0, 0.3, 0.0]], np.float32)
    # Half the way from 1/0.6 to 1/0.4 m; infinite where infinity is within the error.
    np.testing.assert_allclose(depth_error_m(u, error), [[(2.5 - 1 / 0.6) / 2, 0.0, np.inf, np.inf]], rtol=1e-5)


def test_depth_of_field_by_hand() -> None:
    # 24 x 36 mm at 5 um: 43.27 mm / 1500 = 28.8 um = 5.77 px; 5.77 / 262.5 = 0.022 dioptres to either side of 1/1.05.
    sharp = depth_of_field(LensLawFit(True, 1 / 1.05, 262.5, 0.3), 4800, 7200)
    assert sharp.sharp_px == pytest.approx(5.769, abs=1e-3) and sharp.focus_m == pytest.approx(1.05)
    assert sharp.near_m == pytest.approx(1 / (1 / 1.05 + 0.02198), rel=1e-4)
    assert sharp.far_m == pytest.approx(1 / (1 / 1.05 - 0.02198), rel=1e-4)
    # Beyond the hyperfocal distance everything up to infinity is sharp.
    beyond = depth_of_field(LensLawFit(True, 0.01, 262.5, 0.3), 4800, 7200)
    assert beyond.far_m == math.inf and beyond.to_json()["far_m"] == "inf"


ONE_METRE = np.ones((4, 4), np.float32)


@pytest.mark.parametrize(
    ("lens", "log_odds", "error", "doubtful"),
    [
        (Lens(50, 2, 5, focus_m=1.1), 3.0, 0.3, False),
        (Lens(50, 2, 5, focus_m=1.1), 0.2, 0.3, True),  # the scene may as well be on the other side
        (Lens(50, 2, 5, focus_m=1.1), math.inf, 0.9, True),  # 1 m may be 0.5 m or 10 m
        (Lens(50, 2, 5), 3.0, 5.0, False),  # dioptres from the plane of focus have no relative error
        (Lens(50, 2, 5), 0.2, 0.3, True),
        (Lens(), 0.2, 5.0, False),  # relative depth claims no metres
    ],
)
def test_metres_are_given_only_if_they_are_safe(lens: Lens, log_odds: float, error: float, doubtful: bool) -> None:
    scale = inv_depth_scale(FIT, lens)
    reason = doubt_about_metres(scale, log_odds, ONE_METRE, error * ONE_METRE, 0.6)
    assert bool(reason) == doubtful
    if doubtful:
        relative = relative_scale(FIT, reason)
        assert relative.unit == "relative" and relative.gain == 1 and reason in relative.notes[0]


def test_most_of_the_photo_decides_whether_metres_are_safe() -> None:
    scale = inv_depth_scale(FIT, Lens(50, 2, 5, focus_m=1.1))
    error = np.array([0.1, 0.2, 0.3, 9.0, 9.0], np.float32)
    assert not doubt_about_metres(scale, 3.0, np.ones(5, np.float32), error, 0.6)
    assert doubt_about_metres(scale, 3.0, np.ones(4, np.float32), error[1:], 0.6)

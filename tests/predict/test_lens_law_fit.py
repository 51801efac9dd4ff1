"""The fit finds the plane of focus that made the maps, and says no where there is none to find."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from mddnet.predict.lens_law_fit import fit_lens_law
from mddnet.predict.metric_scale import inv_depth_scale
from mddnet.predict.shipped_fusion import bounded_sign_logit, inv_depth_in_unit, law_agreement, sign_log_odds
from mddnet.types import Float32Array, Lens, LensLawFit


def landscape(seed: int, coarse: int = 6, height: int = 96, width: int = 128) -> Float32Array:
    """A smooth random map that spans [0, 1]."""
    rough = np.random.default_rng(seed).random((coarse, coarse + 2)).astype(np.float32)
    smooth = np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def maps(u_focus: float, kappa: float, noise_px: float = 0.0) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Inverse depth, signed defocus by the law, and the CoC that a network might answer."""
    u = landscape(1)
    signed = (kappa * (u_focus - u)).astype(np.float32)
    defocus = np.maximum(np.abs(signed) + noise_px * (2 * landscape(2, 30) - 1), 0)
    return u, signed, defocus


@pytest.mark.parametrize("u_focus", [-0.4, 0.0, 0.3, 0.7, 1.0, 1.4])
@pytest.mark.parametrize("kappa", [4.0, 30.0])
def test_exact_maps_give_the_exact_law(u_focus: float, kappa: float) -> None:
    u, signed, defocus = maps(u_focus, kappa)
    for logit in (signed, None):
        fit = fit_lens_law(u, defocus, logit)
        assert fit.found and fit.reason == ""
        assert fit.u_focus == pytest.approx(u_focus, abs=2e-3) and fit.kappa_px == pytest.approx(kappa, rel=5e-3)
        assert fit.residual_px < 0.01 * kappa


@pytest.mark.parametrize("u_focus", [0.1, 0.5, 0.9])
def test_noise_and_wrong_signs_move_it_little(u_focus: float) -> None:
    u, signed, defocus = maps(u_focus, 15.0, noise_px=2.0)
    logit = 3 * np.sign(signed) * np.where(landscape(3, 10) < 0.35, -1, 1)  # a third of the signs are wrong
    fit = fit_lens_law(u, defocus, logit.astype(np.float32))
    assert fit.found
    assert fit.u_focus == pytest.approx(u_focus, abs=0.05) and fit.kappa_px == pytest.approx(15.0, rel=0.1)
    assert 0.2 < fit.residual_px < 1.0


def test_a_fifth_of_outliers_does_not_matter() -> None:
    u, signed, defocus = maps(0.4, 20.0)
    wild = landscape(5, 8) > np.quantile(landscape(5, 8), 0.8)
    fit = fit_lens_law(u, np.where(wild, 12.0, defocus).astype(np.float32), signed)
    assert fit.u_focus == pytest.approx(0.4, abs=0.03) and fit.kappa_px == pytest.approx(20.0, rel=0.05)


def test_weight_decides_whom_to_believe() -> None:
    u, signed, defocus = maps(0.4, 20.0)
    left = np.zeros_like(u)
    left[:, :64] = 1.0
    defocus[:, 64:] = 7.0
    fit = fit_lens_law(u, defocus, signed, weight=left)
    assert fit.u_focus == pytest.approx(0.4, abs=2e-3) and fit.kappa_px == pytest.approx(20.0, rel=5e-3)


def test_a_clipped_defocus_map_does_not_lower_kappa() -> None:
    u, signed, defocus = maps(0.2, 40.0)
    fit = fit_lens_law(u, np.minimum(defocus, 12.0), signed, cap_px=12.0)
    assert fit.u_focus == pytest.approx(0.2, abs=0.01) and fit.kappa_px == pytest.approx(40.0, rel=0.03)


def test_the_sign_distinguishes_two_depths() -> None:
    # Of two distances with 4 and 12 px of blur the law alone cannot tell whether focus lies between or beyond.
    u = np.zeros((64, 64), np.float32)
    u[:, 32:] = 1.0
    defocus = np.where(u == 1, 4.0, 12.0).astype(np.float32)
    between = fit_lens_law(u, defocus, np.where(u == 1, -5, 5).astype(np.float32))
    beyond = fit_lens_law(u, defocus, np.full_like(u, 5.0))
    assert between.u_focus == pytest.approx(0.75, abs=0.01) and between.kappa_px == pytest.approx(16, rel=0.02)
    assert beyond.u_focus == pytest.approx(1.5, abs=0.01) and beyond.kappa_px == pytest.approx(8, rel=0.02)


def test_convention_scaling_the_pixels_scales_kappa_and_residual_only() -> None:
    u, signed, defocus = maps(0.3, 10.0, noise_px=1.0)
    small, large = fit_lens_law(u, defocus, signed), fit_lens_law(u, 3 * defocus, signed)
    assert large.u_focus == pytest.approx(small.u_focus, abs=0.01)
    assert large.kappa_px == pytest.approx(3 * small.kappa_px, rel=0.02)


@pytest.mark.parametrize(("gain", "offset"), [(0.005, 0.0), (0.05, 0.9), (40.0, -3.0)])
def test_scale_and_shift_of_relative_depth_have_no_effect(gain: float, offset: float) -> None:
    # A loss that ignores scale and shift leaves a network free to use a small part of [0, 1].
    u, signed, defocus = maps(0.3, 10.0, noise_px=1.0)
    plain = fit_lens_law(u, defocus, signed)
    other = fit_lens_law((gain * u + offset).astype(np.float32), defocus, signed)
    assert other.found
    assert (other.u_focus - offset) / gain == pytest.approx(plain.u_focus, abs=1e-3)
    assert other.kappa_px * gain == pytest.approx(plain.kappa_px, rel=1e-3)


def test_the_same_maps_give_the_same_fit() -> None:
    u, signed, defocus = maps(0.3, 10.0, noise_px=1.0)
    assert fit_lens_law(u, defocus, signed) == fit_lens_law(u, defocus, signed)


@pytest.mark.parametrize(
    ("u", "defocus", "reason"),
    [
        (landscape(1), 0.8 * landscape(2), "sharp"),
        (landscape(1), np.zeros((96, 128), np.float32), "sharp"),
        (np.full((96, 128), 0.4, np.float32), 10 * landscape(2), "flat"),
        (landscape(1), 8 + 0.3 * landscape(2), "the same everywhere"),
        (landscape(1), 20 * landscape(7, 9), "does not follow"),
        (landscape(1), (12 * (2.3 - landscape(1))).astype(np.float32), "far outside"),
    ],
)
def test_a_missing_plane_of_focus_is_reported_with_the_reason(
    u: Float32Array, defocus: Float32Array, reason: str
) -> None:
    fit = fit_lens_law(u, defocus, np.zeros_like(u))
    assert not fit.found and np.isnan(fit.u_focus) and np.isnan(fit.kappa_px) and np.isfinite(fit.residual_px)
    assert reason in fit.reason


def test_maps_of_two_shapes_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"expected one shape \(H, W\)"):
        fit_lens_law(landscape(1), landscape(1)[:50])


# --- signs and agreement ----------------------------------------------------------------------------------------------

LAW = LensLawFit(found=True, u_focus=0.5, kappa_px=20.0, residual_px=0.5)
NOTHING = LensLawFit(found=False, u_focus=np.nan, kappa_px=np.nan, residual_px=1.0, reason="everything is sharp")


def test_convention_behind_is_positive() -> None:
    u = np.array([[0.0, 1.0]], np.float32)
    np.testing.assert_array_equal(np.sign(sign_log_odds(u, np.zeros_like(u), LAW)), [[1, -1]])
    np.testing.assert_array_equal(np.sign(sign_log_odds(u, np.array([[-1.0, 1.0]], np.float32), NOTHING)), [[-1, 1]])


def test_a_law_that_is_sure_overrules_a_doubtful_network_and_the_other_way_round() -> None:
    u = np.array([[0.0, 0.49]], np.float32)  # law: +10 px and +0.2 px
    np.testing.assert_array_equal(np.sign(sign_log_odds(u, np.array([[-1.0, -1.0]], np.float32), LAW)), [[1, -1]])


def test_agreement_is_one_on_the_law_and_falls_with_size_and_sign() -> None:
    u = np.array([[0.0, 0.0, 0.0]], np.float32)  # law: +10 px
    defocus = np.array([[10.0, 5.0, 10.0]], np.float32)
    logit = np.array([[20.0, 20.0, -20.0]], np.float32)
    agreement = law_agreement(u, defocus, logit, LAW)
    # exp(0), exp(-5 / (1 + 1.25)), exp(-20 / (1 + 2.5))
    np.testing.assert_allclose(agreement, [[1.0, np.exp(-5 / 2.25), np.exp(-20 / 3.5)]], rtol=1e-5)
    np.testing.assert_array_equal(law_agreement(u, defocus, logit, NOTHING), np.full((1, 3), 0.5, np.float32))


# --- nothing lies behind infinity -------------------------------------------------------------------------------------


def test_blur_larger_than_at_infinity_is_in_front() -> None:
    c = np.array([[1.0, 3.0, 3.0, 8.0]], np.float32)
    logit = np.array([[9.0, 9.0, -9.0, 9.0]], np.float32)
    bounded = bounded_sign_logit(logit, c, infinity_px=3.0)
    # Up to 3 px nothing changes but the cut at 4; 8 px are 5 / (0.8 + 0.96) errors too many.
    np.testing.assert_allclose(bounded, [[4.0, 4.0, -4.0, 4.0 - (5 / 1.76) ** 2]], rtol=1e-5)
    np.testing.assert_array_equal(bounded_sign_logit(logit, c, np.inf), [[4.0, 4.0, -4.0, 4.0]])


def test_of_two_laws_the_one_within_infinity_is_taken() -> None:
    # Blur grows from near to far: in focus in front, or, by the size of the blur alone, the other way round.
    u = landscape(1)
    defocus = (10 * (1.2 - u)).astype(np.float32)
    assert fit_lens_law(u, defocus, np.full_like(u, 4.0)).u_focus == pytest.approx(1.2, abs=0.01)
    # The lens is focused so far away that infinity is blurred by 1 px: the scene of 2 to 12 px cannot lie behind.
    logit = bounded_sign_logit(np.full_like(u, 4.0), defocus, infinity_px=1.0)
    fit = fit_lens_law(u, defocus, logit, infinity_px=1.0)
    assert not fit.found or fit.kappa_px * (fit.u_focus - np.percentile(u, 2)) < 1.9


# --- metres ---

FIT = LensLawFit(found=True, u_focus=0.6, kappa_px=100.0, residual_px=0.4)


def test_without_a_common_law_the_blur_alone_gives_metres() -> None:
    nothing = LensLawFit(False, math.nan, math.nan, 0.1, "the depth map is flat")
    scale = inv_depth_scale(nothing, Lens(50, 2, 5, focus_m=1.1025), blurred=True)
    assert scale.unit == "1/m" and scale.focus.found and scale.focus.u_focus == pytest.approx(1 / 1.05)
    assert any("blur alone: the depth map is flat" in note for note in scale.notes)
    u, error = inv_depth_in_unit(
        scale,
        np.zeros((1, 2), np.float32),
        np.array([[26.25, -26.25]], np.float32),
        np.array([[30.0, 0.0]], np.float32),
        1.0,
    )
    np.testing.assert_allclose(u, [[1 / 1.05 - 0.1, 1 / 1.05 + 0.1]], rtol=1e-5)
    # The CoC may be off by 0.8 + 0.12 x 26.25 = 3.95 px of 262.5 px per dioptre. Where the side is an even chance,
    # the variance of twice the blur, 0.2 dioptres, with probability one half comes on top.
    assert error is not None
    np.testing.assert_allclose(error, [[3.95 / 262.5, math.hypot(3.95 / 262.5, 0.2 * math.sqrt(0.5))]], rtol=1e-3)


def test_two_ways_to_dioptres_are_averaged_and_their_difference_is_doubt() -> None:
    scale = inv_depth_scale(FIT, Lens(50, 2, 5, focus_m=1.1025))
    # By the map u_focus - 100 px / 262.5, by the blur u_focus - 80 px / 262.5.
    u, error = inv_depth_in_unit(
        scale, np.full((1, 1), -0.4, np.float32), np.full((1, 1), 80.0, np.float32), np.full((1, 1), 30.0), 1.0
    )
    assert u[0, 0] == pytest.approx(1 / 1.05 - 90 / 262.5, rel=1e-5)
    assert error is not None
    assert error[0, 0] == pytest.approx(math.hypot(0.8 + 0.12 * 80, 10) / 262.5, rel=1e-3)

"""Fusion: what blur and the scene say of depth, sign and scale comes out of :func:`fuse`, each where it can."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from PIL import Image

from mddnet.optics import focus_z_from_sensor_plane_m, lens_kappa_px
from mddnet.predict.fusion import Fusion, FusionInput, fuse
from mddnet.types import Float32Array, Lens, UInt8Array

SIZE = (192, 256)


def smooth(seed: int, height: int = 48, width: int = 64, coarse: int = 6) -> Float32Array:
    """A smooth random map that spans [0, 1]."""
    rough = np.random.default_rng(seed).random((coarse, coarse + 2)).astype(np.float32)
    values = np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))
    return (values - values.min()) / (values.max() - values.min())


def textured(seed: int = 0, size: tuple[int, int] = SIZE) -> UInt8Array:
    return np.random.default_rng(seed).integers(60, 200, (*size, 3), dtype=np.uint8)


def answers(
    u: Float32Array,
    signed_px: Float32Array,
    *,
    depth_error: float = 0.3,
    root_error: float = 0.3,
    odds: float = 0.0,
    depth: Float32Array | None = None,
    scale: float = 1.0,
) -> FusionInput:
    """What a network answers that sees the CoC exactly, and ``depth`` or ``u`` as inverse depth."""
    shape = u.shape
    return FusionInput(
        u if depth is None else depth,
        np.full(shape, math.log(depth_error), np.float32),
        np.abs(signed_px).astype(np.float32),
        np.full(shape, math.log(root_error), np.float32),
        (odds * np.sign(signed_px)).astype(np.float32),
        textured(0, (4 * shape[0], 4 * shape[1])),
        scale,
    )


def cells(values: Float32Array) -> Float32Array:
    """The means of a map of the photo over cells of 4 px."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(values)).reduce(4))


def order(result: Float32Array, truth: Float32Array) -> float:
    """Correlation of ranks, per cell."""
    ranks = [np.argsort(np.argsort(x.ravel())) for x in (cells(result), truth)]
    return float(np.corrcoef(*ranks)[0, 1])


def signs_right(fused: Fusion, signed_px: Float32Array, least_px: float = 2.0) -> float:
    clear = np.abs(signed_px) > least_px
    return float((np.sign(cells(fused.maps.sign))[clear] == np.sign(signed_px)[clear]).mean())


@pytest.mark.parametrize("u_focus", [-0.5, 0.2, 0.5, 0.9, 1.5])
def test_a_scene_that_obeys_the_law_is_recovered(u_focus: float) -> None:
    u = smooth(1)
    signed = (16 * (u_focus - u)).astype(np.float32)
    fused = fuse(answers(u, signed), Lens())
    assert fused.unit == "relative" and fused.focus.found and fused.maps.inv_depth_error is None
    assert signs_right(fused, signed) > 0.99
    assert order(fused.maps.inv_depth, u) > 0.99
    assert fused.maps.inv_depth.shape == fused.maps.sign.shape == fused.inv_depth_sigma.shape == SIZE
    law = fused.focus.kappa_px * (fused.focus.u_focus - cells(fused.maps.inv_depth))
    assert np.abs(law - signed).mean() < 1.2


def test_blur_corrects_the_order_where_it_is_informative() -> None:
    # The scene's depth has a wrong component; half of the photo has texture.
    u = smooth(1)
    signed = (40 * (0.5 - u)).astype(np.float32)
    wrong = (u + 0.5 * smooth(3, coarse=9)).astype(np.float32)
    given = answers(u, signed, depth=wrong, depth_error=0.5)
    left = np.where(np.arange(64)[None, :] < 32, 0.1, 3.0) * np.ones((48, 1))
    given = dataclasses.replace(given, coc_log_sigma=np.log(left).astype(np.float32))
    fused = cells(fuse(given, Lens()).maps.inv_depth)

    def error(values: Float32Array, columns: slice) -> float:
        """Mean error after the best scale and shift."""
        x, y = values[:, columns].ravel(), u[:, columns].ravel()
        return float(np.abs(np.polyval(np.polyfit(x, y, 1), x) - y).mean())

    assert error(fused, slice(0, 28)) < 0.65 * error(wrong, slice(0, 28))
    assert error(fused, slice(36, 64)) < 1.2 * error(wrong, slice(36, 64))


@pytest.mark.parametrize("sharp_px", [0.0, 0.6])
def test_a_sharp_photo_has_the_scenes_depth(sharp_px: float) -> None:
    u = smooth(1)
    noise = sharp_px * smooth(2, coarse=12)
    fused = fuse(answers(u, noise.astype(np.float32), odds=3), Lens(50, 2, 5, 2.0))
    assert not fused.focus.found and "sharp" in fused.focus.reason
    assert fused.unit == "relative" and order(fused.maps.inv_depth, u) > 0.995
    assert np.abs(cells(fused.maps.defocus_px) - noise).max() < 0.6


def test_blur_that_does_not_follow_the_scene_leaves_its_order() -> None:
    u = smooth(1)
    fused = fuse(answers(u, (12 * smooth(7, coarse=14)).astype(np.float32), root_error=0.5), Lens())
    assert not fused.focus.found and "does not follow" in fused.focus.reason
    assert order(fused.maps.inv_depth, u) > 0.97


@pytest.mark.parametrize("side", [1, -1])
def test_a_photo_wholly_on_one_side_comes_out_there(side: int) -> None:
    u = smooth(4)
    u_focus = 1.4 if side > 0 else -0.4
    signed = (10 * (u_focus - u)).astype(np.float32)
    # The network is unsure, and most often wrong.
    fused = fuse(answers(u, signed, odds=-0.3), Lens())
    assert (fused.maps.sign == side).all()
    assert fused.log_odds > 1


def test_the_same_blur_everywhere_has_the_networks_sign() -> None:
    u = smooth(1)
    for side in (1.0, -1.0):
        fused = fuse(answers(u, np.full_like(u, side * 8.0), odds=2), Lens())
        assert (fused.maps.sign == side).all() and "the same everywhere" in fused.focus.reason
        assert order(fused.maps.inv_depth, u) > 0.99


def test_the_scale_and_shift_of_the_scenes_depth_change_nothing_else() -> None:
    u = smooth(1)
    signed = (16 * (0.4 - u)).astype(np.float32)
    one = fuse(answers(u, signed, odds=1), Lens())
    other = fuse(answers(u, signed, odds=1, depth=(-3 + 25 * u).astype(np.float32)), Lens())
    np.testing.assert_allclose(other.maps.inv_depth, -3 + 25 * one.maps.inv_depth, atol=0.03)
    assert other.focus.u_focus == pytest.approx(-3 + 25 * one.focus.u_focus, abs=0.03)
    assert other.focus.kappa_px == pytest.approx(one.focus.kappa_px / 25, rel=0.01)
    assert (other.maps.sign == one.maps.sign).mean() > 0.999


def test_the_mirrored_photo_has_the_mirrored_maps() -> None:
    u = smooth(1)
    given = answers(u, (16 * (0.4 - u)).astype(np.float32), odds=1)
    fields = ("depth", "depth_log_sigma", "coc_px", "coc_log_sigma", "sign_logit", "photo")
    mirrored = dataclasses.replace(given, **{name: getattr(given, name)[:, ::-1].copy() for name in fields})
    one, other = fuse(given, Lens()), fuse(mirrored, Lens())
    np.testing.assert_allclose(other.maps.inv_depth[:, ::-1], one.maps.inv_depth, atol=5e-3)
    assert (other.maps.sign[:, ::-1] == one.maps.sign).mean() > 0.995


def test_one_cell_takes_the_sign_of_its_neighbours() -> None:
    u = smooth(1)
    signed = (16 * (1.5 - u)).astype(np.float32)
    given = answers(u, signed, odds=2)
    given.sign_logit[20, 30] = -6
    given = dataclasses.replace(given, photo=np.full((*SIZE, 3), 90, np.uint8))
    assert (fuse(given, Lens()).maps.sign == 1).all()


# --- with a lens ------------------------------------------------------------------------------------------------------

LENS = Lens(50, 2, 20, focus_m=1.5)
Z_FOCUS = focus_z_from_sensor_plane_m(1.5, 50)
KAPPA = lens_kappa_px(LENS, Z_FOCUS)


def metric(low_m: float, high_m: float, lens: Lens = LENS) -> tuple[Float32Array, Float32Array]:
    """True inverse depth between two distances, and its signed defocus."""
    u = (1 / high_m + (1 / low_m - 1 / high_m) * smooth(1)).astype(np.float32)
    z = focus_z_from_sensor_plane_m(lens.focus_m or math.inf, lens.focal_mm or 1)
    return u, (lens_kappa_px(lens, z) * (1 / z - u)).astype(np.float32)


@pytest.mark.parametrize(("low_m", "high_m"), [(0.8, 4.0), (2.0, 6.0), (0.6, 1.2)])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_metres_from_the_lens(low_m: float, high_m: float, scale: float) -> None:
    u, signed = metric(low_m, high_m)
    fused = fuse(answers(u, signed / scale, depth_error=0.2, root_error=0.15, scale=scale), LENS)
    assert fused.unit == "1/m" and fused.maps.inv_depth_error is not None
    assert fused.focus.u_focus == pytest.approx(1 / Z_FOCUS) and fused.focus.kappa_px == pytest.approx(KAPPA)
    error = np.abs(cells(fused.maps.inv_depth) - u)
    assert np.median(error / u) < 0.08
    assert (error <= cells(fused.maps.inv_depth_error)).mean() > 0.68


def test_a_known_lens_puts_blur_beyond_infinity_in_front() -> None:
    lens = Lens(10, 8, 4, focus_m=2.0)  # infinity has 1.6 px
    u, signed = metric(0.1, 0.3, lens)
    # The network says behind, and the scene's depth nothing: all CoCs are much the same.
    given = answers(u, -signed, odds=3, depth_error=3.0)
    fused = fuse(given, lens)
    assert (signed < -3).all() and (fused.maps.sign == -1).all()
    assert fused.unit == "1/m" and np.median(np.abs(cells(fused.maps.inv_depth) - u) / u) < 0.3


def test_a_flat_scene_has_the_metres_of_its_blur() -> None:
    u, signed = metric(2.0, 3.0)
    fused = fuse(answers(u, signed, depth=np.full_like(u, 0.3), odds=4), LENS)
    assert fused.unit == "1/m" and any("blur alone: the depth map is flat" in note for note in fused.notes)
    assert np.median(np.abs(cells(fused.maps.inv_depth) - u) / u) < 0.1


def test_without_a_clear_side_depth_stays_relative_although_the_lens_is_known() -> None:
    u = smooth(2)
    uniform = np.full_like(u, 5.0)  # px; LENS gives infinity 14 px, so both sides are possible
    unsure = fuse(answers(u, uniform, odds=0.0, depth_error=1.0), LENS)
    assert unsure.unit == "relative" and any("depth stays relative" in note for note in unsure.notes)
    assert unsure.maps.inv_depth_error is None
    assert order(unsure.maps.inv_depth, u) > 0.97


def test_depth_is_never_beyond_infinity() -> None:
    u, signed = metric(1.0, 50.0)
    fused = fuse(answers(u, signed * 1.3), LENS)
    assert fused.maps.inv_depth.min() >= 0
    assert any("at infinity or beyond" in note for note in fused.notes)


# --- what comes in ----------------------------------------------------------------------------------------------------


def test_any_size_of_photo() -> None:
    for size in ((70, 97), (64, 64), (33, 257)):
        shape = tuple(-(-side // 4) for side in size)
        u = smooth(1, *shape)
        given = dataclasses.replace(answers(u, (12 * (0.5 - u)).astype(np.float32)), photo=textured(1, size))
        fused = fuse(given, Lens())
        for values in (*dataclasses.astuple(fused.maps)[:4], fused.inv_depth_sigma):
            assert values.shape == size and values.dtype == np.float32 and np.isfinite(values).all()


def test_maps_of_another_shape_are_rejected() -> None:
    given = answers(smooth(1), smooth(2))
    with pytest.raises(ValueError, match="expected one shape"):
        dataclasses.replace(given, coc_px=given.coc_px[:40])
    with pytest.raises(ValueError, match="expected one shape"):
        dataclasses.replace(given, photo=textured(0, (192, 300)))


def test_constant_maps_are_no_failure() -> None:
    zero = np.zeros((48, 64), np.float32)
    for coc in (0.0, 5.0):
        for lens in (Lens(), LENS):
            fused = fuse(answers(zero, zero + np.float32(coc)), lens)
            assert all(np.isfinite(values).all() for values in dataclasses.astuple(fused.maps)[:4])

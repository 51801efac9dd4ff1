"""Rendered defocus: the disc, the layers, occlusion, the camera."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.scenes.render import (
    Aperture,
    Camera,
    LensFlaws,
    Surface,
    add_sensor_noise,
    decode_jpeg,
    defocused_light,
    develop,
    encode_jpeg,
    hidden_surface,
    layer_defocus_px,
    psf_kernel,
    render_surfaces,
)
from mddnet.types import Float32Array, UInt8Array

BLACK, WHITE = 0, 255


def texture_photo(height: int = 60, width: int = 80, seed: int = 0) -> UInt8Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def two_halves(near: float, far: float, height: int = 60, width: int = 80) -> tuple[UInt8Array, Float32Array]:
    """White foreground on the left, black background on the right, and their signed defocus."""
    photo = np.full((height, width, 3), BLACK, dtype=np.uint8)
    photo[:, : width // 2] = WHITE
    signed = np.full((height, width), far, dtype=np.float32)
    signed[:, : width // 2] = near
    return photo, signed


def render_defocus(
    photo: UInt8Array,
    signed_defocus_px: Float32Array,
    flaws: LensFlaws | None = None,
    camera: Camera | None = None,
    seed: int = 0,
) -> UInt8Array:
    return develop(defocused_light(linear_from_srgb8(photo), signed_defocus_px, flaws), camera or Camera(), seed)


def variance_per_axis(kernel: Float32Array) -> tuple[float, float]:
    at = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    k = kernel.astype(np.float64)
    return float((k.sum(axis=0) * at**2).sum()), float((k.sum(axis=1) * at**2).sum())


# --- point spread functions ---


@pytest.mark.parametrize("diameter_px", [0.5, 1.0, 2.0, 3.7, 8.0, 24.0, 60.0])
def test_convention_disc_has_variance_of_diameter_squared_over_sixteen(diameter_px: float) -> None:
    kernel = psf_kernel(diameter_px)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
    assert kernel.shape[0] % 2 == 1
    for variance in variance_per_axis(kernel):
        assert variance == pytest.approx(diameter_px**2 / 16, rel=2e-3)


def test_small_disc_by_hand() -> None:
    # Variance 1/16 for c = 1: four neighbours at distance 1 carry 1/32 each.
    kernel = psf_kernel(1.0)
    assert kernel.shape == (3, 3)
    assert kernel[1, 0] + 2 * kernel[0, 0] == pytest.approx(1 / 32, abs=1e-3)
    np.testing.assert_array_equal(psf_kernel(0.0), [[1.0]])


def test_large_disc_is_flat_inside_and_empty_outside() -> None:
    kernel = psf_kernel(20.0)
    centre = kernel.shape[0] // 2
    assert kernel[centre, centre] == pytest.approx(1 / (np.pi * 100), rel=0.01)
    y, x = np.mgrid[: kernel.shape[0], : kernel.shape[1]] - centre
    radius = np.hypot(x, y)
    assert np.ptp(kernel[radius < 9]) < 1e-6
    assert kernel[radius > 11].max(initial=0.0) == 0.0


@pytest.mark.parametrize("aperture", [Aperture(5, 0.3), Aperture(8, 1.0), Aperture(cat_eye=0.5, cat_eye_angle_rad=0.7)])
def test_other_apertures_keep_the_mean_variance(aperture: Aperture) -> None:
    kernel = psf_kernel(12.0, aperture).astype(np.float64)
    at = np.arange(kernel.shape[0])
    variances = []
    for marginal in (kernel.sum(axis=0), kernel.sum(axis=1)):
        mean = (marginal * at).sum()
        variances.append((marginal * (at - mean) ** 2).sum())
    assert np.mean(variances) == pytest.approx(9.0, rel=2e-3)


@pytest.mark.parametrize("diameter_px", [-1.0, 129.0, float("nan")])
def test_diameter_out_of_range_is_refused(diameter_px: float) -> None:
    with pytest.raises(ValueError, match="expected 0 to 128"):
        psf_kernel(diameter_px)


def test_invalid_apertures_are_refused() -> None:
    with pytest.raises(ValueError, match="blades"):
        Aperture(blades=3)
    with pytest.raises(ValueError, match="cat_eye"):
        Aperture(cat_eye=1.0)


# --- layers ---


def test_layers_include_both_ends_and_the_plane_of_focus() -> None:
    nodes = layer_defocus_px(-24.0, 12.0)
    assert nodes[0] == -24.0
    assert nodes[-1] == 12.0
    assert 0.0 in nodes
    assert np.all(np.diff(nodes) > 0)
    assert len(nodes) <= 16
    np.testing.assert_array_equal(layer_defocus_px(5.0, 5.0), [5.0])


@pytest.mark.parametrize(("low", "high"), [(-1e-9, 20.0), (-20.0, 1e-9), (0.0, 3.0), (2.0, 2.5), (-0.1, 0.1)])
def test_layers_ascend_for_awkward_ranges(low: float, high: float) -> None:
    nodes = layer_defocus_px(low, high)
    assert np.all(np.diff(nodes) > 0)
    assert len(nodes) <= 16


# --- images ---


@pytest.mark.parametrize("c", [0.0, 3.0, -7.3, 15.0])
def test_uniform_defocus_is_plain_disc_convolution(c: float) -> None:
    photo = texture_photo()
    expected = cv2.filter2D(linear_from_srgb8(photo), -1, psf_kernel(abs(c)), borderType=cv2.BORDER_REFLECT)
    got = render_defocus(photo, np.full(photo.shape[:2], c, dtype=np.float32))
    assert np.abs(got.astype(int) - srgb8_from_linear(expected).astype(int)).max() <= 1


def test_no_defocus_returns_the_photo() -> None:
    photo = texture_photo()
    np.testing.assert_array_equal(render_defocus(photo, np.zeros(photo.shape[:2], dtype=np.float32)), photo)


def test_constant_photo_stays_constant_under_any_depth() -> None:
    rng = np.random.default_rng(1)
    signed = cv2.resize(rng.uniform(-20, 20, (6, 8)).astype(np.float32), (80, 60), interpolation=cv2.INTER_NEAREST)
    for level in (0, 90, 255):
        photo = np.full((60, 80, 3), level, dtype=np.uint8)
        assert np.abs(render_defocus(photo, signed).astype(int) - level).max() <= 1


def test_slanted_plane_has_no_bands() -> None:
    # A grey plane behind which a bright wall would shine through every seam between layers, were there any.
    height, width = 100, 160
    u = np.tile(np.linspace(0.0, 1.0, width, dtype=np.float32), (height, 1))
    whole = np.ones((height, width), dtype=np.float32)
    plane = Surface(np.full((height, width, 3), 0.2, dtype=np.float32), u, whole)
    wall = Surface(np.ones((height, width, 3), dtype=np.float32), np.full_like(u, -1.0), whole)
    picture = render_surfaces([plane, wall], u_focus=0.5, kappa=20.0)
    assert np.abs(picture - 0.2).max() < 0.04


def test_mixture_of_layers_has_the_variance_of_the_disc() -> None:
    # One point of light on a plane with a defocus between two layers.
    height = width = 61
    linear = np.zeros((height, width, 3), dtype=np.float32)
    linear[30, 30] = 1.0
    u = np.full((height, width), -10.0, dtype=np.float32)
    u[:, 0], u[:, -1] = 0.0, -20.0
    picture = render_surfaces([Surface(linear, u, np.ones_like(u))], 0.0, 1.0)[..., 0].astype(np.float64)
    at = np.arange(width) - 30
    variance = (picture.sum(axis=0) * at**2).sum() / picture.sum()
    assert variance == pytest.approx(100 / 16, rel=0.03)


def test_sharp_foreground_keeps_its_edge_over_blurred_background() -> None:
    photo, signed = two_halves(near=0.0, far=12.0)
    got = render_defocus(photo, signed)[30, :, 0].astype(int)
    assert got[:40].min() >= 254
    assert got[40:].max() <= 1


def test_blurred_foreground_spreads_over_sharp_background() -> None:
    photo, signed = two_halves(near=-12.0, far=0.0)
    got = linear_from_srgb8(render_defocus(photo, signed))[30, :, 0]
    # The edge of a half plane under a disc of 12 px: half at the edge, 0 beyond the radius.
    assert got[39:41].mean() == pytest.approx(0.5, abs=0.02)
    assert got[43] > 0.1
    assert got[47:].max() == 0.0
    assert np.all(np.diff(got) <= 1e-6)


def test_convention_the_sign_decides_the_occlusion() -> None:
    photo, signed = two_halves(near=-8.0, far=8.0)
    front = linear_from_srgb8(render_defocus(photo, signed))[30, :, 0]
    back = linear_from_srgb8(render_defocus(photo, -signed))[30, :, 0]
    # White in front spreads over black; with the order reversed, black in front spreads over white: mirror images.
    np.testing.assert_allclose(front, 1.0 - back[::-1], atol=0.02)


def test_close_surfaces_do_not_shine_through_each_other() -> None:
    whole = np.ones((40, 60), dtype=np.float32)
    near = Surface(np.zeros((40, 60, 3), dtype=np.float32), 0.52 * whole, whole)
    far = Surface(np.ones((40, 60, 3), dtype=np.float32), 0.50 * whole, whole)
    assert render_surfaces([near, far], 0.0, 20.0).max() < 1e-3


def test_asymmetric_aperture_is_rotated_in_front_of_focus() -> None:
    linear = np.zeros((41, 41, 3), dtype=np.float32)
    linear[20, 20] = 1.0
    whole = np.ones((41, 41), dtype=np.float32)
    flaws = LensFlaws(Aperture(blades=5, rotation_rad=0.2))
    behind = render_surfaces([Surface(linear, -0.5 * whole, whole)], 0.0, 24.0, flaws)[..., 0]
    before = render_surfaces([Surface(linear, 0.5 * whole, whole)], 0.0, 24.0, flaws)[..., 0]
    assert np.abs(behind - before).max() > 1e-3
    np.testing.assert_allclose(before, behind[::-1, ::-1], atol=1e-5)


def test_colour_error_blurs_the_channels_differently() -> None:
    photo, _ = two_halves(0.0, 0.0)
    signed = np.full(photo.shape[:2], 6.0, dtype=np.float32)
    got = render_defocus(photo, signed, LensFlaws(colour_shift_px=(2.0, 0.0, -2.0)))[30].astype(int)
    widths = [np.count_nonzero((got[:, c] > 0) & (got[:, c] < 255)) for c in range(3)]
    assert widths[0] > widths[1] > widths[2]


def test_hidden_surface_mirrors_the_far_side_only() -> None:
    linear = np.zeros((20, 40, 3), dtype=np.float32)
    linear[..., 0] = np.arange(40)
    u = np.where(np.arange(40) < 20, 1.0, 0.0).astype(np.float32) * np.ones((20, 1), dtype=np.float32)
    behind = hidden_surface(linear, u, jump=0.5, radius_px=6)
    assert behind is not None
    covered = behind.coverage[10] > 0
    assert covered[14:20].all()
    assert not covered[20:].any()
    assert not covered[:13].any()
    assert (behind.linear[10, covered, 0] >= 20).all()
    assert (behind.inv_depth[10, covered] == 0).all()
    assert hidden_surface(linear, np.zeros_like(u), jump=0.5, radius_px=6) is None


# --- the camera ---


def test_noise_has_the_stated_variance() -> None:
    grey = np.full((200, 200, 3), 0.25, dtype=np.float32)
    noisy = add_sensor_noise(grey, Camera(shot=4e-4, read=0.01), np.random.default_rng(0))
    assert float(noisy.mean()) == pytest.approx(0.25, abs=1e-3)
    assert float(noisy.var()) == pytest.approx(4e-4 * 0.25 + 1e-4, rel=0.03)
    with pytest.raises(ValueError, match="noise"):
        add_sensor_noise(grey, Camera(shot=-1.0), np.random.default_rng(0))


def test_jpeg_has_the_requested_colour_resolution() -> None:
    photo = texture_photo()
    full, halved = (
        Image.open(io.BytesIO(encode_jpeg(photo, Camera(jpeg_quality=85, chroma_halved=h)))) for h in (False, True)
    )
    assert [layer[1:3] for layer in full.layer] == [(1, 1), (1, 1), (1, 1)]  # type: ignore[attr-defined]
    assert [layer[1:3] for layer in halved.layer] == [(2, 2), (1, 1), (1, 1)]  # type: ignore[attr-defined]
    assert decode_jpeg(encode_jpeg(photo, Camera())).shape == photo.shape


def test_same_seed_gives_the_same_photo() -> None:
    photo, signed = two_halves(-5.0, 5.0)
    camera = Camera(shot=5e-4, read=1e-3, jpeg_quality=80)
    first, second = (render_defocus(photo, signed, camera=camera, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.any(render_defocus(photo, signed, camera=camera, seed=4) != first)


# --- invalid input ---


def test_bad_input_is_refused() -> None:
    photo = texture_photo()
    flat = np.zeros(photo.shape[:2], dtype=np.float32)
    with pytest.raises(ValueError, match="expected at most"):
        render_defocus(photo, flat + 200.0)
    with pytest.raises(ValueError, match="no surface"):
        render_surfaces([], 0.0, 1.0)
    linear = linear_from_srgb8(photo)
    with pytest.raises(ValueError, match="kappa"):
        render_surfaces([Surface(linear, flat, flat + 1)], 0.0, -1.0)
    with pytest.raises(ValueError, match="unknown inverse depth"):
        render_surfaces([Surface(linear, flat + np.float32(np.nan), flat + 1)], 0.0, 1.0)
    with pytest.raises(ValueError, match="shapes"):
        render_surfaces([Surface(linear, flat[1:], flat + 1)], 0.0, 1.0)


def test_real_photo_loses_detail_with_the_disc(shared_data: Path) -> None:
    file = min((shared_data / "photos/kodak24").glob("*.jpg"))
    photo = np.asarray(Image.open(file).convert("RGB"))
    detail = [
        np.abs(cv2.Laplacian(render_defocus(photo, np.full(photo.shape[:2], c, dtype=np.float32)), cv2.CV_32F)).mean()
        for c in (0.0, 2.0, 4.0, 8.0)
    ]
    assert np.all(np.diff(detail) < 0)

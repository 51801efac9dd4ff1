"""Blur of known size."""

from __future__ import annotations

import numpy as np
import pytest

from mddnet.color import linear_from_srgb8
from mddnet.evaluate.discs import (
    SHAPES,
    Shape,
    SlopePoint,
    blurred,
    fit_slope,
    kernel_variance,
    resized,
    shape_kernel,
)


@pytest.mark.parametrize("diameter_px", [2.0, 3.3, 4.0, 8.0, 16.0])
def test_convention_variance_per_axis_is_that_of_the_disc(diameter_px: float) -> None:
    kernel = shape_kernel("disc", diameter_px)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
    assert 4 * np.sqrt(kernel_variance(kernel)) == pytest.approx(diameter_px, rel=0.01)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-7)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("diameter_px", [1.5, 4.0, 16.0, 48.0])
def test_convention_every_shape_has_the_variance_of_the_disc(shape: Shape, diameter_px: float) -> None:
    kernel = shape_kernel(shape, diameter_px)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    # about its centre of gravity: a cat's eye lies beside the middle
    dx, dy = x - (kernel * x).sum(), y - (kernel * y).sum()
    variance = (kernel * (dx**2 + dy**2)).sum() / 2
    assert 4 * np.sqrt(variance) == pytest.approx(diameter_px, rel=0.02)


def test_shapes_match_their_names() -> None:
    disc, gaussian, hexagon, eye = (shape_kernel(shape, 32.0) for shape in SHAPES)
    middle = len(gaussian) // 2
    # a Gaussian of sigma 8: at one sigma it has fallen to exp(-1/2)
    assert gaussian[middle, middle + 8] / gaussian[middle, middle] == pytest.approx(np.exp(-0.5), rel=0.02)
    # area of a regular hexagon of variance s^2 per axis (5/24 R^2, area 3 sqrt(3)/2 R^2), and of the disc (4 pi s^2)
    assert 1 / hexagon.max() == pytest.approx(3 * np.sqrt(3) / 2 * 64 * 24 / 5, rel=0.03)
    assert 1 / disc.max() == pytest.approx(4 * np.pi * 64, rel=0.03)
    wide, high = (np.flatnonzero(eye.sum(axis=a) > 1e-4) for a in (0, 1))
    assert np.ptp(high) > 1.1 * np.ptp(wide)  # a cat's eye is higher than wide


def test_a_large_disc_is_flat_inside_and_empty_outside() -> None:
    kernel = shape_kernel("disc", 16.0)
    centre = len(kernel) // 2
    inside = kernel[centre, centre - 6 : centre + 7]
    np.testing.assert_allclose(inside, 1 / (np.pi * 64), rtol=0.01)
    assert kernel[0, 0] == 0.0 and kernel[centre, 0] == 0.0
    with pytest.raises(ValueError, match=r"1\.5"):
        shape_kernel("disc", 1.0)


def test_blur_is_in_linear_light_and_keeps_positions() -> None:
    photo = np.zeros((41, 51, 3), dtype=np.uint8)
    photo[20, 25] = 255
    light = linear_from_srgb8(blurred(photo, 6.0))[..., 0]
    assert light.sum() == pytest.approx(1.0, abs=0.02)  # the light of one pixel; in sRGB values it would be lost
    rows, columns = np.mgrid[0:41, 0:51]
    assert (light * rows).sum() / light.sum() == pytest.approx(20, abs=1e-3)
    assert (light * columns).sum() / light.sum() == pytest.approx(25, abs=1e-3)
    flat = np.full((9, 12, 3), 77, dtype=np.uint8)
    np.testing.assert_array_equal(blurred(flat, 16.0), flat)


def test_no_photo_is_enlarged_much() -> None:
    photo = np.zeros((60, 430, 3), dtype=np.uint8)
    small, larger = resized(photo, 320), resized(photo, 480)
    assert small is not None and small.shape == (45, 320, 3)
    assert larger is not None and larger.shape[1] == 480
    assert resized(photo, 640) is None


def test_slope_by_hand() -> None:
    # estimates 1.5, 2.5, 4.5, 8.5 to 2, 4, 8, 16: slope one half, intercept 0.5; the unblurred estimate takes no part
    points = [SlopePoint("a", 320, t, 0.5 * t + 0.5) for t in (2.0, 4.0, 8.0, 16.0)]
    fit = fit_slope([*points, SlopePoint("a", 320, 0.0, 9.0)])
    assert (fit.slope, fit.intercept_px, fit.photos) == (pytest.approx(0.5), pytest.approx(0.5), 1)
    assert fit.medians_px == {0.0: 9.0, 2.0: 1.5, 4.0: 2.5, 8.0: 4.5, 16.0: 8.5}
    assert np.isnan(fit_slope(points[:1]).slope)

"""The lens law: hand-computed values, independent geometry, properties, conventions, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mddnet import optics as plain_optics
from mddnet.types import Lens
from tests.support.shapes import with_checked_shapes

optics = with_checked_shapes("mddnet.optics")["mddnet.optics"]

focal_mm = st.floats(2, 400)
f_number = st.floats(0.95, 32)
pixel_um = st.floats(0.5, 30)
depth_m = st.floats(0.5, 1000)
kappa = st.floats(0.1, 1e4)
inv_depth = st.floats(-5, 5)


def test_shapes_are_those_of_the_annotations() -> None:
    jaxtyping = pytest.importorskip("jaxtyping")
    for call in (
        lambda: optics.light_field_kappa_px(np.zeros((5, 3))),
        lambda: optics.light_field_kappa_px(np.zeros((5, 2)), np.ones(4)),
        lambda: optics.depth_from_inv_depth_m(np.zeros(3, dtype=int)),
    ):
        with pytest.raises(jaxtyping.TypeCheckError):
            call()


# --- the metric form ------------------------------------------------------------------------------------------------


def test_sensor_distance_values() -> None:
    # 1/v = 1/0.05 - 1/1.05 = 19.0476..., v = 52.5 mm
    assert optics.sensor_distance_m(50, 1.05) == pytest.approx(0.0525)
    assert optics.sensor_distance_m(50, math.inf) == 0.05


def test_kappa_values() -> None:
    # A = 25 mm, v = 52.5 mm, p = 5 um: 0.025 * 0.0525 / 5e-6 = 262.5 px per dioptre
    assert optics.kappa_px(50, 2, 5, 1.05) == pytest.approx(262.5)
    lens = Lens(focal_mm=50, f_number=2, pixel_um=5)
    assert optics.lens_kappa_px(lens, 1.05) == pytest.approx(262.5)
    assert optics.lens_kappa_px(lens) == pytest.approx(0.025 * 0.05 / 5e-6)


def test_defocus_values() -> None:
    # In focus at 1.05 m, a point at 2.1 m: kappa (1/1.05 - 1/2.1) = 262.5 / 2.1 = 125 px, behind the plane of focus
    assert optics.signed_defocus_px(1 / 2.1, 1 / 1.05, 262.5) == pytest.approx(125)


@given(focal_mm, f_number, pixel_um, st.floats(1.5, 1000), st.floats(1.5, 1000))
def test_lens_law_agrees_with_similar_triangles(f: float, n: float, p: float, z_focus: float, z: float) -> None:
    # The cone of light from the aperture to the image distance of z, cut by the sensor (Pentland 1987).
    f_m, sensor_m = f / 1000, optics.sensor_distance_m(f, z_focus)
    image_m = f_m * z / (z - f_m)
    disc_px = (f_m / n) * abs(image_m - sensor_m) / image_m / (p * 1e-6)
    by_law = optics.signed_defocus_px(1 / z, 1 / z_focus, optics.kappa_px(f, n, p, z_focus))
    assert abs(by_law) == pytest.approx(disc_px, rel=1e-6, abs=1e-6)


@given(inv_depth, inv_depth, kappa)
def test_defocus_and_back(u: float, u_focus: float, k: float) -> None:
    signed = optics.signed_defocus_px(u, u_focus, k)
    assert optics.inv_depth_from_signed_defocus(signed, u_focus, k) == pytest.approx(u, abs=1e-9)


@given(depth_m, focal_mm)
def test_distance_from_the_sensor_and_back(z: float, f: float) -> None:
    if z < 2 * f / 1000:  # the larger root is the object beyond twice the focal length
        z += 2 * f / 1000
    from_sensor = z + optics.sensor_distance_m(f, z)
    assert optics.focus_z_from_sensor_plane_m(from_sensor, f) == pytest.approx(z, rel=1e-5)


def test_distance_from_the_sensor_values() -> None:
    # z = 1.05 m and v = 52.5 mm: 1.1025 m in total
    assert optics.focus_z_from_sensor_plane_m(1.1025, 50) == pytest.approx(1.05)
    assert optics.focus_z_from_sensor_plane_m(math.inf, 50) == math.inf
    # The shortest distance of object and image is four focal lengths, at 1:1
    assert optics.focus_z_from_sensor_plane_m(0.2, 50) == pytest.approx(0.1)


def test_nan_stays_nan() -> None:
    u = np.array([0.5, np.nan], dtype=np.float32)
    np.testing.assert_array_equal(np.isnan(optics.signed_defocus_px(u, 1.0, 10.0)), [False, True])
    np.testing.assert_array_equal(np.isnan(optics.inv_depth_from_signed_defocus(u, 1.0, 10.0)), [False, True])
    np.testing.assert_array_equal(np.isnan(optics.depth_from_inv_depth_m(u)), [False, True])


def test_metres_from_inverse_depth() -> None:
    u = np.array([2.0, 0.5, 0.0, -0.1], dtype=np.float32)
    np.testing.assert_array_equal(optics.depth_from_inv_depth_m(u), np.array([0.5, 2.0, np.inf, np.inf], np.float32))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: plain_optics.sensor_distance_m(0, 1), "focal_mm is 0"),
        (lambda: plain_optics.sensor_distance_m(math.nan, 1), "focal_mm is nan"),
        (lambda: plain_optics.sensor_distance_m(50, 0.05), r"at 0\.05 m .* 50 mm"),
        (lambda: plain_optics.sensor_distance_m(50, math.nan), "at nan m"),
        (lambda: plain_optics.focus_z_from_sensor_plane_m(0.19, 50), r"0\.19 m .* 0\.2 m"),
        (lambda: plain_optics.kappa_px(50, 0, 5, 1), "f_number 0"),
        (lambda: plain_optics.kappa_px(50, 2, -5, 1), "pixel_um -5"),
        (lambda: plain_optics.lens_kappa_px(Lens(focal_mm=50)), "needs f_number, pixel_um"),
        (lambda: plain_optics.inv_depth_from_signed_defocus(1.0, 1.0, 0.0), "kappa is 0.0; expected > 0"),
        (lambda: plain_optics.inv_depth_from_signed_defocus(1.0, 1.0, math.nan), "kappa is nan"),
        (lambda: plain_optics.light_field_kappa_px(np.zeros((1, 2))), r"\(1, 2\)"),
        (lambda: plain_optics.light_field_kappa_px(np.zeros((4, 3))), r"\(4, 3\)"),
        (
            lambda: plain_optics.light_field_kappa_px(np.zeros((4, 2)), np.ones(3)),
            r"weights .*\(3,\); .*\(4,\)",
        ),
        (lambda: plain_optics.light_field_kappa_px(np.zeros((2, 2)), np.array([1, -1])), "none negative"),
        (lambda: plain_optics.light_field_kappa_px(np.zeros((2, 2)), np.zeros(2)), "some positive"),
    ],
)
def test_errors_name_the_value(call, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        call()


# --- conventions ----------------------------------------------------------------------------------------------------


def test_convention_larger_inverse_depth_is_nearer() -> None:
    near, far = optics.depth_from_inv_depth_m(np.array([2.0, 0.5], dtype=np.float32))
    assert near < far


def test_convention_signed_defocus_is_positive_behind_the_plane_of_focus() -> None:
    k = optics.kappa_px(50, 2, 5, 1.0)
    assert optics.signed_defocus_px(1 / 2.0, 1 / 1.0, k) > 0
    assert optics.signed_defocus_px(1 / 0.8, 1 / 1.0, k) < 0
    assert optics.signed_defocus_px(1 / 1.0, 1 / 1.0, k) == 0


def test_convention_focus_is_from_sensor_and_depth_from_principal_plane() -> None:
    z = optics.focus_z_from_sensor_plane_m(0.8, 50)
    assert z == pytest.approx(0.8 - optics.sensor_distance_m(50, z)) and z < 0.75


def test_convention_resizing_an_image_multiplies_its_defocus() -> None:
    half_size = optics.kappa_px(50, 2, 2 * 5, 1.05)  # half the pixels, twice the pitch
    assert half_size == pytest.approx(optics.kappa_px(50, 2, 5, 1.05) / 2)


def test_convention_sigma_of_a_disc_is_a_quarter_of_its_diameter() -> None:
    # The variance per axis of a uniform disc of diameter c is c^2 / 16.
    axis = np.arange(-600, 601) / 600 * 6.0  # a disc of diameter 12 on a fine grid
    y, x = np.meshgrid(axis, axis, indexing="ij")
    inside = x**2 + y**2 <= 36
    assert optics.sigma_from_diameter(12.0) == 3.0
    assert x[inside].std() == pytest.approx(optics.sigma_from_diameter(12.0), rel=2e-3)


# --- focus sweeps ---------------------------------------------------------------------------------------------------


@given(focal_mm, depth_m)
def test_sweep_is_exact(f: float, z: float) -> None:
    # 1/f - 1/v subtracts two numbers near 1/f: the difference has their rounding error.
    assert optics.sweep_u_focus(optics.sensor_distance_m(f, z), f) == pytest.approx(1 / z, abs=1e-12 * 1000 / f)


# --- light fields ---------------------------------------------------------------------------------------------------


def disc_of_views(radius: float) -> np.ndarray:
    reach = int(radius) + 1
    row, column = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij")
    inside = row**2 + column**2 <= radius**2
    return np.stack([row[inside], column[inside]], axis=1)


def test_light_field_kappa_of_a_dense_disc_is_its_diameter() -> None:
    assert optics.light_field_kappa_px(disc_of_views(40.5)) == pytest.approx(81, rel=0.01)


def test_light_field_kappa_values() -> None:
    # Four views at the corners of a square of side 2: standard deviation 1 per axis
    assert optics.light_field_kappa_px(np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])) == pytest.approx(4)


@pytest.mark.parametrize("disparity", [1, 2, 3])
def test_light_field_kappa_against_brute_force(disparity: int) -> None:
    # Average the views of one bright point whose disparity differs from the plane of focus, and measure the blur.
    views = disc_of_views(4.5)
    size = 2 * 3 * 5 + 3
    average = np.zeros((size, size))
    for row, column in views:
        view = np.zeros((size, size))
        view[size // 2 + disparity * row, size // 2 + disparity * column] = 1
        average += view / len(views)
    axis = np.arange(size) - size // 2
    sigma = math.sqrt((average.sum(axis=1) * axis**2).sum())
    expected_px = abs(optics.signed_defocus_px(float(disparity), 0.0, optics.light_field_kappa_px(views)))
    assert optics.diameter_from_sigma(sigma) == pytest.approx(expected_px)


def test_weights_equal_repeated_views() -> None:
    views = np.array([[0.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    repeated = np.repeat(views, [1, 3, 2], axis=0)
    assert optics.light_field_kappa_px(views, np.array([1, 3, 2])) == pytest.approx(
        optics.light_field_kappa_px(repeated)
    )
    assert optics.light_field_kappa_px(views, np.full(3, 0.2)) == pytest.approx(optics.light_field_kappa_px(views))


def test_light_field_kappa_is_translation_invariant() -> None:
    views = disc_of_views(4.5)
    assert optics.light_field_kappa_px(views + 100) == pytest.approx(optics.light_field_kappa_px(views))


# --- converters -----------------------------------------------------------------------------------------------------


@given(st.floats(0, 1000), st.integers(1, 8000), st.integers(1, 8000))
def test_converters_and_back(c: float, height: int, width: int) -> None:
    assert optics.diameter_from_sigma(optics.sigma_from_diameter(c)) == pytest.approx(c)
    fraction = optics.fraction_from_diameter(c, height, width)
    assert optics.diameter_from_fraction(fraction, height, width) == pytest.approx(c)


def test_fraction_is_of_the_long_side() -> None:
    assert optics.fraction_from_diameter(10.0, 300, 400) == 0.025
    assert optics.fraction_from_diameter(10.0, 400, 300) == 0.025


def test_dmenet_encoding() -> None:
    # sigma 3.275 px is a disc of 13.1 px; beyond it the encoding is clipped
    encoded = optics.dmenet_encoding_from_diameter(np.array([0.0, 6.55, 13.1, 50.0]))
    np.testing.assert_allclose(encoded, [0, 0.5, 1, 1])
    np.testing.assert_allclose(optics.diameter_from_dmenet_encoding(encoded), [0, 6.55, 13.1, 13.1])


def test_bokehme_encoding() -> None:
    # Signed radius, positive in front of the plane of focus
    encoded = optics.bokehme_encoding_from_signed(np.array([8.0, -3.0]))
    np.testing.assert_array_equal(encoded, [-4.0, 1.5])
    np.testing.assert_array_equal(optics.signed_from_bokehme_encoding(encoded), [8.0, -3.0])

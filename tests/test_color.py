from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mddnet.color import linear_from_srgb, linear_from_srgb8, srgb8_from_linear, srgb_from_linear


@pytest.mark.parametrize(
    ("srgb", "linear"),
    [
        (0.0, 0.0),
        (0.04045, 0.04045 / 12.92),  # the end of the straight part
        (0.5, 0.2140411),
        (0.7353570, 0.5),
        (1.0, 1.0),
    ],
)
def test_hand_computed_values(srgb: float, linear: float) -> None:
    assert linear_from_srgb(np.array(srgb)) == pytest.approx(linear, abs=1e-6)
    assert srgb_from_linear(np.array(linear)) == pytest.approx(srgb, abs=1e-6)


def test_every_byte_round_trips() -> None:
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(srgb8_from_linear(linear_from_srgb8(every)), every)


def test_table_equals_function() -> None:
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(linear_from_srgb8(every), linear_from_srgb(every / np.float32(255)))


@given(st.floats(0, 1, width=32))
def test_round_trip(value: float) -> None:
    assert float(srgb_from_linear(linear_from_srgb(np.array(value)))) == pytest.approx(value, abs=2e-6)


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32))
def test_order_is_kept(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert linear_from_srgb(np.array(low)) <= linear_from_srgb(np.array(high))


def test_light_outside_the_range_is_clipped_on_encoding() -> None:
    np.testing.assert_array_equal(srgb8_from_linear(np.array([-0.5, 1.5])), [0, 255])
    np.testing.assert_allclose(srgb_from_linear(np.array([-0.5, 1.5])), [0.0, 1.0], rtol=1e-6)


def test_unknown_stays_unknown_in_float() -> None:
    assert np.isnan(linear_from_srgb(np.array(np.nan)))
    assert np.isnan(srgb_from_linear(np.array(np.nan)))


def test_convention_mean_of_light_is_not_mean_of_codes() -> None:
    grey = srgb8_from_linear(linear_from_srgb8(np.array([0, 255], dtype=np.uint8)).mean(keepdims=True))
    assert grey[0] == 188


def test_shape_and_type() -> None:
    image = np.zeros((2, 3, 3), dtype=np.uint8)
    linear = linear_from_srgb8(image)
    assert linear.shape == image.shape and linear.dtype == np.float32
    assert srgb8_from_linear(linear).dtype == np.uint8

"""Another defocus for a photo that has some: by hand, and against pictures rendered with that defocus."""

from __future__ import annotations

import numpy as np
import pytest

from mddnet.scenes.reblur import extra_defocus_px, reblurred
from mddnet.scenes.render import DISC, Aperture, defocused_light
from mddnet.types import Float32Array


def flat(value: float, size: tuple[int, int] = (120, 160)) -> Float32Array:
    return np.full(size, value, dtype=np.float32)


def point(row: int, column: int, light: float = 1.0, size: tuple[int, int] = (120, 160)) -> Float32Array:
    linear = np.zeros((*size, 3), dtype=np.float32)
    linear[row, column] = light
    return linear


def texture(seed: int = 0, size: tuple[int, int] = (120, 160)) -> Float32Array:
    return np.random.default_rng(seed).uniform(0.1, 0.9, (*size, 3)).astype(np.float32)


def blocks() -> Float32Array:
    return np.repeat(np.repeat(texture(size=(15, 20)), 8, axis=0), 8, axis=1)


def test_extra_blur_by_hand() -> None:
    existing, wanted = np.float32([[3, -3, 5, 0]]), np.float32([[5, -5, 3, 2]])
    assert extra_defocus_px(existing, wanted).tolist() == [[4, -4, 0, 2]]


def test_blur_adds_in_variance() -> None:
    existing = np.random.default_rng(3).uniform(0, 20, (8, 8)).astype(np.float32)
    extra = extra_defocus_px(existing, (1.7 * existing).astype(np.float32))
    np.testing.assert_allclose(np.hypot(existing, extra), 1.7 * existing, rtol=1e-4)


def test_without_change_the_light_stays_as_it_is() -> None:
    light = texture()
    assert reblurred(light, flat(4), flat(4), DISC, sharpen=True) is light
    assert reblurred(light, flat(4), flat(2), DISC, sharpen=False) is light


def test_a_blurred_photo_gets_the_wanted_blur() -> None:
    sharp = blocks()
    given, wanted = defocused_light(sharp, flat(6)), defocused_light(sharp, flat(10))
    got = reblurred(given, flat(6), flat(10), DISC, sharpen=False)
    assert np.abs(got - wanted).mean() < 0.2 * np.abs(given - wanted).mean()


def test_highlights_above_white_become_discs_that_are_brighter_than_those_of_white() -> None:
    got = reblurred(point(60, 80, 400.0), flat(0), flat(12), DISC, sharpen=False)
    assert got[60, 80, 0] == pytest.approx(400 / (np.pi * 6**2), rel=0.1)
    assert got.sum() == pytest.approx(3 * 400, rel=0.01)


def test_a_large_blur_at_a_lower_resolution_is_that_at_full_resolution() -> None:
    light = texture(size=(300, 400))
    light[:150, :200] *= 0.2
    signed = flat(100, (300, 400))
    fine, coarse = defocused_light(light, signed), defocused_light(light, signed, fine_px=12)
    assert np.abs(fine - coarse).mean() < 0.01 * fine.mean()
    beyond = defocused_light(light, flat(200, (300, 400)), fine_px=12)
    assert beyond.std() < coarse.std()


def spread(light: Float32Array, row: int, column: int) -> tuple[float, float]:
    """Standard deviations of the light around a point, along and across the direction from the centre."""
    height, width = light.shape[:2]
    dy, dx = row - (height - 1) / 2, column - (width - 1) / 2
    along = np.array([dy, dx]) / np.hypot(dy, dx)
    rows, columns = np.mgrid[:height, :width]
    weight = light[..., 0] / light[..., 0].sum()
    offsets = np.stack([rows - (weight * rows).sum(), columns - (weight * columns).sum()], axis=-1)
    one, two = offsets @ along, offsets @ np.array([-along[1], along[0]])
    return float(np.sqrt((weight * one**2).sum())), float(np.sqrt((weight * two**2).sum()))


def test_a_cat_s_eye_is_narrow_towards_the_centre_and_only_in_the_corners() -> None:
    aperture = Aperture(cat_eye=0.8)
    corner = reblurred(point(20, 20), flat(0), flat(16), aperture, sharpen=False)
    radial, tangential = spread(corner, 20, 20)
    assert radial < 0.8 * tangential
    centre = reblurred(point(60, 82), flat(0), flat(16), aperture, sharpen=False)
    radial, tangential = spread(centre, 60, 82)
    assert radial == pytest.approx(tangential, rel=0.05)
    assert centre.sum() == pytest.approx(3, rel=0.02)


def test_blur_is_reduced_towards_the_wanted_one_but_not_where_it_is_large() -> None:
    sharp = blocks()
    wanted, given = defocused_light(sharp, flat(3)), defocused_light(sharp, flat(6))
    got = reblurred(given, flat(6), flat(3), DISC, sharpen=True)
    assert np.square(got - wanted).mean() < 0.75 * np.square(given - wanted).mean()
    assert (reblurred(given, flat(30), flat(3), DISC, sharpen=True) == given).all()

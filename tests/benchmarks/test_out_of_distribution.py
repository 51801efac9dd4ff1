"""The odd photos are what they are called, and the table has a row for each."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.out_of_distribution import (
    NIGHT_LIGHT,
    ODD_PHOTOS,
    checkerboard,
    coarse_noise,
    dark,
    gradient,
    night,
    out_of_distribution_markdown,
    overexposed,
    photo_summary,
    rotated,
)
from tests.predict.test_out_of_distribution import textured
from tests.support.made_law_model import LawModel

from mddnet.color import linear_from_srgb8
from mddnet.types import Photo


def test_every_generated_photo_has_the_size_of_the_photo() -> None:
    photo = textured(120, 161)
    for name, make in ODD_PHOTOS.items():
        made = make(photo)
        assert made.shape == photo.shape and made.dtype == np.uint8, name


def test_light_is_taken_away_and_added() -> None:
    photo = textured(240, 320)
    light = linear_from_srgb8(photo).mean()
    assert linear_from_srgb8(dark(photo)).mean() == pytest.approx(light * NIGHT_LIGHT, rel=0.05)
    assert linear_from_srgb8(night(photo)).mean() == pytest.approx(0.2 * light, rel=0.05)
    assert (overexposed(photo) == 255).mean() > (photo == 255).mean() + 0.1
    # Noise: neighbours that were equal differ.
    assert np.diff(night(np.full_like(photo, 100)).astype(int), axis=1).std() > 2


def test_patterns() -> None:
    photo = textured(64, 80)
    np.testing.assert_array_equal(rotated(rotated(photo)), photo)
    assert set(np.unique(checkerboard(photo))) == {0, 255} and checkerboard(photo)[0, 8, 0] == 255
    assert gradient(photo)[:, 0].max() == 0 and gradient(photo)[:, -1].min() == 255
    assert (coarse_noise(photo)[:8, :8] == coarse_noise(photo)[0, 0]).all()


def test_the_table_has_a_row_for_each() -> None:
    photo = textured(64, 80)
    summaries = {name: [photo_summary(LawModel().predict(Photo(make(photo))))] for name, make in ODD_PHOTOS.items()}
    text = out_of_distribution_markdown(summaries, "law 1")
    assert all(f"| {name} |" in text for name in ODD_PHOTOS) and "0 of 1" in text

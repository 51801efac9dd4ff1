"""The alterations are what they say: light is kept, blur and contrast change where they should."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.corruption import (
    CORRUPTIONS,
    MOTION_PX,
    computed_bokeh,
    corruption_markdown,
    field_curved,
    hazy,
    moved,
    sharpened,
    subject,
    summary_of,
    tilted,
)

from mddnet.color import linear_from_srgb8
from mddnet.types import UInt8Array


@pytest.fixture(scope="module")
def photo() -> UInt8Array:
    random = np.random.default_rng(0)
    return random.integers(40, 200, (120, 160, 3), dtype=np.uint8).repeat(1, axis=0)


def roughness(photo: UInt8Array) -> np.ndarray:
    """Mean absolute step from row to row, by row."""
    return np.abs(np.diff(photo.astype(float), axis=0)).mean(axis=(1, 2))


def test_motion_draws_a_point_as_a_line() -> None:
    black = np.zeros((60, 80, 3), np.uint8)
    black[30, 40] = 255
    light = linear_from_srgb8(moved(black))[:, :, 0]
    line = np.flatnonzero(light[30] > 0)
    assert len(line) == MOTION_PX and line[-1] - line[0] == MOTION_PX - 1
    assert light.sum() == pytest.approx(1.0, rel=0.05) and np.count_nonzero(light) == MOTION_PX


def test_all_but_haze_keep_the_light(photo: UInt8Array) -> None:
    mean = linear_from_srgb8(photo).mean()
    for name, alter in CORRUPTIONS.items():
        altered = alter(photo)
        assert altered.shape == photo.shape and altered.dtype == np.uint8
        if "haze" not in name and "sharpening" not in name:
            assert linear_from_srgb8(altered).mean() == pytest.approx(mean, rel=0.01), name


def test_bokeh_leaves_the_subject_alone(photo: UInt8Array) -> None:
    altered, inside = computed_bokeh(photo), subject(photo.shape[:2])
    np.testing.assert_array_equal(altered[inside], photo[inside])
    assert altered[~inside].std() < 0.3 * photo[~inside].std()


def test_sharpening_makes_steps_steeper_and_haze_lowers_contrast_at_the_top(photo: UInt8Array) -> None:
    assert roughness(sharpened(photo)).mean() > 1.2 * roughness(photo).mean()
    rough = roughness(hazy(photo)) / roughness(photo)
    assert rough[:5].mean() < 0.5 and rough[70:].mean() == pytest.approx(1.0, abs=0.02)


def test_tilt_is_sharp_in_the_middle_row_and_field_curvature_in_the_middle(photo: UInt8Array) -> None:
    rough = roughness(tilted(photo)) / roughness(photo)
    assert rough[58:61].mean() > 0.8 and rough[:5].mean() < 0.3 and rough[-5:].mean() < 0.3
    curved = np.abs(np.diff(field_curved(photo).astype(float), axis=0))
    assert curved[55:65, 75:85].mean() > 3 * curved[:10, :10].mean()


def test_the_table_has_a_row_for_each(photo: UInt8Array) -> None:
    from tests.support.made_law_model import LawModel

    from mddnet.types import Photo

    summaries = {
        name: [summary_of(lambda p: LawModel().predict(Photo(p)), alter(photo))] for name, alter in CORRUPTIONS.items()
    }
    text = corruption_markdown(summaries, "law 1")
    assert all(f"| {name} |" in text for name in CORRUPTIONS) and "1 of 1" in text

"""Colours and the preview."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import mddnet
from mddnet.color_maps import DEPTH_COLOURS, SIGN_COLOURS, colours
from mddnet.predict.prediction import Prediction, SmallMaps
from mddnet.predict.preview import PreviewRange, preview, preview_range
from mddnet.types import LensLawFit


def prediction(height: int, width: int) -> Prediction:
    u = np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width)
    signed = 10 * (0.5 - u)
    photo = mddnet.Photo(np.full((height, width, 3), 77, np.uint8))
    maps = SmallMaps(u, np.abs(signed), np.sign(signed), u)
    return Prediction(maps, "relative", LensLawFit(True, 0.5, 10, 0), photo, "m", "1")


def test_depth_colours_grow_lighter_and_sign_colours_are_white_in_the_middle() -> None:
    lightness = DEPTH_COLOURS.astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -0.6).all() and lightness[-1] - lightness[0] > 180
    assert SIGN_COLOURS[128].min() > 235
    assert SIGN_COLOURS[0, 2] > SIGN_COLOURS[0, 0] and SIGN_COLOURS[-1, 0] > SIGN_COLOURS[-1, 2]


def test_colours_clip_and_survive_an_empty_range() -> None:
    values = np.array([[-5.0, 0.0, 1.0, 9.0]], np.float32)
    painted = colours(values, 0.0, 1.0, DEPTH_COLOURS)
    np.testing.assert_array_equal(painted[0], DEPTH_COLOURS[[0, 0, 255, 255]])
    assert colours(values * 0, 0.0, 0.0, DEPTH_COLOURS).shape == (1, 4, 3)


@pytest.mark.parametrize("size", [(3000, 4000), (4000, 3000), (40, 1200), (1200, 40), (32, 32), (1000, 1001)])
def test_the_preview_is_small_for_every_shape_of_photo(size: tuple[int, int]) -> None:
    sheet = preview(prediction(*size))
    assert sheet.mode == "RGB" and sheet.width <= 1600 and sheet.height <= 1000


def test_the_preview_shows_photo_depth_and_sign() -> None:
    sheet = np.asarray(preview(prediction(300, 400)))
    assert tuple(sheet[100, 100]) == (77, 77, 77)
    top, bottom = sheet[20, 800].astype(int), sheet[380, 800].astype(int)
    assert bottom.sum() > top.sum()  # near is bright
    assert sheet[20, 1400, 0] > sheet[20, 1400, 2] and sheet[380, 1400, 0] < sheet[380, 1400, 2]


def test_the_legend_carries_the_unit() -> None:
    relative = prediction(300, 400)
    metric = dataclasses.replace(relative, unit="1/m")
    assert (np.asarray(preview(relative)) != np.asarray(preview(metric))).any()


def test_one_range_for_several_previews() -> None:
    one = prediction(300, 400)
    other = dataclasses.replace(one, maps=dataclasses.replace(one.maps, inv_depth=one.inv_depth * 2))
    ranges = [preview_range(one), preview_range(other)]
    assert ranges[1].high == pytest.approx(2 * ranges[0].high) and ranges[0].most_px == pytest.approx(5, rel=0.02)
    both = PreviewRange.over(ranges)
    assert (both.low, both.high, both.most_px) == (ranges[0].low, ranges[1].high, ranges[0].most_px)
    np.testing.assert_array_equal(np.asarray(preview(one)), np.asarray(preview(one, ranges[0])))
    # Of the doubled depth, the picture spans the range; of the other one half of it.
    middle = np.asarray(preview(one, PreviewRange(0.0, 2.0, 5.0)))[380, 800]
    assert np.abs(middle.astype(int) - DEPTH_COLOURS[127]).max() < 12


def test_little_blur_is_not_painted_in_full_colours() -> None:
    one = prediction(1536, 2048)
    weak = dataclasses.replace(one, maps=dataclasses.replace(one.maps, defocus_px=one.maps.defocus_px * 0 + 1.0))
    # 4 px of 512 are 16 px of 2048: blur of 1 px is nearly white
    assert preview_range(weak).most_px == pytest.approx(16)
    sheet = np.asarray(preview(weak))
    assert sheet[20, 1400].min() > 215

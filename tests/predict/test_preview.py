"""Colours and the preview."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import mddnet
from mddnet.color_maps import DEPTH_COLOURS, SIGN_COLOURS, colours
from mddnet.predict.prediction import Prediction, SmallMaps
from mddnet.predict.preview import PreviewRange, panel_size, preview, preview_range, sheet_size
from mddnet.predict.verdict import Judgement, Verdict
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


GOOD, BAD = Judgement("good", None, 0.9), Judgement("do_not_trust", "everything is sharp", 0.1)


def panel(made: Prediction, number: int) -> np.ndarray:
    """A panel of the preview, (390, 520, 3)."""
    left = 8 + number * 528
    return np.asarray(preview(made))[8:398, left : left + 520].astype(int)


def colourfulness(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(pixels.max(axis=-1) - pixels.min(axis=-1))


def with_maps(made: Prediction, **maps: np.ndarray) -> Prediction:
    return dataclasses.replace(made, maps=dataclasses.replace(made.maps, **maps))


def test_depth_fades_to_grey_where_it_is_not_trusted() -> None:
    made = prediction(300, 400)
    right = np.where(np.arange(400) < 200, 1.0, 0.0).astype(np.float32)[None].repeat(300, axis=0)
    shown = colourfulness(panel(with_maps(made, confidence=right), 1))
    assert shown[:, 40:200].mean() > 80 and shown[:, 320:480].max() < 8


def test_depth_is_grey_where_the_verdict_does_not_trust_it_and_blur_is_not() -> None:
    sure = with_maps(prediction(300, 400), confidence=np.ones((300, 400), np.float32))
    good = dataclasses.replace(sure, verdict=Verdict(GOOD, GOOD))
    bad = dataclasses.replace(sure, verdict=Verdict(BAD, GOOD))
    assert colourfulness(panel(good, 1)).mean() > 80
    assert colourfulness(panel(bad, 1)).mean() < 0.15 * colourfulness(panel(good, 1)).mean()
    np.testing.assert_array_equal(panel(bad, 2), panel(good, 2))


def test_blur_on_a_doubtful_side_is_grey_but_not_white() -> None:
    made = prediction(300, 400)
    unsure = with_maps(made, sign_certainty=np.zeros((300, 400), np.float32))
    assert colourfulness(panel(made, 2))[:20].mean() > 100
    grey = panel(unsure, 2)
    assert colourfulness(grey).max() <= 5 and grey[:20].mean() < 130 and grey[180:200].mean() > 220


def test_the_words_need_no_more_room_than_there_is() -> None:
    reason = "the photo is unlike those of the training and this sentence has many more words than fit in one line"
    made = dataclasses.replace(prediction(32, 32), verdict=Verdict(Judgement("partly", reason, 0.5), BAD))
    sheet = preview(made)
    assert sheet.width == sheet_size(panel_size((32, 32)))[0]
    below = np.asarray(sheet)[sheet_size(panel_size((32, 32)))[1] :]
    assert (below[:, -8:] == below[0, 0]).all() and sheet.height < 700


def test_a_panorama_is_stacked_so_that_it_is_not_tiny() -> None:
    assert panel_size((1080, 3840)) == (818, 230) and panel_size((500, 4000)) == (1200, 150)
    sheet = preview(prediction(108, 384))
    assert sheet.height > 3 * 230 and sheet.width < 900


def test_a_range_of_noise_is_not_stretched() -> None:
    made = dataclasses.replace(prediction(300, 400), unit="1/m")
    noise = np.random.default_rng(0).normal(0.5, 0.002, (300, 400)).astype(np.float32)
    flat = with_maps(made, inv_depth=noise, inv_depth_error=np.full((300, 400), 0.1, np.float32))
    found = preview_range(flat)
    assert found.high - found.low == pytest.approx(0.2, rel=0.05)  # twice the error


def test_the_frames_of_a_video_share_the_mean_of_their_colours() -> None:
    both = PreviewRange.over([PreviewRange(0, 1, 5, 1.0, 1.0), PreviewRange(0, 1, 5, 0.0, 1.0)])
    assert (both.depth_colour, both.blur_colour) == (0.5, 1.0)


@pytest.mark.parametrize("number", [2, 4])
def test_real_sharp_photos_are_not_painted_as_blurred(shared_data: Path, number: int) -> None:
    photo = sorted((shared_data / "photos" / "kodak24").glob("*.jpg"))[number]
    shown = np.asarray(mddnet.load().predict(photo).preview()).astype(int)
    # of the third panel, hardly a pixel is in full colour
    right = shown[8 : shown.shape[0] // 2, -400:-20]
    assert (colourfulness(right) > 90).mean() < 0.05

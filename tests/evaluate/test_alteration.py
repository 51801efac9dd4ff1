"""Photos with a cue taken away: what goes, what stays, and that the model sees it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mddnet.evaluate.alteration import ALTERATIONS, Altered, in_grey, through_jpeg


def test_grey_is_luma_by_hand() -> None:
    photo = np.array([[[255, 0, 0], [0, 255, 0], [10, 20, 30]]], dtype=np.uint8)
    # 0.299 R + 0.587 G + 0.114 B
    assert in_grey(photo)[0].tolist() == [[76] * 3, [150] * 3, [18] * 3]


def test_jpeg_halves_the_colour_and_keeps_the_picture() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :96]
    smooth = np.stack([2 * x, 2 * y + 40, x + y], axis=-1).astype(np.uint8)
    assert np.abs(through_jpeg(smooth).astype(int) - smooth).mean() < 4
    # red and blue stripes a pixel wide, of one brightness: colour at full resolution, which 4:2:0 cannot hold
    stripes = np.zeros((64, 96, 3), dtype=np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (200, 60, 60), (60, 100, 180)
    before, after = (
        np.abs(np.diff(p[..., 0].astype(int) - p[..., 2], axis=1)).mean() for p in (stripes, through_jpeg(stripes))
    )
    assert after < 0.3 * before
    noise = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(through_jpeg(noise), through_jpeg(noise))


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_the_model_sees_the_altered_photo(alteration: str) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    seen: list[np.ndarray] = []
    model = SimpleNamespace(predict=lambda p: seen.append(p) or "maps")
    assert Altered(model, alteration).predict(photo) == "maps"  # type: ignore[arg-type]
    assert seen[0].shape == photo.shape and not np.array_equal(seen[0], photo)

"""Blur that is added: by hand, by its properties, and against a photo that was taken with the wider aperture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.support.made_law_model import LawModel

from mddnet.demo.blur_edit import blur_mask, mask_over_photo, refocused
from mddnet.demo.page_maps import PageMaps, page_maps
from mddnet.errors import MddnetError
from mddnet.types import LensLawFit, Photo


@pytest.mark.parametrize("factor", [0.5, 7.0, float("nan")])
def test_a_factor_out_of_range(maps: PageMaps, factor: float) -> None:
    with pytest.raises(MddnetError, match="expected 1 to 6"):
        refocused(maps, factor)


def scene(height: int = 96, width: int = 128) -> PageMaps:
    """A sharp near half over a far half with noise, both with the inverse depth in red."""
    rng = np.random.default_rng(0)
    pixels = np.repeat(rng.integers(0, 256, (height, width, 1), dtype=np.uint8), 3, axis=2)
    pixels[:, :, 0] = 40
    pixels[:, width // 2 :, 0] = 128  # in focus
    return page_maps(LawModel().predict(Photo(pixels)))


def test_pixels_in_focus_stay_sharp_and_others_get_softer() -> None:
    pytest.importorskip("cv2", reason="rendering needs OpenCV (extra demo)")
    pytest.importorskip("scipy", reason="rendering needs SciPy (extra demo)")
    maps = scene()
    assert (refocused(maps, 1.0) == maps.pixels).all()
    result = refocused(maps, 2.5)
    assert result.shape == maps.pixels.shape and result.dtype == np.uint8
    middle = maps.pixels.shape[1] // 2
    sharp, soft = slice(middle + 4, None), slice(None, middle - 20)
    change = np.abs(result[:, sharp].astype(int) - maps.pixels[:, sharp])
    assert np.median(change) <= 2
    assert result[:, soft, 1].std() < 0.2 * maps.pixels[:, soft, 1].std()


def test_the_mean_of_light_is_kept() -> None:
    pytest.importorskip("cv2", reason="rendering needs OpenCV (extra demo)")
    from mddnet.color import linear_from_srgb8

    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :, 0] = 10  # all equally far behind the plane of focus
    pixels[30:34, 30:34, 1:] = 255
    maps = page_maps(LawModel().predict(Photo(pixels)))
    before = linear_from_srgb8(maps.pixels).sum(axis=(0, 1))[1]
    after = linear_from_srgb8(refocused(maps, 2)).sum(axis=(0, 1))[1]
    assert after == pytest.approx(before, rel=0.05)  # 8 bits round; in sRGB it would be off by far more


def test_the_mask_by_hand(maps: PageMaps) -> None:
    mask = blur_mask(maps, 4.0)
    size = np.abs(maps.signed_defocus_px)
    assert (mask[size > 4 * 1.31] == 255).all() and (mask[size < 4 * 0.69] == 0).all()
    assert ((mask > 100) & (mask < 155))[np.abs(size - 4) < 0.1].all()
    shown = mask_over_photo(maps, mask)
    assert (shown[mask == 0] == maps.pixels[mask == 0]).all()
    grey = shown[mask == 255]
    assert (np.ptp(grey.astype(int), axis=1) <= 1).all()


def test_a_point_is_brought_into_focus() -> None:
    pytest.importorskip("cv2", reason="rendering needs OpenCV (extra demo)")
    maps = scene()
    middle = maps.pixels.shape[1] // 2
    near, far = slice(None, middle - 20), slice(middle + 20, None)
    result = refocused(maps, 2.0, (0.1, 0.5))
    assert result[:, far, 1].std() < 0.3 * maps.pixels[:, far, 1].std()
    assert result[:, near, 1].std() > 0.9 * maps.pixels[:, near, 1].std()  # what is blurred cannot become sharper


def test_a_sharp_photo_is_blurred_by_its_depth_alone() -> None:
    pytest.importorskip("cv2", reason="rendering needs OpenCV (extra demo)")
    maps = scene()
    sharp = replace(maps, signed_defocus_px=np.zeros_like(maps.inv_depth), focus=LensLawFit(False, np.nan, np.nan, 0.0))
    middle = maps.pixels.shape[1] // 2
    near, far = slice(None, middle - 20), slice(middle + 20, None)
    for point, kept, blurred in (((0.1, 0.5), near, far), ((0.9, 0.5), far, near)):
        result = refocused(sharp, 6.0, point)
        assert np.median(np.abs(result[:, kept].astype(int) - maps.pixels[:, kept])) <= 2
        assert result[:, blurred, 1].std() < 0.6 * maps.pixels[:, blurred, 1].std()
    assert (refocused(sharp, 6.0) == refocused(sharp, 6.0, (0.5, 0.5))).all()


@pytest.mark.parametrize("threshold_px", [0.0, -1.0, float("inf"), float("nan")])
def test_a_threshold_out_of_range(maps: PageMaps, threshold_px: float) -> None:
    with pytest.raises(MddnetError, match="positive number"):
        blur_mask(maps, threshold_px)

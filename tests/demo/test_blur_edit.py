"""Blur that is added: by hand, by its properties, and against a photo that was taken with the wider aperture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.support.made_law_model import LawModel

from mddnet.demo.blur_edit import (
    blur_mask,
    extra_defocus_px,
    magnified,
    mask_over_photo,
    significant_defocus_px,
    wanted_defocus_px,
)
from mddnet.demo.page_maps import PageMaps, page_maps
from mddnet.errors import MddnetError
from mddnet.types import LensLawFit, Photo


def test_extra_blur_by_hand() -> None:
    existing, wanted = np.float32([[3, -3, 5, 0]]), np.float32([[5, -5, 3, 2]])
    assert extra_defocus_px(existing, wanted).tolist() == [[4, -4, 0, 2]]


def test_blur_adds_in_variance() -> None:
    rng = np.random.default_rng(3)
    existing = rng.uniform(0, 20, (8, 8)).astype(np.float32)
    wanted = 1.7 * existing
    extra = extra_defocus_px(existing, wanted.astype(np.float32))
    np.testing.assert_allclose(np.hypot(existing, extra), wanted, rtol=1e-4)


def test_wanted_blur_around_another_plane(maps: PageMaps) -> None:
    np.testing.assert_allclose(wanted_defocus_px(maps, 2), 2 * significant_defocus_px(maps), rtol=1e-6)
    np.testing.assert_allclose(wanted_defocus_px(maps, 2, 0.5), 2 * maps.signed_defocus_px, atol=1e-4)
    near = wanted_defocus_px(maps, 2, 1.0)
    assert near[0, -1] == pytest.approx(0, abs=1e-5) and near[0, 0] == pytest.approx(40, rel=1e-5)


def test_defocus_below_the_residual_counts_as_sharp(maps: PageMaps) -> None:
    signed = np.float32([[-5, -1, 0, 1.5, 4]])
    doubtful = replace(maps, signed_defocus_px=signed, focus=replace(maps.focus, residual_px=2.0))
    assert significant_defocus_px(doubtful).tolist() == [[-3, 0, 0, 0, 2]]
    lost = replace(doubtful, focus=LensLawFit(False, float("nan"), float("nan"), 2.0, "all is sharp"))
    assert significant_defocus_px(lost).tolist() == signed.tolist()


@pytest.mark.parametrize("factor", [0.5, 7.0, float("nan")])
def test_a_factor_out_of_range(maps: PageMaps, factor: float) -> None:
    with pytest.raises(MddnetError, match="expected 1 to 6"):
        wanted_defocus_px(maps, factor)


def test_another_plane_needs_the_law(maps: PageMaps) -> None:
    lost = replace(maps, focus=LensLawFit(False, float("nan"), float("nan"), 1.0, "all is sharp"))
    with pytest.raises(MddnetError, match="all is sharp"):
        wanted_defocus_px(lost, 2, 0.5)


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
    assert (magnified(maps, 1.0) == maps.pixels).all()
    result = magnified(maps, 2.5)
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
    after = linear_from_srgb8(magnified(maps, 2)).sum(axis=(0, 1))[1]
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


@pytest.mark.parametrize("threshold_px", [0.0, -1.0, float("inf"), float("nan")])
def test_a_threshold_out_of_range(maps: PageMaps, threshold_px: float) -> None:
    with pytest.raises(MddnetError, match="expected a positive number"):
        blur_mask(maps, threshold_px)

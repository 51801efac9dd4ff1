"""Photos with a cue taken away: what goes, what stays, and that the model sees it."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.perturbation import (
    PERTURBATIONS,
    Perturbation,
    Perturbed,
    PerturbedMaps,
    exposed,
    in_grey,
    through_jpeg,
    tile_bounds,
)

from mddnet.types import LensLawFit


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


def test_an_exposure_of_one_stop_doubles_the_light() -> None:
    # sRGB 60 and 85: linear .0452 and .0908 (IEC 61966-2-1), one stop apart to the rounding of 8 bits
    photo = np.full((2, 2, 3), 60, dtype=np.uint8)
    assert exposed(photo, 1.0)[0, 0].tolist() == [85] * 3
    assert exposed(exposed(photo, 1.0), -1.0)[0, 0].tolist() == [60] * 3
    assert exposed(np.full((1, 1, 3), 250, dtype=np.uint8), 1.0).max() == 255


class Reader:
    """Reads the maps off the photo itself, pixel by pixel: inverse depth from red, CoC in px from green, side by blue.

    Whatever happens to the photo happens to the maps; brought back, they must fit the photo as it was.
    """

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def predict(self, photo: np.ndarray, /) -> PerturbedMaps:
        self.seen.append(photo)
        red, green, blue = (photo[..., c].astype(np.float32) for c in range(3))
        return PerturbedMaps(red, green, np.where(blue > 127, green, -green), LensLawFit(True, 0.5, 1.0, 0.0))


def scene(height: int = 24, width: int = 48) -> np.ndarray:
    """Smooth, unlike itself in every direction, with a blue right half."""
    y, x = np.mgrid[:height, :width]
    return np.stack([3 * x + y, 60 + 2 * y + x, np.where(x >= width // 2, 255, 0)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
def test_the_model_sees_the_perturbed_photo(perturbation: Perturbation) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (24, 48, 3), dtype=np.uint8)
    reader = Reader()
    maps = Perturbed(reader, perturbation).predict(photo)
    assert not np.array_equal(reader.seen[-1], photo)
    assert maps.inv_depth.shape == maps.defocus_px.shape == maps.signed_defocus_px.shape == photo.shape[:2]


@pytest.mark.parametrize("perturbation", ["mirrored", "rotated-90", "rotated-180", "rotated-270", "tiles"])
def test_maps_are_transformed_back(perturbation: Perturbation) -> None:
    for photo in (scene(), scene(48, 24)):
        unchanged, perturbed = Reader().predict(photo), Perturbed(Reader(), perturbation).predict(photo)
        assert np.array_equal(perturbed.inv_depth, unchanged.inv_depth)
        assert np.array_equal(perturbed.signed_defocus_px, unchanged.signed_defocus_px)
        assert np.array_equal(perturbed.defocus_px, np.abs(perturbed.signed_defocus_px))


def test_a_photo_of_half_the_size_has_half_the_blur_which_is_doubled() -> None:
    photo = scene()
    unchanged, perturbed = Reader().predict(photo), Perturbed(Reader(), "halved").predict(photo)
    inside = (slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(perturbed.inv_depth[inside], unchanged.inv_depth[inside], atol=2)
    np.testing.assert_allclose(perturbed.defocus_px[inside], 2 * unchanged.defocus_px[inside], atol=4)
    assert (perturbed.signed_defocus_px[:, 28:] > 0).all() and (perturbed.signed_defocus_px[:, :20] < 0).all()


def test_a_tile_is_predicted_alone_at_its_position() -> None:
    reader, photo = Reader(), scene()
    Perturbed(reader, "tiles").predict(photo)
    views = reader.seen[1:]  # the first is the whole photo, for the focus
    assert len(views) == len(list(tile_bounds(24, 48))) == 12
    first = views[0]
    assert np.array_equal(first[:8, :12], photo[:8, :12])
    rest = np.ones((24, 48), dtype=bool)
    rest[:8, :12] = False
    assert (first[rest] == np.rint(photo[:8, :12].reshape(-1, 3).mean(axis=0))).all()
    assert len(list(tile_bounds(48, 24))) == 12

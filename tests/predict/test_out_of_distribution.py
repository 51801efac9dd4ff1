"""Photos unlike those of training are told by their pixels, and a prediction says so and does not call itself sure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mddnet
from mddnet.errors import ImageError
from mddnet.predict.out_of_distribution import OUT_OF_DISTRIBUTION, out_of_distribution_note, pixel_statistics
from mddnet.types import UInt8Array


def textured(height: int = 96, width: int = 128, seed: int = 0) -> UInt8Array:
    """Texture at several scales, as of a photo."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width))
    for scale in (2, 4, 8, 16):
        coarse = rng.standard_normal((height // scale + 1, width // scale + 1))
        picture += np.kron(coarse, np.ones((scale, scale)))[:height, :width]
    grey = np.clip(110 + 22 * picture + rng.normal(0, 2, picture.shape), 6, 249)
    return grey.astype(np.uint8)[..., None].repeat(3, 2)


def test_counted_pixels() -> None:
    # Two rows: 0 0 90 and 255 255 255; of four neighbours three are equal.
    row = np.array([[0, 0, 90], [255, 255, 255]], np.uint8)[..., None].repeat(3, 2)
    facts = pixel_statistics(row)
    assert facts.mean == pytest.approx((90 + 3 * 255) / 6)
    assert facts.clipped == pytest.approx(5 / 6) and facts.flat == pytest.approx(3 / 4)
    variance = np.var([0, 0, 90, 255, 255, 255])
    assert facts.rough == pytest.approx(90**2 / 4 / (2 * variance))


def test_white_noise_is_as_rough_as_can_be_and_a_photo_is_not() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 1), dtype=np.uint8).repeat(3, 2)
    assert pixel_statistics(noise).rough == pytest.approx(1.0, abs=0.03)
    assert 0.001 < pixel_statistics(textured()).rough < 0.4 and out_of_distribution_note(textured()) == ""
    assert out_of_distribution_note(np.ascontiguousarray(textured()[::-1, ::-1])) == ""


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.full((64, 64, 3), 90, np.uint8), "100% of the pixels equal their neighbour"),
        (np.full((64, 64, 3), 255, np.uint8), "100% of it is black or white, its mean grey is 255 of 255"),
        (np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), "no structure larger than a pixel"),
        (textured() // 16, "its mean grey is 7 of 255"),
        (
            np.broadcast_to(np.linspace(0, 255, 256).astype(np.uint8)[None, :, None], (64, 256, 3)),
            "it has no detail",
        ),
    ],
)
def test_out_of_distribution_photos_are_noted(picture: UInt8Array, reason: str) -> None:
    assert out_of_distribution_note(picture).startswith(OUT_OF_DISTRIBUTION) and reason in out_of_distribution_note(
        picture
    )


# --- the shipped model ------------------------------------------------------------------------------------------------


def checkerboard() -> UInt8Array:
    rows, columns = np.indices((192, 256)) // 8
    return np.where((rows + columns) % 2, np.uint8(255), np.uint8(0))[..., None].repeat(3, 2)


@pytest.mark.slow
def test_the_shipped_model_has_low_confidence_out_of_distribution() -> None:
    model = mddnet.load(threads=1)
    constant = model.predict(np.full((192, 256, 3), 128, np.uint8))
    assert not constant.focus.found and constant.confidence.max() < 0.01
    noise = np.random.default_rng(0).integers(0, 256, (192, 256, 3), dtype=np.uint8)
    for picture in (checkerboard(), noise, np.full((192, 256, 3), 255, np.uint8)):
        prediction = model.predict(picture)
        assert any(note.startswith(OUT_OF_DISTRIBUTION) for note in prediction.notes)
        assert prediction.confidence.max() <= 0.5
        for quantity in prediction.quantities:
            assert np.isfinite(getattr(prediction, quantity)).all()
    photo = model.predict(textured(192, 256))
    assert not any(note.startswith(OUT_OF_DISTRIBUTION) for note in photo.notes)


def test_invalid_numbers_are_rejected(tiny_model: Path) -> None:
    model = mddnet.load(tiny_model, threads=1)
    picture = np.full((64, 64, 3), 0.5)
    for bad in (np.nan, np.inf, -np.inf, 1e30):
        picture[3, 4, 1] = bad
        with pytest.raises(ImageError, match=r"expected sRGB-encoded values in \[0, 1\]"):
            model.predict(picture)

"""Made-up depth: ranges, orientation, outlines, reproducibility."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mddnet.color import srgb8_from_linear
from mddnet.scenes.synthetic_depth import (
    OUTLINES,
    Outline,
    random_outline,
    segments,
    slanted_plane,
    smooth_noise,
    synthetic_scene,
    texture,
)
from mddnet.types import UInt8Array


def patchwork(seed: int, height: int = 72, width: int = 96) -> UInt8Array:
    """Twelve flat colours with a little grain."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(30, 226, (3, 4, 3), dtype=np.uint8)
    tiles = cv2.resize(colours, (width, height), interpolation=cv2.INTER_NEAREST)
    return (tiles + rng.integers(-20, 21, tiles.shape)).astype(np.uint8)


def test_planes_and_noise_fill_the_unit_range() -> None:
    rng = np.random.default_rng(0)
    for made in (slanted_plane((30, 40), rng), smooth_noise((30, 40), 4, rng)):
        assert made.shape == (30, 40)
        assert made.dtype == np.float32
        assert made.min() == pytest.approx(0.0)
        assert made.max() == pytest.approx(1.0)


def test_segments_follow_colour_edges() -> None:
    photo = np.full((60, 80, 3), 40, dtype=np.uint8)
    photo[:, 40:] = (220, 60, 60)
    labels = segments(photo, 6, np.random.default_rng(0))
    assert not set(np.unique(labels[:, :36])) & set(np.unique(labels[:, 44:]))


def test_segments_are_connected() -> None:
    labels = segments(patchwork(1), 8, np.random.default_rng(0))
    for label in np.unique(labels):
        assert cv2.connectedComponents((labels == label).astype(np.uint8), connectivity=4)[0] == 2


@pytest.mark.parametrize("outline", OUTLINES)
def test_outlines_have_a_useful_size(outline: Outline) -> None:
    labels = segments(patchwork(2), 10, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    masks = [random_outline((72, 96), outline, rng, labels) for _ in range(30)]
    found = [m for m in masks if m is not None]
    assert len(found) >= 5
    assert all(0.008 < m.mean() < 0.7 for m in found)


@pytest.mark.parametrize("seed", range(6))
def test_scene_is_relative_and_its_sharp_image_shows_the_nearest_surface(seed: int) -> None:
    photo, other = patchwork(seed), patchwork(seed + 100)
    scene = synthetic_scene(photo, np.random.default_rng(seed), other)
    assert scene.inv_depth.min() == pytest.approx(0.0, abs=1e-6)
    assert scene.inv_depth.max() == pytest.approx(1.0, abs=1e-6)
    # A fully covering pasted piece is in front of all later surfaces, and visible.
    sharp = scene.sharp_linear()
    seen = np.zeros(scene.inv_depth.shape, dtype=bool)
    for surface in scene.surfaces[: scene.pasted]:
        here = (surface.coverage > 0.9999) & ~seen
        np.testing.assert_allclose(sharp[here], surface.linear[here], atol=2e-3)
        np.testing.assert_allclose(scene.inv_depth[here], surface.inv_depth[here], atol=1e-6)
        seen |= surface.coverage > 0
    ground = scene.surfaces[scene.pasted]
    assert (ground.inv_depth <= scene.inv_depth + 1e-6).all()
    np.testing.assert_allclose(sharp[~seen], ground.linear[~seen], atol=2e-3)


def test_without_a_second_photo_the_sharp_image_is_the_photo() -> None:
    photo = patchwork(3)
    scene = synthetic_scene(photo, np.random.default_rng(3))
    assert scene.pasted == 0
    np.testing.assert_array_equal(srgb8_from_linear(scene.sharp_linear()), photo)


def test_same_seed_gives_the_same_scene() -> None:
    first, second = (synthetic_scene(patchwork(4), np.random.default_rng(9), patchwork(5)) for _ in range(2))
    np.testing.assert_array_equal(first.inv_depth, second.inv_depth)
    np.testing.assert_array_equal(first.sharp_linear(), second.sharp_linear())
    other = synthetic_scene(patchwork(4), np.random.default_rng(10), patchwork(5))
    assert np.any(first.inv_depth != other.inv_depth)


def test_the_vertical_position_prior_holds_half_of_the_time() -> None:
    rows = np.arange(48) - 23.5
    scenes = [synthetic_scene(patchwork(0, 48, 64), np.random.default_rng(s)) for s in range(60)]
    slopes = [float(rows @ scene.inv_depth.mean(axis=1)) for scene in scenes]
    # A fair coin gives 18 to 42 of 60 with probability 0.999.
    assert 18 <= np.count_nonzero(np.array(slopes) > 0) <= 42


@pytest.mark.parametrize(
    "photo",
    [np.zeros((8, 40, 3), np.uint8), np.zeros((40, 40), np.uint8), np.zeros((40, 40, 3), np.float32)],
)
def test_unusable_photos_are_refused(photo: UInt8Array) -> None:
    with pytest.raises(ValueError, match="expected"):
        synthetic_scene(photo, np.random.default_rng(0))


def test_second_photo_may_be_smaller_or_flat() -> None:
    flat = np.full((20, 30, 3), 128, dtype=np.uint8)
    scene = synthetic_scene(patchwork(6), np.random.default_rng(2), flat)
    assert scene.inv_depth.shape == (72, 96)
    assert texture(flat) == 0.0


def test_real_photos_get_pieces_along_their_own_edges(shared_data: Path) -> None:
    files = sorted((shared_data / "photos/kodak24").glob("*.jpg"))[:2]
    photo, other = (np.asarray(Image.open(f).convert("RGB")) for f in files)
    scenes = [synthetic_scene(photo, np.random.default_rng(s), other) for s in range(4)]
    assert sum(s.pasted for s in scenes) >= 4
    assert all(np.isfinite(s.inv_depth).all() for s in scenes)

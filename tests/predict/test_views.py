"""Other viewpoints of a photo: displacements by hand, occlusion, and the formats built on them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.made_law_model import LawModel, ramp

from mddnet.errors import MddnetError
from mddnet.photo.video import frame_count, video_frames
from mddnet.predict import film
from mddnet.predict.views import STEREO_SHARE, anaglyph, parallax_clip, shifted_view, side_by_side, stereo_pair
from mddnet.types import Photo, UInt8Array


def noise(height: int = 12, width: int = 60) -> UInt8Array:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_whole_pixels_move_exactly() -> None:
    pixels, level = noise(), np.ones((12, 60), np.float32)
    assert (shifted_view(pixels, level, 3.0)[:, 3:] == pixels[:, :-3]).all()
    assert (shifted_view(pixels, level, -3.0)[:, :-3] == pixels[:, 3:]).all()
    assert (shifted_view(pixels, 0 * level, 3.0) == pixels).all()
    half = shifted_view(pixels, level, 0.5)[:, 1:].astype(float)
    np.testing.assert_allclose(half, (pixels[:, 1:].astype(float) + pixels[:, :-1]) / 2, atol=1)


def near_square() -> tuple[UInt8Array, np.ndarray]:
    """A white near square on a black and grey far wall."""
    pixels, level = np.zeros((12, 60, 3), np.uint8), np.zeros((12, 60), np.float32)
    pixels[:, ::2] = 90
    pixels[:, 20:40], level[:, 20:40] = 255, 1.0
    return pixels, level


def test_near_occludes_far_and_the_far_side_fills_the_gap() -> None:
    pixels, level = near_square()
    view = shifted_view(pixels, level, 5.0)
    assert (view[:, 25:45] == 255).all()
    assert (view[:, :20] == pixels[:, :20]).all() and (view[:, 45:] == pixels[:, 45:]).all()
    assert (view[:, 20:25] <= 90).all() and view[:, 20:25].std() > 20  # mirrored wall, with its texture


def test_the_left_eye_sees_near_things_farther_to_the_right() -> None:
    pixels = np.zeros((40, 200, 3), np.uint8)
    pixels[:, :, 0] = 20
    pixels[:, 90:110] = 240  # near, by the red channel
    left, right = stereo_pair(LawModel().predict(Photo(pixels)))
    at = [float((view[20, :, 1].astype(float) @ np.arange(200)) / view[20, :, 1].sum()) for view in (left, right)]
    assert 0 < at[0] - at[1] < STEREO_SHARE * 200
    both = side_by_side(LawModel().predict(Photo(pixels)))
    assert both.shape == (40, 400, 3) and (both[:, :200] == left).all() and (both[:, 200:] == right).all()


def test_an_anaglyph_shows_the_left_eye_in_red() -> None:
    pixels = np.zeros((40, 200, 3), np.uint8)
    pixels[:, :, 0] = 20
    pixels[:, 90:110] = 240
    prediction = LawModel().predict(Photo(pixels))
    left, right = stereo_pair(prediction)
    shown = anaglyph(prediction).astype(int)
    only_left = (left[20, :, 1] > 200) & (right[20, :, 1] < 50)
    only_right = (right[20, :, 1] > 200) & (left[20, :, 1] < 50)
    assert only_left.any() and (shown[20, only_left, 0] > 150).all() and (shown[20, only_left, 2] < 60).all()
    assert only_right.any() and (shown[20, only_right, 0] < 60).all() and (shown[20, only_right, 2] > 150).all()
    grey = np.full((40, 60, 3), 128, np.uint8)
    assert np.abs(anaglyph(LawModel().predict(Photo(grey))).astype(int) - 128).max() < 8


def test_a_clip_of_three_seconds_that_ends_where_it_begins() -> None:
    frames = list(parallax_clip(LawModel().predict(Photo(ramp(61, 81)))))
    assert len(frames) == 90 and len({frame.shape for frame in frames}) == 1
    assert all(side % 2 == 0 for side in frames[0].shape[:2])
    difference = [np.abs(frame.astype(int) - frames[0]).mean() for frame in frames]
    assert difference[22] > 2 * difference[1] and difference[67] > 2 * difference[-1]


@pytest.mark.parametrize("size", [(32, 40), (40, 32)])
def test_flat_depth_and_small_photos(size: tuple[int, int]) -> None:
    pixels = noise(*size)
    pixels[:, :, 0] = 77
    prediction = LawModel().predict(Photo(pixels))
    assert (stereo_pair(prediction)[0] == pixels).all()
    assert next(parallax_clip(prediction)).shape[0] == size[0]


# --- films ---


def films(tmp_path: Path, write: object) -> list[np.ndarray]:
    stream = io.BytesIO()
    colour = np.array([1.0, 0.5, 0.2])
    frames: Iterator[UInt8Array] = ((np.ones((48, 64, 1)) * 20 * i * colour).astype(np.uint8) for i in range(10))
    write(stream, frames, 10)  # type: ignore[operator]
    (tmp_path / "a.mp4").write_bytes(stream.getvalue())
    assert frame_count(tmp_path / "a.mp4") == 10
    return [photo.pixels for photo in video_frames(tmp_path / "a.mp4")]


@pytest.mark.parametrize("package", ["av", "cv2"])
def test_both_packages_write_films(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(package, reason=f"writing a film needs {package}")
    pytest.importorskip("av", reason="reading it back needs the extra formats")
    monkeypatch.setattr(film, "find_spec", lambda name: object() if name == package else None)
    found = films(tmp_path, film.write_film)
    assert found[0].shape == (48, 64, 3)
    means = np.array([f.mean(axis=(0, 1)) for f in found])
    np.testing.assert_allclose(means, [[20 * i, 10 * i, 4 * i] for i in range(10)], atol=5)


def test_without_either_package_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "find_spec", lambda name: None)
    with pytest.raises(MddnetError, match=r"av or cv2; pip install .*formats"):
        LawModel().predict(Photo(ramp())).save("never", formats="parallax")
    assert not Path("never").exists()

from __future__ import annotations

import numpy as np
from tests.support.made_focal_stack import made_stack

from mddnet.color import linear_from_srgb8
from mddnet.scenes.all_in_focus import fuse, fuse_parts, sharpest_nearby
from mddnet.types import Float32Array


def test_fusion_mixes_the_two_frames_around_the_index_in_linear_light() -> None:
    frames = [np.full((1, 3, 3), value, dtype=np.float32) for value in (0.0, 0.4, 1.0)]
    index = np.array([[0.0, 1.5, 2.0]], dtype=np.float32)
    np.testing.assert_allclose(fuse(frames, index)[0, :, 0], [0.0, 0.7, 1.0], rtol=1e-6)


def test_equal_frames_fuse_to_themselves() -> None:
    frame = np.random.default_rng(0).random((8, 9, 3), dtype=np.float32)
    index = np.random.default_rng(1).uniform(0, 4, (8, 9)).astype(np.float32)
    np.testing.assert_allclose(fuse([frame] * 5, index), frame, rtol=1e-5)


def test_an_index_that_is_off_by_two_is_corrected() -> None:
    made = made_stack(1.5 * np.arange(7), 60, 90)
    linear = [linear_from_srgb8(f) for f in made.frames]
    near = sharpest_nearby(linear, np.clip(made.index + 2, 0, 6))
    assert np.abs(near - made.index)[:, 5:25].mean() < 0.2
    assert np.abs(near - made.index)[:, 35:55].mean() < 0.2


def test_flat_areas_keep_their_index() -> None:
    flat = [np.full((20, 20, 3), 0.5, dtype=np.float32)] * 4
    np.testing.assert_allclose(sharpest_nearby(flat, np.full((20, 20), 1.25, dtype=np.float32)), 1.25, rtol=1e-5)


def test_tiles_give_the_same_as_the_whole_image() -> None:
    rng = np.random.default_rng(4)
    frames = [rng.random((120, 70, 3)).astype(np.float32) for _ in range(9)]
    index = (8 * rng.random((120, 70))).astype(np.float32)
    index[:60] = 2.0  # tiles that need few of the frames
    whole = fuse(frames, sharpest_nearby(frames, index))

    def part(i: int, rows: slice, columns: slice) -> Float32Array:
        return frames[i][rows, columns]

    for tile_px, threads in ((120, 1), (50, 2), (17, 1)):
        tiles = fuse_parts(part, 9, index, tile_px=tile_px, threads=threads)
        # OpenCV rounds differently where its blocks of rows end
        np.testing.assert_allclose(tiles, whole, atol=2e-6)
    assert fuse_parts(part, 9, index).tobytes() == whole.tobytes()
    np.testing.assert_array_equal(fuse_parts(part, 9, index, sharpest=False, tile_px=31), fuse(frames, index))

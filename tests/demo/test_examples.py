"""The examples of the page."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2", reason="the simulator needs OpenCV (extra demo)")

from mddnet.demo.examples import PHOTOS, example_frames, example_photos, find_examples, thumbnail
from mddnet.demo.simulated import BALLS, FOCUS_M, HORIZON_PX, IMAGE_DISTANCE_PX, TABLE_BELOW_M, WIDTH
from mddnet.photo.reader import read_photo
from mddnet.scenes.sharpness import modified_laplacian


def test_every_example_is_a_photo() -> None:
    photos = example_photos()
    assert list(photos) == [*find_examples(), "Simulated"] and set(photos) <= {*PHOTOS, "Simulated"}
    for _, content in photos.values():
        assert thumbnail(content()).size == (192, 128)


def test_the_simulated_frames_state_their_lens(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for name, content in example_frames().items():
        (tmp_path / name).write_bytes(content)
    photos = [read_photo(tmp_path / name) for name in example_frames()]
    assert [photo.lens.focus_m for photo in photos] == pytest.approx(FOCUS_M)
    for photo in photos:
        assert (photo.lens.focal_mm, photo.lens.f_number, photo.lens.pixel_um) == pytest.approx((50, 2.8, 50))
        assert not photo.notes


def test_a_ball_is_sharpest_where_it_is_in_focus() -> None:
    frames = []
    for content in example_frames().values():
        with Image.open(BytesIO(content)) as image:
            frames.append(modified_laplacian(np.asarray(image.convert("L"), dtype=np.float32)))
    focus = 1 / (np.array(FOCUS_M) - 0.053)  # about the distance from the lens
    for x_m, u, radius_m, _ in BALLS:
        column = round(WIDTH / 2 + IMAGE_DISTANCE_PX * u * x_m)
        row = round(HORIZON_PX + IMAGE_DISTANCE_PX * u * (TABLE_BELOW_M - radius_m))
        half = round(0.4 * radius_m * IMAGE_DISTANCE_PX * u)
        ball = slice(row - half, row + half), slice(column - half, column + half)
        best = int(np.argmax([frame[ball].mean() for frame in frames]))
        front = 1 / (1 / u - radius_m)
        assert best in np.argsort(np.abs(focus - front))[:2], (u, best)

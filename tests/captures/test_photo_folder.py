"""Folders of sharp photos by manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mddnet.captures.photo_folder import list_photos
from mddnet.errors import CaptureError, ImageError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """``photos/`` whose manifest names one file from above the folder and one from inside it."""
    folder = tmp_path / "photos"
    (folder / "walk").mkdir(parents=True)
    for name in ("one", "two"):
        Image.fromarray(np.full((4, 6, 3), 99, dtype=np.uint8)).save(folder / "walk" / f"{name}.jpg")
    (folder / "manifest.csv").write_text("file,source,licence\nphotos/walk/one.jpg,walk,CC0\nwalk/two.jpg,walk,CC-BY\n")
    return folder


def test_photos_are_listed_with_location_and_licence(root: Path) -> None:
    one, two = list_photos(root)
    assert (one.name, one.location, one.source, one.licence) == ("walk_one", "photos/walk", "walk", "CC0")
    assert two.licence == "CC-BY"
    assert two.read_rgb().shape == (4, 6, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("walk/three.jpg,walk,CC0", "line 2: walk/three.jpg .*not exist"),
        ("../one.jpg,walk,CC0", r"line 2: .*'\.\./one\.jpg'; .*path below"),
        (",walk,CC0", "line 2: .*''; .*path below"),
        ("walk/one.jpg,walk,CC0\nphotos/walk/one.jpg,walk,CC0", "line 3: walk_one occurs twice"),
    ],
)
def test_wrong_rows_are_named(root: Path, line: str, message: str) -> None:
    (root / "manifest.csv").write_text(f"file,source,licence\n{line}\n")
    with pytest.raises(CaptureError, match=message):
        list_photos(root)


def test_truncated_photo_is_named(root: Path) -> None:
    photo = list_photos(root)[0]
    photo.image.write_bytes(photo.image.read_bytes()[:200])
    with pytest.raises(ImageError, match=r"one\.jpg: not .*readable"):
        photo.read_rgb()


def test_real_photos(shared_data: Path) -> None:
    photos = list_photos(shared_data / "photos")
    assert len(photos) == 1101
    assert {p.location for p in photos} == {
        f"photos/{s}" for s in ("bsds500", "ebb12", "imagenet1000", "kodak24", "sunhays80", "urban100")
    }
    assert all(p.licence for p in photos)
    assert max(photos[0].read_rgb().shape) <= 448

"""Files from strangers: what is taken, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.made_png_bomb import png_bomb

from mddnet.demo.upload import Limits, read_upload, shown_name
from mddnet.errors import ImageError


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_the_given_kinds_are_chosen(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cup{suffix}"
    Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(path)
    photo = read_upload(path, Limits())
    assert photo.pixels.shape == (40, 50, 3) and photo.path == path


def test_a_bomb_is_rejected_before_it_is_decoded(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^bomb\.png: 30000 x 30000 px .* 50 megapixels"):
        read_upload(png_bomb(tmp_path / "bomb.png"), Limits())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("words.jpg", b"no image at all, only words", "words.jpg: not an image; expected JPEG, PNG, TIFF or WebP"),
        ("empty.png", b"", "empty.png: not an image"),
        ("drawing.svg", b"<svg/>", "drawing.svg: this kind of file is not accepted"),
        ("plot.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n", "plot.jpg: not an image"),
        ("cut.jpg", b"\xff\xd8\xff\xe0" + b"\0" * 40, "cut.jpg: "),
    ],
)
def test_bad_files_are_reported_without_their_folder(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImageError) as told:
        read_upload(path, Limits())
    assert str(told.value).startswith(said) and str(tmp_path) not in str(told.value)


def test_a_large_file_and_a_missing_one(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 2_000_000)
    with pytest.raises(ImageError, match=r"2 MB; .* 1 MB"):
        read_upload(path, Limits(file_mb=1))
    with pytest.raises(ImageError, match=r"gone\.jpg: .*removed"):
        read_upload(tmp_path / "gone.jpg", Limits())


def test_a_batch_has_only_so_many_pixels(tmp_path: Path) -> None:
    path = tmp_path / "cup.png"
    Image.fromarray(np.zeros((100, 100, 3), np.uint8)).save(path)
    assert read_upload(path, Limits(), pixels_left=10_000).pixels.shape == (100, 100, 3)
    with pytest.raises(ImageError, match="too large"):
        read_upload(path, Limits(), pixels_left=9_999)


def test_names_are_shown_short_and_plain() -> None:
    assert shown_name(Path("/secret/folder/cup.jpg")) == "cup.jpg"
    assert shown_name(Path("a\nb.jpg")) == "a?b.jpg"
    assert len(shown_name(Path("x" * 300 + ".jpg"))) <= 80


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match=r"Limits\.queue is 0; .*positive"):
        Limits(queue=0)

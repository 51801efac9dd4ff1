"""Damage in a JPEG that Pillow does not report."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mddnet.errors import ImageError
from mddnet.photo.reader import photo_from_image, read_photo
from mddnet.types import UInt8Array

KINDS: list[dict[str, Any]] = [
    {},
    {"quality": 95, "subsampling": 0},
    {"quality": 30, "optimize": True},
    {"restart_marker_rows": 1},
    {"progressive": True},
]


def scene(height: int = 320, width: int = 480) -> UInt8Array:
    """Smooth hills with noise, as detailed as a photo."""
    rng = np.random.default_rng(3)
    small = Image.fromarray(rng.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8))
    hills = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
    return np.clip(hills + rng.normal(0, 6, hills.shape), 0, 255).astype(np.uint8)


def jpeg(pixels: UInt8Array, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_sound_files_are_read_as_pillow_reads_them(tmp_path: Path, options: dict[str, Any], mode: str) -> None:
    data = jpeg(scene(), mode, **options)
    for name, content in (
        ("a.jpg", data),
        ("padded.jpg", data + bytes(1000)),
        ("fill.jpg", data[:-2] + b"\xff\xff\xd9"),
    ):
        (tmp_path / name).write_bytes(content)
        with Image.open(io.BytesIO(data)) as image:
            expected = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(read_photo(tmp_path / name).pixels, expected)


def test_flat_and_small_files_are_sound(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(60):
        height, width = (int(side) for side in rng.integers(32, 120, 2))
        pixels = (
            np.full((height, width, 3), rng.integers(256), np.uint8) if number % 2 else scene(128, 128)[:height, :width]
        )
        quality, subsampling = int(rng.integers(1, 101)), int(rng.integers(0, 3))
        data = jpeg(pixels, quality=quality, subsampling=subsampling, optimize=number % 3 == 0)
        (tmp_path / "a.jpg").write_bytes(data)
        assert read_photo(tmp_path / "a.jpg").pixels.shape == (height, width, 3)


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_zeros_in_place_of_the_second_half(tmp_path: Path, options: dict[str, Any]) -> None:
    data = bytearray(jpeg(scene(), **options))
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    (tmp_path / "half.jpg").write_bytes(data)
    missing = r"no end" if options.get("progressive") else r"lower [45][0-9]%"
    with pytest.raises(ImageError, match=rf"half\.jpg: .*{missing}.*copy it again"):
        read_photo(tmp_path / "half.jpg")


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_a_block_of_zeros_in_the_middle(tmp_path: Path, options: dict[str, Any]) -> None:
    sound = jpeg(scene(), **options)
    for start in range(700, len(sound) - 500, len(sound) // 12):
        data = bytearray(sound)
        data[start : start + 400] = bytes(400)
        (tmp_path / "hole.jpg").write_bytes(data)
        with pytest.raises(ImageError, match=r"hole\.jpg: damaged"):
            read_photo(tmp_path / "hole.jpg")


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_blocks_of_random_bytes_are_noticed(tmp_path: Path, options: dict[str, Any]) -> None:
    """Without 0xFF, so without markers, also within one restart interval."""
    sound, rng, noticed = jpeg(scene(), **options), np.random.default_rng(5), 0
    for _ in range(40):
        data, start = bytearray(sound), int(rng.integers(700, len(sound) - 500))
        data[start : start + 400] = rng.integers(0, 255, 400, dtype=np.uint8).tobytes()
        (tmp_path / "hole.jpg").write_bytes(data)
        try:
            read_photo(tmp_path / "hole.jpg")
        except ImageError:
            noticed += 1
    assert noticed >= (3 if options.get("progressive") else 38)  # of progressive ones, those in the first scan


@pytest.mark.parametrize("options", [*KINDS, {"restart_marker_blocks": 7}], ids=str)
def test_extreme_light_is_no_damage(options: dict[str, Any]) -> None:
    for contrast in (0.0, 0.02, 10.0):
        for middle in (0, 128, 255):
            pixels = np.clip((scene(75, 101) - 128.0) * contrast + middle, 0, 255).astype(np.uint8)
            for quality in (10, 50, 75, 90):
                data = jpeg(pixels, **{"quality": quality, **options})
                photo_from_image(Image.open(io.BytesIO(data)))


def test_a_missing_restart_interval(tmp_path: Path) -> None:
    """As many as eight, so that the numbers of the markers go on."""
    data = jpeg(scene(), restart_marker_rows=1)
    starts = [match.start() for match in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    (tmp_path / "short.jpg").write_bytes(data[: starts[3]] + data[starts[11] :])
    with pytest.raises(ImageError, match="restart markers"):
        read_photo(tmp_path / "short.jpg")


@pytest.mark.parametrize("kind", ["path", "stream"])
def test_images_that_the_caller_opened(tmp_path: Path, kind: str, recwarn: pytest.WarningsRecorder) -> None:
    sound, path = jpeg(scene()), tmp_path / "a.jpg"
    data = bytearray(sound)
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    for content, is_sound in ((bytes(data), False), (sound, True)):
        path.write_bytes(content)
        with path.open("rb") as stream, Image.open(path if kind == "path" else stream) as image:
            for _ in range(2):
                if is_sound:
                    np.testing.assert_array_equal(photo_from_image(image).pixels, np.asarray(image))
                else:
                    with pytest.raises(ImageError, match="damaged or truncated JPEG"):
                        photo_from_image(image)
        del image
    assert not [warning for warning in recwarn if issubclass(warning.category, ResourceWarning)]


def test_complete_pixels_without_an_end_marker_are_a_photo(tmp_path: Path) -> None:
    data = jpeg(scene())
    (tmp_path / "a.jpg").write_bytes(data[:-2])
    assert read_photo(tmp_path / "a.jpg").pixels.shape == (320, 480, 3)


def test_a_wrong_marker_names_the_missing_part(tmp_path: Path) -> None:
    data = bytearray(jpeg(scene()))
    middle = len(data) // 2
    data[middle : middle + 2] = b"\xff\xe0"
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(ImageError, match=r"wrong marker, .*lower \d+%"):
        read_photo(tmp_path / "a.jpg")

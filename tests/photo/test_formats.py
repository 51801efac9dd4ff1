"""Every format that a photo may come in: written by the library that carries it, read by ours, compared."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, features
from tests.photo.test_photo import STORED, linear_profile, quarters

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.errors import ImageError
from mddnet.photo.reader import photo_from_array, read_photo
from mddnet.types import Lens, UInt8Array

FOCAL, F_NUMBER = 0x920A, 0x829D
EXTRA = "needs the extra formats"


def large() -> UInt8Array:
    """The four quarters in 160 x 240 px: a video or HEIC codec works in blocks of 16."""
    return quarters().repeat(4, axis=0).repeat(4, axis=1)


def difference(pixels: UInt8Array, expected: UInt8Array) -> int:
    assert pixels.shape == expected.shape
    return int(np.abs(pixels.astype(int) - expected).max())


def steps() -> UInt8Array:
    """All 256 greys, each in a block of 32 x 8 px; the dark ones are lost where linear light is cut to 8 bits."""
    return np.tile(np.arange(256, dtype=np.uint8).reshape(4, 64, 1), (1, 1, 3)).repeat(32, axis=0).repeat(8, axis=1)


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


# --- WebP and TIFF: the base install ----------------------------------------------------------------------------------


@pytest.mark.skipif(not features.check("webp"), reason="this Pillow has no WebP")
@pytest.mark.parametrize("orientation", STORED)
def test_webp(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[FOCAL] = 50.0
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](quarters())))
    stored.save(tmp_path / "a.webp", lossless=True, exif=exif)
    photo = read_photo(tmp_path / "a.webp")
    np.testing.assert_array_equal(photo.pixels, quarters())
    assert photo.lens.focal_mm == 50
    cut(tmp_path / "a.webp", 0.6)
    with pytest.raises(ImageError, match=r"a\.webp"):
        read_photo(tmp_path / "a.webp")


@pytest.mark.parametrize("kind", ["uint16", "float32"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_linear_tiff_keeps_its_dark_tones(tmp_path: Path, kind: str, planar: str) -> None:
    light = linear_from_srgb8(steps())
    samples = light if kind == "float32" else np.rint(light * 65535).astype(np.uint16)
    data = samples if planar == "contig" else samples.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "light.tif", data, photometric="rgb", planarconfig=planar)
    # 16 bits of linear light resolve every grey but the three next to black.
    assert difference(read_photo(tmp_path / "light.tif", linear=True).pixels, steps()) <= 1


@pytest.mark.parametrize("kind", ["uint16", "float32", "uint8"])
def test_a_linear_profile_is_applied_in_full_bit_depth(tmp_path: Path, kind: str) -> None:
    light = linear_from_srgb8(steps())
    white = {"uint16": 65535, "uint8": 255, "float32": 1}[kind]
    samples = light if kind == "float32" else np.rint(light * white).astype(kind)
    profile = linear_profile(b"RGB ")
    tags = [(34675, 7, len(profile), profile, True)]
    tifffile.imwrite(tmp_path / "light.tif", samples, photometric="rgb", extratags=tags)
    photo = read_photo(tmp_path / "light.tif")
    assert difference(photo.pixels, steps()) <= (13 if kind == "uint8" else 1)
    assert any("linear light" in note for note in photo.notes) == (kind != "uint8")


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_deep_grey_tiff_by_its_profile_and_by_the_flag(tmp_path: Path, kind: str) -> None:
    light = linear_from_srgb8(steps()[:, :, 0])
    samples = light if kind == "float32" else np.rint(light * 65535).astype(np.uint16)
    profile = linear_profile(b"GRAY")
    tifffile.imwrite(tmp_path / "a.tif", samples, extratags=[(34675, 7, len(profile), profile, True)])
    assert difference(read_photo(tmp_path / "a.tif").pixels, steps()) <= 1
    tifffile.imwrite(tmp_path / "b.tif", samples)
    assert difference(read_photo(tmp_path / "b.tif", linear=True).pixels, steps()) <= 1


def test_compressed_linear_tiff_that_only_pillow_can_decode_still_works(tmp_path: Path) -> None:
    pixels = srgb8_from_linear(np.full((40, 60, 3), 0.5))
    assert pixels[0, 0, 0] == 188
    Image.new("RGB", (60, 40), (128, 128, 128)).save(tmp_path / "a.tif", compression="tiff_lzw")
    assert difference(read_photo(tmp_path / "a.tif", linear=True).pixels, pixels) <= 1


@pytest.mark.parametrize("orientation", STORED)
def test_float_tiff_is_rotated_upright_and_keeps_its_lens_facts(tmp_path: Path, orientation: int) -> None:
    stored = np.ascontiguousarray(STORED[orientation](quarters())) / np.float32(255)
    tags: list[Any] = [(0x0112, 3, 1, orientation, True), (0x8769, 4, 1, 0, True)]
    tifffile.imwrite(tmp_path / "a.tif", stored.astype(np.float32), photometric="rgb", extratags=tags[:1])
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif").pixels, quarters())


def test_light_beyond_white_lowers_the_exposure_with_a_note() -> None:
    light = np.full((40, 60, 3), 4.0, np.float32)
    light[:20] = 1.0
    photo = photo_from_array(light, linear=True)
    # A quarter of white is sRGB 137: 1.055 * 0.25 ** (1 / 2.4) - 0.055 = 0.537.
    assert difference(photo.pixels[:20], np.full((20, 60, 3), 137, np.uint8)) == 0 and photo.pixels[30, 0, 0] == 255
    assert any("factor of 4" in note for note in photo.notes)
    with pytest.raises(ImageError, match=r"linear=True"):
        photo_from_array(light)
    with pytest.raises(ImageError, match="NaN"):
        photo_from_array(np.full((40, 60, 3), np.nan), linear=True)
    with pytest.raises(ImageError, match="samples from -1;"):
        photo_from_array(np.full((40, 60, 3), -1.0), linear=True)


def test_linear_bytes() -> None:
    assert photo_from_array(np.full((40, 60, 3), 128, np.uint8), linear=True).pixels[0, 0, 0] == 188


# --- HEIC -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", STORED)
def test_heic_in_every_orientation(tmp_path: Path, orientation: int) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason=EXTRA)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769).update({FOCAL: 4.25, F_NUMBER: 1.8})
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation](large())))
    pillow_heif.from_pillow(image).save(tmp_path / "a.heic", quality=-1, exif=exif.tobytes())
    photo = read_photo(tmp_path / "a.heic")
    assert difference(photo.pixels, large()) <= 2
    assert photo.lens.focal_mm == pytest.approx(4.25) and photo.lens.f_number == pytest.approx(1.8)
    assert photo.path == tmp_path / "a.heic" and photo.notes == ()


def test_heic_of_ten_bits_and_with_a_profile(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason=EXTRA)
    deep = (np.linspace(0, 1023, 64 * 64).reshape(64, 64, 1).repeat(3, 2).astype(np.uint16)) << 6
    pillow_heif.from_bytes("RGB;16", (64, 64), deep.tobytes()).save(tmp_path / "ten.heic", quality=-1)
    assert difference(read_photo(tmp_path / "ten.heic").pixels, (deep >> 8).astype(np.uint8)) <= 2
    grey = pillow_heif.from_pillow(Image.new("RGB", (64, 64), (128, 128, 128)))
    grey.save(tmp_path / "icc.heic", quality=-1, icc_profile=linear_profile(b"RGB "))
    assert np.abs(read_photo(tmp_path / "icc.heic").pixels.astype(int) - 188).max() <= 1


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_truncated_heic(tmp_path: Path, share: float) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason=EXTRA)
    pillow_heif.from_pillow(Image.fromarray(large())).save(tmp_path / "cut.heic", quality=90)
    cut(tmp_path / "cut.heic", share)
    with pytest.raises(ImageError, match=r"cut\.heic: [a-z ]* \([^\n]*\); copy it again"):
        read_photo(tmp_path / "cut.heic")


# --- camera raw -------------------------------------------------------------------------------------------------------


def made_dng(path: Path, orientation: int = 1, distance: tuple[int, int] = (0, 1), light: int = 20000) -> None:
    """A raw file of 96 x 128 px (DNG 1.4): bright left, a quarter of that light right; the camera sees sRGB's XYZ."""
    mosaic = np.full((96, 128), light, np.uint16)
    mosaic[:, 64:] = light // 4
    # XYZ to camera is the inverse of sRGB's primaries (IEC 61966-2-1).
    matrix = [32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570]
    tags: list[Any] = [
        (50706, 1, 4, (1, 4, 0, 0), False),
        (50707, 1, 4, (1, 1, 0, 0), False),
        (271, 2, 0, "Maker", False),
        (272, 2, 0, "NIKON D850", False),
        (274, 3, 1, orientation, False),
        (33421, 3, 2, (2, 2), False),  # CFARepeatPatternDim
        (33422, 1, 4, (0, 1, 1, 2), False),  # CFAPattern RGGB
        (33437, 5, 1, (18, 10), False),  # FNumber
        (37382, 5, 1, distance, False),  # SubjectDistance; zero is unknown
        (37386, 5, 1, (50, 1), False),  # FocalLength
        (50717, 4, 1, 65535, False),  # WhiteLevel
        (50721, 10, 9, tuple(part for value in matrix for part in (value, 10000)), False),  # ColorMatrix1
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), False),  # AsShotNeutral
        (50778, 3, 1, 21, False),  # CalibrationIlluminant1: D65
    ]
    tifffile.imwrite(path, mosaic, photometric=32803, extratags=tags, metadata=None)


def test_raw_is_developed_and_its_lens_facts_are_read(tmp_path: Path) -> None:
    pytest.importorskip("rawpy", reason=EXTRA)
    pytest.importorskip("exifread", reason=EXTRA)
    made_dng(tmp_path / "a.dng")
    photo = read_photo(tmp_path / "a.dng", lens=Lens(focus_m=2.0))
    assert photo.pixels.shape == (96, 128, 3) and photo.path == tmp_path / "a.dng"
    # Automatic exposure makes the left white; a quarter of white is sRGB 137.
    assert np.abs(photo.pixels[:, :50].astype(int) - 255).max() <= 2
    assert np.abs(photo.pixels[:, 80:].astype(int) - 137).max() <= 4
    assert (photo.lens.focal_mm, photo.lens.f_number, photo.lens.focus_m) == (50, 1.8, 2.0)
    assert any("Developed from raw" in note for note in photo.notes)


@pytest.mark.parametrize("distance", [(0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 1000), (0xFFFFFFFF, 1)])
def test_an_infinite_distance_of_a_raw_file(tmp_path: Path, distance: tuple[int, int]) -> None:
    pytest.importorskip("rawpy", reason=EXTRA)
    pytest.importorskip("exifread", reason=EXTRA)
    made_dng(tmp_path / "a.dng", distance=distance)
    assert read_photo(tmp_path / "a.dng").lens.focus_m == float("inf")
    made_dng(tmp_path / "a.dng", distance=(1000, 1000))
    assert read_photo(tmp_path / "a.dng").lens.focus_m == 1.0


def test_raw_is_rotated_upright(tmp_path: Path) -> None:
    pytest.importorskip("rawpy", reason=EXTRA)
    pytest.importorskip("exifread", reason=EXTRA)
    made_dng(tmp_path / "a.dng", orientation=6)
    pixels = read_photo(tmp_path / "a.dng").pixels
    assert pixels.shape == (128, 96, 3) and pixels[20].mean() > pixels[100].mean()  # left has come to the top


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_truncated_raw(tmp_path: Path, share: float) -> None:
    pytest.importorskip("rawpy", reason=EXTRA)
    made_dng(tmp_path / "cut.dng")
    cut(tmp_path / "cut.dng", share)
    with pytest.raises(ImageError, match=r"cut\.dng: .*\(Input/output error\); copy it"):
        read_photo(tmp_path / "cut.dng")


def test_raw_too_large_is_refused_before_it_is_developed(tmp_path: Path) -> None:
    pytest.importorskip("rawpy", reason=EXTRA)
    made_dng(tmp_path / "a.dng")
    with pytest.raises(ImageError, match=r"128 x 96 px .*large"):
        read_photo(tmp_path / "a.dng", max_pixels=1000)


# --- OpenEXR ----------------------------------------------------------------------------------------------------------


def write_exr(path: Path, channels: dict[str, np.ndarray], **attributes: object) -> None:
    openexr = pytest.importorskip("OpenEXR", reason=EXTRA)
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage, **attributes}
    openexr.File(header, channels).write(str(path))


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("name", ["RGB", "beauty.RGB", "Y"])
def test_exr_is_linear_light(tmp_path: Path, kind: type, name: str) -> None:
    light = linear_from_srgb8(steps()).astype(kind)
    write_exr(tmp_path / "a.exr", {name: light[:, :, 0].copy() if name == "Y" else light})
    photo = read_photo(tmp_path / "a.exr")
    assert difference(photo.pixels, steps()) <= 1 and photo.path == tmp_path / "a.exr"
    assert any("linear light" in note for note in photo.notes)


def test_exr_with_the_lens_in_its_attributes(tmp_path: Path) -> None:
    light = np.full((40, 60, 3), 0.5, np.float32)
    lens = {"nominalFocalLength": 50.0, "aperture": 2.0, "sensorPhotositePitch": 6.0, "focus": 1.5}
    write_exr(tmp_path / "a.exr", {"RGB": light}, **lens)
    assert read_photo(tmp_path / "a.exr").lens == Lens(50.0, 2.0, 6.0, 1.5)
    assert read_photo(tmp_path / "a.exr", lens=Lens(focus_m=3.0)).lens == Lens(50.0, 2.0, 6.0, 3.0)
    write_exr(tmp_path / "b.exr", {"RGB": light}, aperture=-1.0)
    photo = read_photo(tmp_path / "b.exr")
    assert photo.lens == Lens() and any("aperture" in note for note in photo.notes)


def test_transparent_exr_is_composited_over_mid_grey(tmp_path: Path) -> None:
    light = np.zeros((40, 60, 4), np.float32)
    light[:20] = 1.0
    write_exr(tmp_path / "a.exr", {"RGBA": light})
    photo = read_photo(tmp_path / "a.exr")
    assert (photo.pixels[:20] == 255).all() and (photo.pixels[20:] == 128).all()
    assert any("mid grey" in note for note in photo.notes)


def test_exr_without_colours_and_too_large(tmp_path: Path) -> None:
    write_exr(tmp_path / "z.exr", {"Z": np.ones((40, 60), np.float32)})
    with pytest.raises(ImageError, match=r"z\.exr: channels Z; .*R, G and B, or Y"):
        read_photo(tmp_path / "z.exr")
    with pytest.raises(ImageError, match=r"60 x 40 px .*large"):
        read_photo(tmp_path / "z.exr", max_pixels=1000)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_truncated_exr(tmp_path: Path, share: float) -> None:
    noise = np.random.default_rng(0).random((200, 300, 3)).astype(np.float32)
    write_exr(tmp_path / "cut.exr", {"RGB": noise})
    cut(tmp_path / "cut.exr", share)
    with pytest.raises(ImageError, match=r"cut\.exr: not .*EXR"):
        read_photo(tmp_path / "cut.exr")


# --- without the extra ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "start", "module"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic", "pillow_heif"),
        ("a.jpg", b"\0\0\0\x18ftypmif1", "pillow_heif"),
        ("a.nef", b"II*\0", "rawpy"),
        ("a.exr", b"\x76\x2f\x31\x01", "OpenEXR"),
    ],
)
def test_a_missing_extra_is_reported(
    tmp_path: Path, name: str, start: bytes, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(start + bytes(200))
    with pytest.raises(ImageError, match=rf"{name}: .*{module}: pip install .mddnet\[formats\]"):
        read_photo(tmp_path / name)

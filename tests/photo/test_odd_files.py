"""Files that are not what their name says, and colours and samples that are not what a profile says."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, features
from tests.photo.test_formats import difference, made_dng, steps
from tests.photo.test_photo import STORED, linear_profile, quarters, ramp

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.errors import ImageError
from mddnet.photo.made_profile import ADOBE_RGB_GAMMA, ADOBE_RGB_XY, D65, PRIMARIES_XY, matrix_profile
from mddnet.photo.reader import photo_from_array, photo_from_image, photo_header, read_photo
from mddnet.types import UInt8Array

EXTRA = "needs the extra formats"

# --- the content of a file decides what it is -------------------------------------------------------------------------


def dng_with_thumbnail(path: Path, tags_in_first: bool = True, light: int = 20000) -> None:
    """A raw file as cameras write it: a small RGB preview first, and the sensor's image in a SubIFD."""
    made_dng(path, light=light)
    with tifffile.TiffFile(path) as file:
        mosaic = file.pages[0].asarray()
        skipped = {254, 256, 257, 258, 259, 262, 270, 273, 277, 278, 279, 282, 283, 284, 296, 305, 330}
        tags = [(t.code, int(t.dtype), t.count, t.value, False) for t in file.pages[0].tags if t.code not in skipped]
    with tifffile.TiffWriter(path) as writer:
        small = np.full((32, 48, 3), 77, np.uint8)
        first = tags if tags_in_first else []
        writer.write(small, photometric="rgb", subfiletype=1, subifds=1, extratags=first, metadata=None)
        own = [tag for tag in tags if tag[0] in (33421, 33422, 50717)]
        writer.write(mosaic, photometric=32803, subfiletype=0, extratags=own, metadata=None)


@pytest.mark.parametrize("name", ["a.rwl", "a.fff", "a.sr2", "a.erf", "a.mef", "a.gpr", "a.raw", "a.tif", "a", "a.jpg"])
def test_a_raw_file_of_any_name_is_developed(tmp_path: Path, name: str) -> None:
    pytest.importorskip("rawpy", reason=EXTRA)
    pytest.importorskip("exifread", reason=EXTRA)
    dng_with_thumbnail(tmp_path / name)
    photo = read_photo(tmp_path / name)
    assert photo.pixels.shape == (96, 128, 3) and any("Developed from raw" in note for note in photo.notes)
    header = photo_header(tmp_path / name, "remove it")
    assert (header.width, header.height) == (128, 96)


def test_a_raw_file_without_the_extra_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    dng_with_thumbnail(tmp_path / "a.tif", tags_in_first=False)
    with pytest.raises(ImageError, match=r"a\.tif: .*raw.*mddnet\[formats\]"):
        read_photo(tmp_path / "a.tif")


def test_a_preview_alone_is_no_photo(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", quarters(), photometric="rgb", subfiletype=1, metadata=None)
    with pytest.raises(ImageError, match=r"a\.tif"):
        read_photo(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.dng", "a.nef", "a.tif"])
def test_a_jpeg_with_another_name_is_a_jpeg(tmp_path: Path, name: str) -> None:
    Image.fromarray(quarters()).save(tmp_path / name, "JPEG", quality=100, subsampling=0)
    assert difference(read_photo(tmp_path / name).pixels, quarters()) <= 3


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("place", ["page", "subpage"])
def test_the_full_image_of_a_tiff_whose_first_page_is_a_copy(tmp_path: Path, kind: str, place: str) -> None:
    full: np.ndarray = {
        "uint8": quarters(),
        "uint16": quarters().astype(np.uint16) * 257,
        "float32": (quarters() / 255).astype(np.float32),
    }[kind]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        subs = 1 if place == "subpage" else 0
        writer.write(np.zeros((32, 32, 3), np.uint8), photometric="rgb", subfiletype=1, subifds=subs, metadata=None)
        writer.write(full, photometric="rgb", subfiletype=0, metadata=None)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif").pixels, quarters())
    header = photo_header(tmp_path / "a.tif", "remove it")
    assert (header.width, header.height) == (60, 40)


def test_a_compressed_full_image_after_a_copy(tmp_path: Path) -> None:
    small, full = Image.new("RGB", (32, 32)), Image.fromarray(quarters())
    full.encoderinfo = {"tiffinfo": {254: 0}, "compression": "tiff_lzw"}
    small.save(tmp_path / "a.tif", tiffinfo={254: 1}, compression="tiff_lzw", save_all=True, append_images=[full])
    with tifffile.TiffFile(tmp_path / "a.tif") as written:
        if written.pages[1].tags[254].value != 0:
            pytest.skip("this version of Pillow writes the tags of the first image only")
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif").pixels, quarters())


# --- TIFF side paths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("big", [False, True])
def test_white_may_be_zero(tmp_path: Path, kind: str, big: bool) -> None:
    grey = ramp()[:, :, 0]
    stored: Any = {
        "uint8": 255 - grey,
        "uint16": 65535 - grey.astype(np.uint16) * 257,
        "float32": (1 - grey / 255).astype(np.float32),
    }[kind]
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite", bigtiff=big)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif").pixels, ramp())


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["float32", "uint16", "uint8"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_large_tiff_in_every_orientation(tmp_path: Path, orientation: int, kind: str, planar: str) -> None:
    stored = np.ascontiguousarray(STORED[orientation](quarters()))
    samples: Any = {"float32": stored / np.float32(255), "uint16": stored.astype(np.uint16) * 257, "uint8": stored}[
        kind
    ]
    data = samples.transpose(2, 0, 1) if planar == "separate" else samples
    tags = [(0x0112, 3, 1, orientation, True)]
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="rgb", planarconfig=planar, bigtiff=True, extratags=tags, metadata=None
    )
    photo = read_photo(tmp_path / "a.tif")
    np.testing.assert_array_equal(photo.pixels, quarters())
    assert photo.orientation == orientation
    header = photo_header(tmp_path / "a.tif", "remove it")
    assert (header.width, header.height, header.orientation) == (60, 40, orientation)


@pytest.mark.parametrize("kind", ["uint16", "int32", "int64", "uint32"])
@pytest.mark.parametrize(("bits", "named"), [(8, True), (10, True), (12, True), (14, True), (16, False)])
def test_integers_are_scaled_by_the_bits_that_they_use(kind: str, bits: int, named: bool) -> None:
    white = 2**bits - 1
    photo = photo_from_array(np.rint(ramp() / 255.0 * white).astype(kind))
    assert difference(photo.pixels, ramp()) <= 1
    assert any(f"read as {bits} bits" in note for note in photo.notes) == named


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_bytes_in_a_16_bit_file_are_not_black(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(ramp()[:, :, 0].astype(np.uint16)).save(tmp_path / f"a{suffix}")
    photo = read_photo(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(photo.pixels, ramp())
    assert any("read as 8 bits" in note for note in photo.notes)


def test_planar_ink_is_refused_not_read_as_alpha(tmp_path: Path) -> None:
    ink = np.zeros((4, 40, 60), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", ink, photometric="separated", planarconfig="separate")
    with pytest.raises(ImageError, match=r"a\.tif: .*SEPARATED; .*RGB"):
        read_photo(tmp_path / "a.tif")


# --- colours that no profile states -----------------------------------------------------------------------------------

# Stored values, and those of sRGB: the matrix from P3-D65 to sRGB has the rows (1.2249, -0.2247, 0), (-0.0420, 1.0419,
# 0) and (-0.0197, -0.0786, 1.0979) (CSS Color 4, section 10); the curves are equal.
P3_STORED = (180, 120, 60)
P3_AS_SRGB = tuple(
    int(value)
    for value in srgb8_from_linear(
        np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
        @ linear_from_srgb8(np.array(P3_STORED, np.uint8))
    )
)


def colour(value: tuple[int, int, int]) -> UInt8Array:
    return np.full((40, 60, 3), value, np.uint8)


def png_with(path: Path, pixels: UInt8Array, chunk: bytes, content: bytes, **options: Any) -> None:
    """A PNG with one more chunk after its header."""
    Image.fromarray(pixels).save(path, **options)
    data = path.read_bytes()
    made = struct.pack(">I", len(content)) + chunk + content + struct.pack(">I", zlib.crc32(chunk + content))
    path.write_bytes(data[:33] + made + data[33:])


def test_display_p3_of_a_png(tmp_path: Path) -> None:
    png_with(tmp_path / "a.png", colour(P3_STORED), b"cICP", bytes([12, 13, 0, 1]))
    photo = read_photo(tmp_path / "a.png")
    assert difference(photo.pixels, colour(P3_AS_SRGB)) <= 2 and photo.notes == ()
    png_with(tmp_path / "b.png", colour(P3_STORED), b"cICP", bytes([1, 13, 0, 1]))
    np.testing.assert_array_equal(read_photo(tmp_path / "b.png").pixels, colour(P3_STORED))


@pytest.mark.parametrize(("curve", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_of_a_png_is_noted(tmp_path: Path, curve: int, name: str) -> None:
    png_with(tmp_path / "a.png", colour(P3_STORED), b"cICP", bytes([9, curve, 0, 1]))
    assert any(f"HDR curve {name}" in note for note in read_photo(tmp_path / "a.png").notes)


def test_the_code_points_of_a_png_override_its_profile(tmp_path: Path) -> None:
    profile = linear_profile(b"RGB ")
    png_with(tmp_path / "a.png", colour(P3_STORED), b"cICP", bytes([12, 13, 0, 1]), icc_profile=profile)
    assert difference(read_photo(tmp_path / "a.png").pixels, colour(P3_AS_SRGB)) <= 2


def test_gamma_of_a_png(tmp_path: Path) -> None:
    png_with(tmp_path / "linear.png", colour((128, 128, 128)), b"gAMA", struct.pack(">I", 100000))
    assert difference(read_photo(tmp_path / "linear.png").pixels, colour((188, 188, 188))) <= 1
    png_with(tmp_path / "usual.png", colour(P3_STORED), b"gAMA", struct.pack(">I", 45455))
    np.testing.assert_array_equal(read_photo(tmp_path / "usual.png").pixels, colour(P3_STORED))
    # Gamma 1.8 as of old Macs: (128 / 255) ** 1.8 = 0.2891 is sRGB 147.
    png_with(tmp_path / "mac.png", colour((128, 128, 128)), b"gAMA", struct.pack(">I", 55556))
    assert difference(read_photo(tmp_path / "mac.png").pixels, colour((147, 147, 147))) <= 1


def test_primaries_of_a_png(tmp_path: Path) -> None:
    xy = (*D65, *PRIMARIES_XY[12])
    png_with(tmp_path / "a.png", colour(P3_STORED), b"cHRM", struct.pack(">8I", *(round(v * 100000) for v in xy)))
    assert difference(read_photo(tmp_path / "a.png").pixels, colour(P3_AS_SRGB)) <= 2


def test_impossible_primaries_are_ignored_with_a_note(tmp_path: Path) -> None:
    png_with(tmp_path / "a.png", colour(P3_STORED), b"cHRM", struct.pack(">8I", *[0] * 8))
    photo = read_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.pixels, colour(P3_STORED))
    assert any("ignored" in note for note in photo.notes)


def with_code_points(data: bytes, primaries: int, transfer: int) -> bytes:
    """The file with other code points in its box of colours."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_code_points_of_avif_and_heic(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "avif":
        if not features.check("avif"):
            pytest.skip("this Pillow has no AVIF")
        Image.fromarray(colour(P3_STORED)).save(path, quality=100, subsampling="4:4:4")
    else:
        pillow_heif = pytest.importorskip("pillow_heif", reason=EXTRA)
        pillow_heif.from_pillow(Image.fromarray(colour(P3_STORED)[:, :40])).save(path, quality=-1, chroma=444)
    data = path.read_bytes()
    if b"colrnclx" not in data:
        pytest.skip("this encoder states no code points")
    width = 60 if kind == "avif" else 40
    path.write_bytes(with_code_points(data, 12, 13))
    assert difference(read_photo(path).pixels, colour(P3_AS_SRGB)[:, :width]) <= 4
    path.write_bytes(with_code_points(data, 9, 16))
    assert any("HDR curve PQ" in note for note in read_photo(path).notes)


def test_a_profile_that_is_only_named_srgb_is_converted(tmp_path: Path) -> None:
    profile = linear_profile(b"RGB ").replace(b"linear light\0", b"sRGB IEC6196\0")
    assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).startswith("sRGB")
    Image.fromarray(colour((128, 128, 128))).save(tmp_path / "a.png", icc_profile=profile)
    assert difference(read_photo(tmp_path / "a.png").pixels, colour((188, 188, 188))) <= 1


def test_adobe_rgb_by_exif(tmp_path: Path) -> None:
    # (100, 200, 50) of Adobe RGB (1998, 4.3.4.1): linear (0.127, 0.586, 0.0278), by its matrix to sRGB out of range in
    # red, which is clipped to 0.
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    pixels = colour((100, 200, 50))
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    photo = read_photo(tmp_path / "a.jpg")
    assert any("Adobe RGB" in note for note in photo.notes)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(matrix_profile(ADOBE_RGB_XY, D65, ADOBE_RGB_GAMMA)))
    srgb = ImageCms.createProfile("sRGB")
    expected = np.asarray(ImageCms.profileToProfile(Image.fromarray(pixels), profile, srgb, outputMode="RGB"))
    assert difference(photo.pixels, expected) <= 4 and photo.pixels[0, 0, 0] == 0


def test_grey_keeps_all_its_steps_with_made_colours(tmp_path: Path) -> None:
    deep = np.rint(linear_from_srgb8(steps()[:, :, 0]) * 65535).astype(np.uint16)
    png_with(tmp_path / "a.png", deep, b"gAMA", struct.pack(">I", 100000))  # type: ignore[arg-type]
    assert difference(read_photo(tmp_path / "a.png").pixels, steps()) <= 1


@pytest.mark.parametrize("opened", ["path", "stream", "loaded"])
def test_colours_of_an_image_that_the_caller_opened(tmp_path: Path, opened: str) -> None:
    path = tmp_path / "a.png"
    png_with(path, colour(P3_STORED), b"cICP", bytes([12, 13, 0, 1]))
    with Image.open(io.BytesIO(path.read_bytes()) if opened == "stream" else path) as image:
        if opened == "loaded":
            image.load()
        assert difference(photo_from_image(image).pixels, colour(P3_AS_SRGB)) <= 2

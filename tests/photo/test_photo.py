"""Photos of every kind: good pixels, or a clear error."""

from __future__ import annotations

import io
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from mddnet.errors import ImageError
from mddnet.photo.reader import photo_from_array, photo_from_image, read_photo
from mddnet.types import Lens, UInt8Array

HEIGHT, WIDTH = 40, 60
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters() -> UInt8Array:
    """Red, green / blue, white: every turn and flip of it is another image."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[:20, :30], pixels[:20, 30:], pixels[20:, :30], pixels[20:, 30:] = RED, GREEN, BLUE, WHITE
    return pixels


def ramp() -> UInt8Array:
    x = np.linspace(0, 255, WIDTH).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(x[None, :, None], (HEIGHT, WIDTH, 3)))


def grey16(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint16))


# What a camera held in each of the eight ways stores: the tag turns it back into the scene (Exif 3.0, 4.6.4).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_convention_all_eight_orientations_come_out_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](quarters()))
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "turned.png").pixels, quarters())


@pytest.mark.parametrize("lie", [0, 9, 77])
def test_an_invalid_orientation_is_ignored_with_a_note(tmp_path: Path, lie: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = lie
    Image.fromarray(quarters()).save(tmp_path / "lie.png", exif=exif)
    photo = read_photo(tmp_path / "lie.png")
    np.testing.assert_array_equal(photo.pixels, quarters())
    assert any(f"orientation {lie} ignored" in note for note in photo.notes)


def test_damaged_exif_leaves_the_photo_usable(tmp_path: Path) -> None:
    Image.fromarray(quarters()).save(tmp_path / "damaged.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\x00\x07garbage")
    photo = read_photo(tmp_path / "damaged.png")
    np.testing.assert_array_equal(photo.pixels, quarters())
    assert any("EXIF is damaged" in note for note in photo.notes)


def test_pixels_are_writable_uint8_and_the_path_is_kept(tmp_path: Path) -> None:
    Image.fromarray(quarters()).save(tmp_path / "a.png")
    photo = read_photo(str(tmp_path / "a.png"))
    assert photo.pixels.dtype == np.uint8 and photo.pixels.shape == (HEIGHT, WIDTH, 3) and photo.pixels.flags.writeable
    assert photo.path == tmp_path / "a.png" and photo.lens == Lens() and photo.notes == ()


# --- depths and modes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_uses_its_whole_range(tmp_path: Path, suffix: str) -> None:
    grey16(ramp()[:, :, 0].astype(np.uint16) * 257).save(tmp_path / f"deep{suffix}")
    np.testing.assert_array_equal(read_photo(tmp_path / f"deep{suffix}").pixels, ramp())


def test_12_bit_samples_in_16_bits_are_not_black(tmp_path: Path) -> None:
    grey16(ramp()[:, :, 0].astype(np.float64) * 4095 / 255).save(tmp_path / "deep.png")
    photo = read_photo(tmp_path / "deep.png")
    assert np.abs(photo.pixels.astype(int) - ramp()).max() <= 1
    assert any("12 bits" in note for note in photo.notes)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_16_bit_rgb_tiff(tmp_path: Path, planar: str) -> None:
    deep = quarters().astype(np.uint16) * 257
    data = deep if planar == "contig" else deep.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "deep.tif", data, photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(read_photo(tmp_path / "deep.tif").pixels, quarters())


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_float_rgb_tiff(tmp_path: Path, kind: type, planar: str) -> None:
    values = (ramp() / 255.0).astype(kind)
    data = values if planar == "contig" else values.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "float.tif", data, photometric="rgb", planarconfig=planar)
    assert np.abs(read_photo(tmp_path / "float.tif").pixels.astype(int) - ramp()).max() <= (kind is np.float16)


def test_float_grey_tiff(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "float.tif", (ramp()[:, :, 0] / 255.0).astype(np.float32))
    np.testing.assert_array_equal(read_photo(tmp_path / "float.tif").pixels, ramp())


def test_float_tiff_of_another_scale_is_refused_with_its_range(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "hdr.tif", ramp().astype(np.float32), photometric="rgb")
    with pytest.raises(ImageError, match=r"hdr\.tif: .*0 to 255; .*\[0, 1\]"):
        read_photo(tmp_path / "hdr.tif")


def test_a_damaged_float_tiff_is_an_image_error(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "f.tif", (ramp() / 255.0).astype(np.float32), photometric="rgb")
    (tmp_path / "f.tif").write_bytes((tmp_path / "f.tif").read_bytes()[:400])
    with pytest.raises(ImageError, match=r"f\.tif"):
        read_photo(tmp_path / "f.tif")


def test_grey_and_bilevel(tmp_path: Path) -> None:
    Image.fromarray(ramp()[:, :, 0]).save(tmp_path / "grey.jpg", quality=100)
    pixels = read_photo(tmp_path / "grey.jpg").pixels
    assert np.abs(pixels.astype(int) - ramp()).max() <= 2 and (pixels[..., 0] == pixels[..., 2]).all()
    Image.fromarray(ramp()[:, :, 0] > 127).save(tmp_path / "bilevel.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "bilevel.png").pixels, (ramp() > 127) * np.uint8(255))


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(quarters()).convert("CMYK").save(tmp_path / f"ink{suffix}")
    photo = read_photo(tmp_path / f"ink{suffix}")
    assert np.abs(photo.pixels[5, 5].astype(int) - RED).max() < 40
    assert np.abs(photo.pixels[35, 55].astype(int) - WHITE).max() < 20
    assert any("CMYK" in note for note in photo.notes)


def test_palette_with_and_without_a_transparent_entry(tmp_path: Path) -> None:
    palette = Image.fromarray(quarters()).quantize(4)
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "p.png").pixels, quarters())
    red_entry = palette.getpixel((0, 0))
    palette.save(tmp_path / "t.png", transparency=red_entry)
    photo = read_photo(tmp_path / "t.png")
    assert tuple(photo.pixels[5, 5]) == (128, 128, 128) and tuple(photo.pixels[5, 55]) == GREEN
    assert any("mid grey" in note for note in photo.notes)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_dropped_if_opaque_and_composited_over_grey_otherwise(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(ramp()).convert(mode)
    image.save(tmp_path / "opaque.png")
    opaque = read_photo(tmp_path / "opaque.png")
    np.testing.assert_array_equal(opaque.pixels, ramp())
    assert opaque.notes == ()
    alpha = np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)
    alpha[:10] = 0
    image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / "clear.png")
    clear = read_photo(tmp_path / "clear.png")
    assert (clear.pixels[:10] == 128).all()
    np.testing.assert_array_equal(clear.pixels[10:], ramp()[10:])
    assert any("mid grey" in note for note in clear.notes)


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    first, second = Image.fromarray(quarters()), Image.fromarray(quarters()[::-1].copy())
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    photo = read_photo(tmp_path / "moving.gif")
    assert np.abs(photo.pixels.astype(int) - quarters()).max() <= 8
    assert any("first" in note for note in photo.notes)


# --- colour profiles --------------------------------------------------------------------------------------------------


def test_a_profile_of_srgb_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(quarters()).save(tmp_path / "s.png", icc_profile=profile)
    photo = read_photo(tmp_path / "s.png")
    np.testing.assert_array_equal(photo.pixels, quarters())
    assert photo.notes == ()


def linear_profile(space: bytes) -> bytes:
    """An ICC profile (ICC.1:2001-04) of linear light: "RGB " with the primaries of sRGB (D50), or "GRAY"."""
    fixed = lambda *values: struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))  # noqa: E731
    xyz = lambda *values: b"XYZ \0\0\0\0" + fixed(*values)  # noqa: E731
    linear = b"curv\0\0\0\0\0\0\0\0"  # a curve without entries is the identity
    name = b"linear light\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78)
    tags = {b"desc": described, b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz(0.9642, 1.0, 0.8249)}
    if space == b"RGB ":
        tags |= {b"rXYZ": xyz(0.4361, 0.2225, 0.0139), b"gXYZ": xyz(0.3851, 0.7169, 0.0971)}
        tags |= {b"bXYZ": xyz(0.1431, 0.0606, 0.7141), b"rTRC": linear, b"gTRC": linear, b"bTRC": linear}
    else:
        tags |= {b"kTRC": linear}
    body, table, start = b"", struct.pack(">I", len(tags)), 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        table += struct.pack(">4sII", signature, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"\0\0\0\0", 0x02100000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + body


@pytest.mark.parametrize(("mode", "space"), [("RGB", b"RGB "), ("RGBA", b"RGB "), ("L", b"GRAY"), ("L", b"RGB ")])
def test_another_profile_is_converted(tmp_path: Path, mode: str, space: bytes) -> None:
    # Linear 0.5 is sRGB 188 (IEC 61966-2-1): 1.055 * 0.502 ** (1 / 2.4) - 0.055 = 0.737.
    Image.new("RGB", (WIDTH, HEIGHT), (128, 128, 128)).convert(mode).save(
        tmp_path / "linear.png", icc_profile=linear_profile(space)
    )
    photo = read_photo(tmp_path / "linear.png")
    assert np.abs(photo.pixels.astype(int) - 188).max() <= 1
    assert photo.notes == ()


def test_lab_tiff_with_a_profile(tmp_path: Path) -> None:
    # L* 50.2 is the sRGB grey 119 (CIE 1976); Pillow keeps a* = b* = 0 as 128.
    lab = Image.merge("LAB", [Image.new("L", (WIDTH, HEIGHT), 128)] * 3)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    lab.save(tmp_path / "lab.tif", icc_profile=profile)
    assert np.abs(read_photo(tmp_path / "lab.tif").pixels.astype(int) - 119).max() <= 2


def test_a_damaged_profile_is_ignored_with_a_note(tmp_path: Path) -> None:
    Image.fromarray(quarters()).save(tmp_path / "icc.png", icc_profile=b"not a profile at all")
    photo = read_photo(tmp_path / "icc.png")
    np.testing.assert_array_equal(photo.pixels, quarters())
    assert any("profile" in note for note in photo.notes)


# --- invalid files ----------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_an_image(tmp_path: Path) -> None:
    (tmp_path / "words.jpg").write_text("these are words")
    with pytest.raises(ImageError, match=r"words\.jpg: not an image; .*JPEG, PNG, TIFF"):
        read_photo(tmp_path / "words.jpg")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"empty\.png: not an image"):
        read_photo(tmp_path / "empty.png")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="a folder"):
        read_photo(tmp_path)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
def test_truncated_jpeg(tmp_path: Path, progressive: bool, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "JPEG", progressive=progressive)
    data = stream.getvalue()
    (tmp_path / "cut.jpg").write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=r"cut\.jpg.*copy it again"):
        read_photo(tmp_path / "cut.jpg")


def test_one_pixel_and_the_smallest_photo(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(ImageError, match=r"dot\.png: 1 x 1 px .*small.* 32 px"):
        read_photo(tmp_path / "dot.png")
    Image.new("RGB", (31, 500)).save(tmp_path / "strip.png")
    with pytest.raises(ImageError, match="too small"):
        read_photo(tmp_path / "strip.png")
    Image.new("RGB", (32, 32)).save(tmp_path / "small.png")
    assert read_photo(tmp_path / "small.png").pixels.shape == (32, 32, 3)


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    Image.new("RGB", (200, 100)).save(tmp_path / "big.png")
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match=r"big\.png: 200 x 100 px .*large.* 0\.01 megapixels"):
        read_photo(tmp_path / "big.png", max_pixels=10_000)
    assert read_photo(tmp_path / "big.png", max_pixels=20_000).pixels.shape == (100, 200, 3)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_header_that_claims_a_huge_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bomb.ppm").write_bytes(b"P6\n60000 60000\n255\n" + bytes(100))
    with pytest.raises(ImageError, match=r"bomb\.ppm: 60000 x 60000 px .* 200 megapixels"):
        read_photo(tmp_path / "bomb.ppm")


def test_vector_graphics_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.eps")
    with pytest.raises(ImageError, match="EPS"):
        read_photo(tmp_path / "a.eps")


# --- the caller's lens, images and arrays -----------------------------------------------------------------------------


def test_the_callers_lens_replaces_exif_field_by_field(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x920A: 50.0, 0x829D: 2.0})
    Image.fromarray(quarters()).save(tmp_path / "a.jpg", exif=exif)
    assert read_photo(tmp_path / "a.jpg").lens == Lens(50.0, 2.0)
    photo = read_photo(tmp_path / "a.jpg", lens=Lens(f_number=4.0, pixel_um=5.0))
    assert photo.lens == Lens(focal_mm=50.0, f_number=4.0, pixel_um=5.0)


def test_pillow_images_are_treated_like_files(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(quarters()[::-1, ::-1].copy()).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        photo = photo_from_image(image, Lens(focal_mm=35))
    np.testing.assert_array_equal(photo.pixels, quarters())
    assert photo.path == tmp_path / "a.png" and photo.lens == Lens(focal_mm=35)
    assert photo_from_image(Image.fromarray(quarters())).path is None


@pytest.mark.parametrize(
    "array",
    [
        ramp(),
        ramp()[:, :, 0],
        ramp()[:, :, :1],
        ramp() / 255.0,
        (ramp() / 255.0).astype(np.float32)[:, :, 0],
        ramp().astype(np.uint16) * 257,
        np.dstack([ramp(), np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)]),
    ],
    ids=["uint8", "grey", "one channel", "float64", "grey float32", "uint16", "opaque alpha"],
)
def test_arrays_of_every_accepted_kind(array: np.ndarray) -> None:
    np.testing.assert_array_equal(photo_from_array(array).pixels, ramp())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((40, 60, 2), np.uint8), r"shape \(40, 60, 2\); expected"),
        (np.zeros(40, np.uint8), r"shape \(40,\); expected"),
        (np.zeros((1, 40, 60, 3), np.uint8), "expected"),
        (np.full((40, 60, 3), 3.0), "from 3 to 3; expected"),
        (np.full((40, 60, 3), -1.0), "from -1 to -1; expected"),
        (np.full((40, 60, 3), np.nan), "NaN"),
        (np.full((40, 60, 3), -1), "from -1 to -1; expected"),
        (np.full((40, 60, 3), "x"), "samples of type"),
        (np.zeros((0, 0, 3), np.uint8), "too small"),
    ],
)
def test_arrays_that_cannot_be_used(array: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        photo_from_array(array)


def test_the_photo_does_not_share_memory_with_the_array() -> None:
    array = ramp()
    photo = photo_from_array(array)
    array[:] = 0
    assert photo.pixels.max() == 255


def test_damage_of_exif_is_noted_in_threads(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 100
    sound = tmp_path / "sound.jpg"
    Image.fromarray(ramp()).save(sound, exif=exif)
    data = bytearray(sound.read_bytes())
    order = ">" if b"MM" in data[:40] else "<"
    at = data.index(struct.pack(f"{order}HHI", 0x010E, 2, 101))
    data[at + 4 : at + 8] = b"\0\0\x7f\0"
    (tmp_path / "damaged.jpg").write_bytes(data)
    paths = [sound, tmp_path / "damaged.jpg"] * 40
    filters = list(warnings.filters)
    with ThreadPoolExecutor(8) as threads:
        notes = [photo.notes for photo in threads.map(read_photo, paths)]
    assert warnings.filters == filters and not recwarn.list
    assert all(not note for note in notes[::2]) and all("EXIF is damaged" in note[0] for note in notes[1::2])

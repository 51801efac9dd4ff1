"""Targets that are one file: photos of every format, colour profiles, EXIF, maker notes, videos, arrays."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms
from tests.support.fuzz import draw as st
from tests.support.fuzz.damage import damaged
from tests.support.fuzz.target import PIXELS, Cases, Files, Target, damage_any_seed
from tests.support.fuzz.values import json_bytes, python_value, tag_value

from mddnet.types import Lens, Photo

HEIGHT, WIDTH = 40, 56
LONGEST_NOTE = 2000


def picture(seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(40, 56, 3): smooth colours with some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.dstack([4 * x, 6 * y, 255 - 2 * x - 2 * y]) + rng.integers(-9, 9, (HEIGHT, WIDTH, 3))
    return np.clip(smooth, 0, 255).astype(np.uint8)


def read(path: Path, linear: bool = False) -> None:
    """Read a photo, and check what every photo promises."""
    from mddnet.photo.reader import read_photo

    check(read_photo(path, max_pixels=PIXELS, linear=linear))


def check(photo: Photo) -> None:
    assert photo.pixels.dtype == np.uint8 and photo.pixels.ndim == 3 and photo.pixels.shape[2] == 3
    assert min(photo.pixels.shape[:2]) >= 32 and photo.pixels.shape[0] * photo.pixels.shape[1] <= PIXELS
    Lens(photo.lens.focal_mm, photo.lens.f_number, photo.lens.pixel_um, photo.lens.focus_m)
    for note in photo.notes:
        assert len(note) <= LONGEST_NOTE, f"a note of {len(note)} characters"
        note.encode()


def saved(image: Image.Image, kind: str, **settings: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()


def whole_exif() -> Image.Exif:
    """All tags that the reader of lens facts uses."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110] = 6, "Canon", "Canon EOS 6D"
    exif.get_ifd(0x8769).update(
        {0x829D: 2.8, 0x9206: 1.5, 0x920A: 50.0, 0xA002: WIDTH, 0xA003: HEIGHT, 0xA20E: 3900.0, 0xA210: 2, 0xA405: 50}
    )
    return exif


def _write(folder: Path, case: str, seeds: Sequence[bytes]) -> None:
    for number, seed in enumerate(seeds):
        path = folder / case
        path.with_name(path.name if number == 0 else f"{path.stem}_{number}{path.suffix}").write_bytes(seed)


def _jpegs(folder: Path) -> None:
    from tests.photo.test_maker_notes import canon_exif
    from tests.photo.test_photo import linear_profile

    image = Image.fromarray(picture())
    _write(
        folder,
        "case.jpg",
        [
            saved(image, "JPEG", exif=whole_exif().tobytes(), icc_profile=linear_profile(b"RGB ")),
            saved(image, "JPEG", exif=canon_exif(152), progressive=True),
            saved(image.convert("L"), "JPEG", comment=b"grey"),
            saved(image.convert("CMYK"), "JPEG"),
            saved(image, "JPEG", subsampling=2, optimize=True),
            saved(image, "MPO", save_all=True, append_images=[Image.fromarray(picture(1))]),
        ],
    )


def _pngs(folder: Path) -> None:
    from tests.photo.test_photo import linear_profile

    image = Image.fromarray(picture())
    deep = Image.fromarray(picture()[:, :, 0].astype(np.uint16) * 257)
    palette = image.quantize(16)
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray(picture()[:, :, 1]))
    _write(
        folder,
        "case.png",
        [
            saved(image, "PNG", exif=whole_exif(), icc_profile=linear_profile(b"RGB "), dpi=(72, 72)),
            saved(deep, "PNG"),
            saved(palette, "PNG", transparency=3),
            saved(clear, "PNG"),
            saved(image.convert("L"), "PNG", transparency=7),
            saved(image.convert("1"), "PNG"),
            saved(image, "PNG", save_all=True, append_images=[Image.fromarray(picture(1))]),
        ],
    )


def _tiffs(folder: Path) -> None:
    import tifffile
    from tests.photo.test_photo import linear_profile

    def written(data: Any, **settings: Any) -> bytes:
        stream = io.BytesIO()
        tifffile.imwrite(stream, data, **settings)
        return stream.getvalue()

    image, light = Image.fromarray(picture()), (picture() / 255.0).astype(np.float32)
    profile = linear_profile(b"RGB ")
    tags: list[Any] = [(34675, 7, len(profile), profile, True), (0x0112, 3, 1, 6, True)]
    deep = picture().astype(np.uint16) * 257
    _write(
        folder,
        "case.tif",
        [
            saved(image, "TIFF", compression="tiff_lzw"),
            written(deep, photometric="rgb", extratags=tags),
            written(deep.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
            written(light, photometric="rgb"),
            written(light, photometric="rgb", tile=(16, 16), bigtiff=True),
            written(deep, photometric="rgb", compression="zlib", predictor=True),
            saved(image.convert("CMYK"), "TIFF"),
            saved(image.quantize(16), "TIFF"),
            saved(image, "TIFF", compression="jpeg"),
            saved(image.convert("1"), "TIFF", compression="group4"),
            written(light[:, :, 0].astype(np.float64), byteorder=">"),
        ],
    )


def _webps(folder: Path) -> None:
    image = Image.fromarray(picture())
    _write(
        folder,
        "case.webp",
        [
            saved(image, "WEBP", exif=whole_exif().tobytes()),
            saved(image, "WEBP", lossless=True, icc_profile=ImageCms.ImageCmsProfile(srgb()).tobytes()),
            saved(image.convert("RGBA"), "WEBP", save_all=True, append_images=[Image.fromarray(picture(1))]),
        ],
    )


def _others(folder: Path) -> None:
    image = Image.fromarray(picture())
    small = [
        ("GIF", image.quantize(16)),
        ("BMP", image),
        ("PPM", image),
        ("TGA", image),
        ("ICO", image),
        ("PCX", image),
    ]
    small += [("SGI", image), ("JPEG2000", image), ("AVIF", image), ("DDS", image), ("IM", image), ("QOI", image)]
    small += [
        ("EPS", image),
        ("PDF", image),
        ("XBM", image.convert("1")),
        ("MSP", image.convert("1")),
        ("SPIDER", image.convert("F")),
    ]
    small += [("ICNS", image.resize((64, 64)))]
    Image.init()
    seeds = [saved(picture, kind) for kind, picture in small if kind in Image.SAVE]
    wmf = (
        b"\xd7\xcd\xc6\x9a\0\0"
        + struct.pack("<hhhhHIH", 0, 0, 900, 900, 1440, 0, 0)
        + b"\x01\0\x09\0\0\x03"
        + bytes(60)
    )
    _write(folder, "case.bin", [*seeds, wmf])


def srgb() -> ImageCms.core.CmsProfile:
    return ImageCms.createProfile("sRGB")


def _heics(folder: Path) -> None:
    import pillow_heif

    def encoded(image: Image.Image, **settings: Any) -> bytes:
        stream = io.BytesIO()
        pillow_heif.from_pillow(image).save(stream, **settings)
        return stream.getvalue()

    image = Image.fromarray(picture()).resize((64, 64))
    _write(
        folder, "case.heic", [encoded(image, exif=whole_exif().tobytes()), encoded(image.convert("RGBA"), quality=-1)]
    )


def _exrs(folder: Path) -> None:
    import OpenEXR

    light = (picture() / 255.0).astype(np.float32)
    attributes = {"nominalFocalLength": 50.0, "aperture": 2.0, "sensorPhotositePitch": 6.0, "focus": 1.5}
    kinds: list[tuple[Any, dict[str, Any]]] = [
        (OpenEXR.ZIP_COMPRESSION, {"RGB": light}),
        (OpenEXR.PIZ_COMPRESSION, {"RGB": light.astype(np.float16)}),
        (OpenEXR.NO_COMPRESSION, {"RGBA": np.dstack([light, light[:, :, :1]])}),
        (OpenEXR.RLE_COMPRESSION, {"Y": light[:, :, 0].copy()}),
        (OpenEXR.DWAA_COMPRESSION, {"beauty.RGB": light}),
    ]
    for number, (compression, channels) in enumerate(kinds):
        header = {"compression": compression, "type": OpenEXR.scanlineimage, **attributes}
        OpenEXR.File(header, channels).write(str(folder / (f"case_{number}.exr" if number else "case.exr")))


def _raws(folder: Path) -> None:
    from tests.photo.test_formats import made_dng

    made_dng(folder / "case.dng")
    made_dng(folder / "case_1.dng", orientation=6)


def _videos(folder: Path) -> None:
    from tests.photo.test_video import write_video

    frames = [np.asarray(Image.fromarray(picture(k)).resize((64, 64))) for k in range(5)]
    for number, (name, codec) in enumerate((("case.mp4", "mpeg4"), ("case_1.mkv", "ffv1"), ("case_2.avi", "mpeg4"))):
        write_video(folder / name, frames if number else frames * 2, codec)


def _read_video(folder: Path) -> None:
    from mddnet.photo.video import frame_count, sampled_frames, video_frames

    path = folder / "case.mp4"
    frame_count(path)
    for photo in sampled_frames(path, 2, max_pixels=PIXELS):
        check(photo)
    for number, photo in enumerate(video_frames(path, max_pixels=PIXELS)):
        check(photo)
        if number >= 3:
            break


# --- EXIF and profiles with right containers around them --------------------------------------------------------------


def png_with(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A PNG of :func:`picture` with more chunks before its pixels."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = np.pad(picture().reshape(HEIGHT, -1), ((0, 0), (1, 0))).astype(np.uint8).tobytes()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0))
    body = header + b"".join(chunk(kind, data) for kind, data in chunks) + chunk(b"IDAT", zlib.compress(rows, 1))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


TAGS = (
    *(0x0112, 0x010F, 0x0110, 0x8769, 0x829D, 0x9206, 0x920A, 0x927C, 0xA002, 0xA003, 0xA20E, 0xA210, 0xA405),
    *(0x0100, 0x0101, 0x0102, 0x0111, 0x0117, 0x8773, 0x8825, 0xA005, 0x0201, 0x0202),
)
VALUE_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)
"""Bytes of a value of each TIFF type."""


@st.composite
def odd_exif(draw: st.Draw) -> bytes:
    """An EXIF block put together from entries of any tag, type, count and position."""
    order = draw(st.sampled_from(("<", "<", ">")))

    def entries(count: int, at: int) -> bytes:
        position = at + 2 + 12 * count + 4
        head, values = struct.pack(order + "H", draw(st.sampled_from((count, count, count, 0, 65535)))), b""
        for _ in range(count):
            tag = draw(st.sampled_from(TAGS))
            kind = draw(st.sampled_from((1, 2, 3, 4, 5, 5, 7, 9, 10, 11, 12, 0, 13, 255)))
            number = draw(st.sampled_from((1, 1, 1, 1, 2, 3, 0, 50, 65536, 2**31, 2**32 - 1)))
            size = VALUE_BYTES[kind] if kind < len(VALUE_BYTES) else 1
            data = draw(st.binary(min_size=4, max_size=4)) * 2 if draw(st.booleans()) else small(tag, kind)
            if size * number <= 4:
                head += struct.pack(order + "HHI", tag, kind, number) + data[:4].ljust(4, b"\0")
            else:
                offset = draw(st.sampled_from((position + len(values),) * 4 + (0, at, 2**31, 2**32 - 1)))
                head += struct.pack(order + "HHII", tag, kind, number, offset)
                values += (data * 4)[: size * min(number, 8)]
        following = draw(st.sampled_from((0, 0, 0, 8, at, 2**32 - 1)))
        return head + struct.pack(order + "I", following) + values

    def small(tag: int, kind: int) -> bytes:
        if tag == 0x8769:
            return struct.pack(order + "II", exif_at, 0)
        if kind in (5, 10):
            pair = (draw(st.sampled_from((0, 1, 50, 28, 2**32 - 1))), draw(st.sampled_from((0, 1, 10, 2**31))))
            return struct.pack(order + "II", *pair)
        return struct.pack(order + "HH", draw(st.integers(0, 9)), 0) * 2

    first_count = draw(st.integers(1, 5))
    exif_at = 8 + 2 + 12 * first_count + 4 + 120
    first = entries(first_count, 8).ljust(exif_at - 8, b"\0")
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "I", 8) + first + entries(draw(st.integers(0, 9)), exif_at)


def _exif_cases(files: Files) -> Cases:
    from tests.photo.test_maker_notes import canon_exif

    def in_jpeg(block: bytes) -> bytes:
        block = (b"Exif\0\0" + block)[:65000]
        return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]

    jpeg = saved(Image.fromarray(picture()), "JPEG")
    canon = canon_exif(152)[6:]
    blocks = st.one_of(odd_exif(), odd_exif(), damaged(canon, [whole_exif().tobytes()[6:]]))
    return st.one_of(
        blocks.map(lambda block: {"case.jpg": in_jpeg(block)}),
        blocks.map(lambda block: {"case.jpg": png_with([(b"eXIf", block)])}),
    )


def _profiles(folder: Path) -> None:
    from tests.photo.test_photo import linear_profile

    profiles = [linear_profile(b"RGB "), linear_profile(b"GRAY"), ImageCms.ImageCmsProfile(srgb()).tobytes()]
    profiles += [ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes() for space in ("LAB", "XYZ")]
    _write(folder, "case.icc", profiles)


def _read_profile(folder: Path) -> None:
    """The profile in a PNG, and with samples of every kind."""
    import zlib

    from mddnet.photo.colour_profile import srgb8_by_profile

    data = (folder / "case.icc").read_bytes()
    path = folder / "photo.png"
    path.write_bytes(png_with([(b"iCCP", b"p\0\0" + zlib.compress(data, 1))]))
    read(path)
    deep = picture()[::8, ::8].astype(np.uint16) * 257
    for samples in (deep, deep[:, :, 0], (deep / 65535).astype(np.float32)):
        assert srgb8_by_profile(samples, data, False, "samples", []).dtype == np.uint8


def _maker_notes(folder: Path) -> None:
    from tests.photo.test_maker_notes import canon_exif

    plain = Image.fromarray(picture())
    blocks = [canon_exif(152), canon_exif(65535, (2, 1))]
    for maker, note in (
        (b"NIKON CORPORATION", b"Nikon\0\x02\x10\0\0"),
        (b"CASIO", b"QVC\0"),
        (b"OLYMPUS", b"OLYMP\0\x01\0"),
    ):
        blocks.append(canon_exif(90).replace(b"Canon\0", (maker + b"\0" * 6)[:6]).replace(b"\x04\0\x03\0", note[:4]))
    _write(folder, "case.jpg", [saved(plain, "JPEG", exif=block) for block in blocks])


def _read_maker_notes(folder: Path) -> None:
    from mddnet.photo.maker_notes import maker_focus_m

    found = maker_focus_m(folder / "case.jpg")
    assert found is None or found[0] > 0


def _maker_cases(files: Files) -> Cases:
    """Damage within the EXIF segment, which is all that ExifRead reads."""
    heads = [content[:420] for content in files.values()]

    def one(content: bytes) -> Cases:
        return damaged(content[:420], heads).map(lambda head: {"case.jpg": head + content[420:]})

    return st.one_of([one(content) for content in files.values()])


# --- values, not files ------------------------------------------------------------------------------------------------

LENS_TAGS = ("FNumber", "SubjectDistance", "FocalLength", "ExifImageWidth", "ExifImageLength", "FocalPlaneXResolution")
LENS_TAGS += ("FocalPlaneResolutionUnit", "FocalLengthIn35mmFilm", "Model")


def _facts(folder: Path) -> None:
    (folder / "values.json").write_text(json.dumps({"FocalLength": 50, "FNumber": 2.8, "Model": "Canon EOS 6D"}))


def _fact_cases(files: Files) -> Cases:
    model = st.sampled_from(("Canon EOS 6D", "iPhone 7", "NIKON D90\0", "Pixel 2"))
    fields = {name: st.one_of(tag_value(), model) if name == "Model" else tag_value() for name in LENS_TAGS}
    makers = {
        f"MakerNote {name}": tag_value() for name in ("SubjectDistance", "ManualFocusDistance", "Object Distance")
    }
    form = {name: tag_value() for name in ("focal", "number", "pitch", "distance", "sensor", "size")}
    values = st.fixed_dictionaries({}, optional={**fields, **makers, **form})
    return values.map(lambda chosen: {"values.json": json_bytes(chosen)})


def _read_facts(folder: Path) -> None:
    """Lens facts of EXIF and of makers, the table of sensors, the form of the page: each from the same values."""
    from mddnet.demo.lens_form import TypedLens, form_of_lens, lens_of_form
    from mddnet.errors import MddnetError
    from mddnet.photo.lens_facts import lens_of_tags
    from mddnet.photo.maker_notes import focus_of_maker_tags
    from mddnet.photo.raw import TAG_OF_NAME
    from mddnet.photo.sensor_table import SENSOR_CHOICES, sensor_of

    given = {key: python_value(value) for key, value in json.loads((folder / "values.json").read_text()).items()}
    tags, notes = {TAG_OF_NAME[name]: given[name] for name in LENS_TAGS if name in given}, list[str]()
    stated = lens_of_tags(tags, WIDTH, HEIGHT, None, notes)
    check(Photo(picture(), stated, notes=tuple(notes)))
    found = focus_of_maker_tags(given)
    assert found is None or found[0] > 0
    sensor_of(given.get("Model"), stated.focal_mm)
    try:
        lens = lens_of_form(*(given.get(name) for name in ("focal", "number", "pitch", "distance")), False)
    except MddnetError:
        lens = stated
    form_of_lens(lens)
    sensor = given.get("sensor")
    choice = SENSOR_CHOICES[sensor % len(SENSOR_CHOICES)] if type(sensor) is int else sensor
    if choice is None or isinstance(choice, str):
        check(TypedLens(lens, choice).added_to(Photo(picture(), stated)))


DTYPES = (
    "uint8",
    "uint16",
    "int16",
    "int32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "bool",
    "complex64",
    "object",
    "U3",
)


def _arrays(folder: Path) -> None:
    (folder / "values.json").write_text(
        json.dumps({"shape": [40, 40, 3], "dtype": "uint8", "fill": 90, "linear": False})
    )


def _array_cases(files: Files) -> Cases:
    side = st.sampled_from((0, 1, 3, 4, 31, 32, 33, 40, 64))
    values = st.fixed_dictionaries(
        {
            "shape": st.one_of(st.tuples(side, side, st.sampled_from((1, 2, 3, 4, 5))), st.lists(side, max_size=4)),
            "dtype": st.sampled_from(DTYPES),
            "fill": st.one_of(
                st.floats(), st.sampled_from((0, 1, 90, 255, 256, 4095, 65535, 70000, -1, 0.5, 1.04, -0.04))
            ),
            "other": st.one_of(st.floats(), st.sampled_from((0, 1, 255, 65535))),
            "linear": st.booleans(),
        }
    )
    return values.map(lambda chosen: {"values.json": json_bytes(chosen)})


def _read_array(folder: Path) -> None:
    """An array of any shape, type and content, as it is and in Fortran's order."""
    import warnings

    from mddnet.photo.reader import photo_from_array

    given = json.loads((folder / "values.json").read_text())
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        most = [side if index < 2 else min(side, 5) for index, side in enumerate(given["shape"])]
        array = np.full(most, given["fill"]).astype(given["dtype"])
        if array.size:
            array.reshape(-1)[:: max(1, array.size // 7)] = np.asarray(given.get("other", 0.0)).astype(given["dtype"])
    for one in (array, np.asfortranarray(array), array[::-1] if array.ndim else array):
        check(photo_from_array(one, linear=given["linear"]))


def _upload(folder: Path) -> None:
    _jpegs(folder)
    (folder / "name.txt").write_text("case.jpg")


def _upload_cases(files: Files) -> Cases:
    seeds = {name: content for name, content in files.items() if name != "name.txt"}
    name = st.sampled_from(
        ("case.jpg", "case.png", "case.tiff", "case.webp", "case.exe", "case", "CASE.JPG", "\u202egpj.exe")
    )
    return st.tuples(damage_any_seed(seeds, "upload"), name).map(
        lambda pair: {"name.txt": pair[1].encode(), "upload": pair[0]["upload"]}
    )


def _read_upload(folder: Path) -> None:
    from mddnet.demo.upload import Limits, read_upload
    from mddnet.errors import MddnetError

    source = folder / "upload"
    path = folder / (folder / "name.txt").read_text(encoding="utf-8")
    if source.is_file():
        path.write_bytes(source.read_bytes())
    try:
        check(read_upload(path, Limits(megapixels=PIXELS / 1e6)))
    except MddnetError as error:
        assert str(folder) not in str(error), f"the message names a folder of this machine: {error}"
        raise
    finally:
        if source.is_file() and path.name != "case.jpg":
            path.unlink(missing_ok=True)


def photo_target(name: str, reads: str, share: int, valid: Any, case: str, *needs: str) -> Target:
    return Target(
        name, reads, share, valid, lambda files: damage_any_seed(files, case), lambda f: read(f / case), needs=needs
    )


def _read_tiff(folder: Path) -> None:
    content = (folder / "case.tif").read_bytes()
    read(folder / "case.tif", linear=sum(content[:64]) % 3 == 0)


TARGETS = (
    photo_target("jpeg", "JPEG and MPO photos, through EXIF", 12_000, _jpegs, "case.jpg"),
    photo_target("png", "PNG photos", 12_000, _pngs, "case.png"),
    Target(
        "tiff",
        "TIFF photos: 8, 16 bits, float, planes, tiles, BigTIFF",
        14_000,
        _tiffs,
        lambda files: damage_any_seed(files, "case.tif"),
        _read_tiff,
    ),
    photo_target("webp", "WebP photos", 6_000, _webps, "case.webp"),
    photo_target("other", "GIF, BMP, PNM, TGA, JPEG 2000, AVIF, ICO, ... and drawings", 10_000, _others, "case.bin"),
    photo_target("heic", "HEIC photos", 4_000, _heics, "case.heic", "pillow_heif"),
    photo_target("exr", "OpenEXR images", 5_000, _exrs, "case.exr", "OpenEXR"),
    photo_target("raw", "camera raw files (DNG)", 4_000, _raws, "case.dng", "rawpy", "exifread"),
    Target(
        "video",
        "videos: MP4, MKV, AVI",
        3_000,
        _videos,
        lambda files: damage_any_seed(files, "case.mp4"),
        _read_video,
        needs=("av",),
    ),
    Target("exif", "EXIF blocks in JPEG and PNG", 16_000, _jpegs, _exif_cases, lambda f: read(f / "case.jpg")),
    Target(
        "profile",
        "colour profiles",
        8_000,
        _profiles,
        lambda files: damage_any_seed(files, "case.icc"),
        _read_profile,
    ),
    Target("maker_notes", "maker notes", 6_000, _maker_notes, _maker_cases, _read_maker_notes, needs=("exifread",)),
    Target(
        "lens_facts",
        "lens facts: values of EXIF tags, table of sensors, form",
        16_000,
        _facts,
        _fact_cases,
        _read_facts,
    ),
    Target("array", "arrays given as photos", 6_000, _arrays, _array_cases, _read_array),
    Target("upload", "the demo's check of an upload", 5_000, _upload, _upload_cases, _read_upload),
)

"""Photos from files, Pillow images or arrays: upright 8-bit sRGB pixels with lens facts."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from mddnet.errors import ImageError, MddnetError
from mddnet.photo.colour_profile import UNUSABLE_PROFILE, ColourProfile, srgb8_by_profile
from mddnet.photo.exr import EXR_MAGIC, read_exr
from mddnet.photo.heif import heif_notes, is_heif, open_heif
from mddnet.photo.image_file import DRAWING_FORMATS, SizedFile, without_pillow_limit
from mddnet.photo.lens_facts import EXIF_IFD, LensFacts, display_tag, read_lens_facts
from mddnet.photo.maker_notes import maker_focus_m
from mddnet.photo.raw import RAW_SUFFIXES, read_raw
from mddnet.photo.samples import MAX_PIXELS, MIN_SIDE_PX, check_size
from mddnet.types import Lens, Photo, UInt8Array

__all__ = ["MAX_PIXELS", "MIN_SIDE_PX", "photo_from_array", "photo_from_image", "read_photo", "replaced_lens"]

MID_GREY = 128
TAG_ORIENTATION = 0x0112
TAG_BITS_PER_SAMPLE = 258
TAG_SAMPLES_PER_PIXEL = 277
TAG_PLANAR_CONFIGURATION = 284
TAG_ICC_PROFILE = 34675
TAG_MAKER_NOTE = 0x927C
Rotation = tuple[bool, int, int]
"""From stored to upright pixels: whether rows and columns are exchanged, and the steps along them."""
ROTATIONS: dict[int, Rotation] = {
    1: (False, 1, 1),
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, -1, 1),
    7: (True, -1, -1),
    8: (True, 1, -1),
}
"""By EXIF orientation."""
STRIP_ROWS = 256
MAX_BYTES_PER_PIXEL = 64  # limit for TIFF: eight samples of double precision; a photo has at most four
LARGE_TILE_PIXELS = 2**22
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
DAMAGED_EXIF = (SyntaxError, ValueError, TypeError, KeyError, OSError, EOFError, struct.error)


def read_photo(
    path: str | os.PathLike[str], lens: Lens | None = None, *, max_pixels: int | None = None, linear: bool = False
) -> Photo:
    """Read a photo as upright 8-bit sRGB, with the lens facts of its metadata.

    Colour profiles are converted to sRGB, 16-bit and float samples to 8 bits; transparent parts are composited over
    mid grey; of an animation, the first frame is read. ``Photo.notes`` records all of this. ``docs/formats.md`` lists
    the formats.

    Args:
        path: JPEG, PNG, TIFF (8 or 16 bits or float), WebP, or any other format that Pillow reads; with the extra
            ``formats``, HEIC, camera raw files and OpenEXR.
        lens: facts that replace those of the file, field by field; ``pixel_um`` is the pitch of the pixels as given.
        max_pixels: larger images are refused before decoding; by default 200 megapixels, or the value of the
            environment variable MDDNET_MAX_MEGAPIXELS.
        linear: treat the samples as linear light with sRGB primaries, whatever the file states; it has no effect on
            raw files, which are developed, and on EXR, which is always linear.

    Raises:
        ImageError: if the file is missing, damaged, not an image, too small or too large, or its extra is not
            installed.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; expected an image file")
    with ExitStack() as files:
        start = b""
        try:
            stream = files.enter_context(SizedFile(path))
            start = stream.read(12)
            is_raw = path.suffix.lower() in RAW_SUFFIXES  # Pillow would read the small preview inside
            if is_raw or start.startswith(EXR_MAGIC):
                photo = (read_raw if is_raw else read_exr)(path, max_pixels)
                return replace(photo, lens=replaced_lens(photo.lens, lens))
            with without_pillow_limit():
                image = files.enter_context(open_heif(path) if is_heif(start) else Image.open(stream))
        except ImageError:
            raise
        except PermissionError as error:
            raise ImageError(f"{path}: not readable (permission denied); change its permissions") from error
        except UnidentifiedImageError as error:
            if start.startswith(TIFF_MAGIC):
                return _photo_from_tifffile(path, lens, max_pixels, linear)
            raise ImageError(f"{path}: not an image; expected JPEG, PNG, TIFF, WebP or the like") from error
        except Exception as error:
            # The readers raise many classes of exceptions for damaged files.
            raise ImageError(f"{path}: not a readable image ({_one_line(error)}); copy it again") from error
        if _is_deep_tiff(image, linear):
            try:
                return _photo_from_tifffile(path, lens, max_pixels, linear)
            except ImageError:
                # tifffile alone does not know the compression; Pillow does, but returns 8 bits.
                if _is_planar(image):
                    raise
        photo = replace(_photo_from_image(image, lens, str(path), max_pixels, linear), path=path)
        return _with_maker_focus(photo, image)


def _with_maker_focus(photo: Photo, image: Image.Image) -> Photo:
    if photo.lens.focus_m is not None or photo.path is None:
        return photo
    try:
        if TAG_MAKER_NOTE not in image.getexif().get_ifd(EXIF_IFD):
            return photo
    except DAMAGED_EXIF:
        return photo
    found = maker_focus_m(photo.path)
    if found is None:
        return photo
    focus_m, note = found
    return replace(photo, lens=replace(photo.lens, focus_m=focus_m), notes=(*photo.notes, note))


def photo_from_image(image: Image.Image, lens: Lens | None = None, *, linear: bool = False) -> Photo:
    """Convert a Pillow image, at its current frame, as :func:`read_photo` does a file; ImageError if it is unusable."""
    filename = getattr(image, "filename", "")
    photo = _photo_from_image(image, lens, str(filename) or "the image", None, linear)
    return replace(photo, path=Path(filename)) if filename else photo


def photo_from_array(array: NDArray[np.generic], lens: Lens | None = None, *, linear: bool = False) -> Photo:
    """Convert an array to a photo; ImageError for another shape or type, values out of range, or an edge below 32 px.

    The array is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): uint8, uint16, or float in [0, 1]; with ``linear``, linear
    light instead of sRGB-encoded.
    """
    name, notes = "the array", list[str]()
    picture = _picture_from_samples(np.asarray(array), None, linear, name, notes)
    return Photo(np.array(picture), lens or Lens(), notes=tuple(notes))


def _photo_from_image(image: Image.Image, lens: Lens | None, name: str, max_pixels: int | None, linear: bool) -> Photo:
    if image.format in DRAWING_FORMATS:
        raise ImageError(f"{name}: {image.format} is a vector graphic; expected a photo: export it as JPEG or PNG")
    notes: list[str] = []
    try:
        width, height = image.size
        check_size(height, width, name, max_pixels)
        if getattr(image, "is_animated", False) and image.format not in {"MPO", "HEIF"}:
            which = "The first" if image.tell() == 0 else f"Number {image.tell() + 1}"
            notes.append(f"{which} of several {image.format} frames was read.")
        image.load()
        if image.format == "HEIF":
            notes += heif_notes(image)
        facts, rotation = _facts_and_rotation(image.getexif, width, height, notes)
        picture = _srgb8(image, name, linear, notes)
        pixels = _upright_pixels(picture, rotation)
    except (MddnetError, MemoryError):
        raise
    except Exception as error:
        # Pillow's decoders and converters raise many classes of exceptions for damaged files.
        raise ImageError(f"{name}: damaged or truncated image ({_one_line(error)}); copy it again") from error
    return Photo(pixels, replaced_lens(facts.lens, lens), notes=tuple(notes))


def _one_line(error: Exception) -> str:
    """The message of an error on one line; those of LibRaw are bytes."""
    text = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
    return " ".join(text.split())


def _facts_and_rotation(
    read_exif: Callable[[], Image.Exif], width: int, height: int, notes: list[str]
) -> tuple[LensFacts, Rotation]:
    """Lens facts of an EXIF block, and the rotation that makes the image upright; damage is noted."""
    facts, rotation = LensFacts(Lens()), ROTATIONS[1]
    try:
        with warnings.catch_warnings(record=True) as damage:
            warnings.simplefilter("always")
            exif = read_exif()
            facts = read_lens_facts(exif, width, height)
        notes += [f"EXIF is damaged: {warning.message}" for warning in damage]
        orientation = exif.get(TAG_ORIENTATION, 1)
        if isinstance(orientation, int) and orientation in ROTATIONS:
            rotation = ROTATIONS[orientation]
        else:
            notes.append(f"EXIF orientation {display_tag(orientation)} ignored: expected 1 to 8.")
    except DAMAGED_EXIF as error:
        notes.append(f"EXIF is damaged and was ignored ({error}).")
    notes += facts.notes
    return facts, rotation


def _picture_from_samples(
    array: NDArray[np.generic],
    profile: bytes | None,
    linear: bool,
    name: str,
    notes: list[str],
    max_pixels: int | None = None,
) -> Image.Image:
    """Opaque RGB from samples of any bit depth."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise ImageError(f"{name}: shape {array.shape}; expected (H, W), (H, W, 3) or (H, W, 4)")
    check_size(array.shape[0], array.shape[1], name, max_pixels)
    return _over_grey(Image.fromarray(srgb8_by_profile(array, profile, linear, name, notes)), notes)


def replaced_lens(lens: Lens, given: Lens | None) -> Lens:
    """``lens``, with its fields replaced by the known fields of ``given``."""
    known = {} if given is None else {name: value for name, value in asdict(given).items() if value is not None}
    return replace(lens, **known)


def _upright_pixels(picture: Image.Image, rotation: Rotation) -> UInt8Array:
    """(H, W, 3) pixels of an RGB image, upright.

    They are copied in strips: Pillow's rotation and array conversion need two more copies of a large photo.
    """
    width, height = picture.size
    exchanged, row_step, column_step = rotation
    pixels = np.empty((width, height, 3) if exchanged else (height, width, 3), dtype=np.uint8)
    as_stored = (pixels.transpose(1, 0, 2) if exchanged else pixels)[::row_step, ::column_step]
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        as_stored[top:bottom] = np.asarray(picture.crop((0, top, width, bottom)))
    return pixels


def _srgb8(image: Image.Image, name: str, linear: bool, notes: list[str]) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _picture_from_samples(np.asarray(image), profile, linear, name, notes)
    if image.mode in {"P", "PA"} or "transparency" in image.info:
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    alpha = image.getchannel("A") if image.mode in {"RGBA", "LA"} else None
    if image.mode in {"RGBA", "LA"}:
        image = image.convert(image.mode[:-1])
    try:
        picture = None if linear else _converted_by_profile(image, profile, notes)
        if picture is None:
            picture = image if image.mode == "RGB" else image.convert("RGB")
    except ValueError as error:
        raise ImageError(f"{name}: colour mode {image.mode} cannot be read; save it as RGB") from error
    if linear:
        picture = _picture_from_samples(np.asarray(picture), None, True, name, notes)
    if alpha is not None:
        picture.putalpha(alpha)
    return _over_grey(picture, notes)


def _converted_by_profile(image: Image.Image, data: bytes | None, notes: list[str]) -> Image.Image | None:
    """The image converted to sRGB by its embedded colour profile; None if no conversion is needed."""
    if not data:
        if image.mode == "CMYK":
            notes.append("CMYK without a colour profile: colours are approximate.")
        return None
    try:
        profile = ColourProfile.parsed(data)
        return None if image.mode == "RGB" and profile.is_srgb else profile.converted(image)
    except UNUSABLE_PROFILE as error:
        notes.append(f"The embedded colour profile cannot be used and was ignored ({error}).")
        return None


def _over_grey(image: Image.Image, notes: list[str]) -> Image.Image:
    """Opaque RGB: composited over mid grey, which adds neither light nor dark edges."""
    if image.mode == "RGB":
        return image
    if image.mode != "RGBA":
        return image.convert("RGB")
    if image.getchannel("A").getextrema()[0] == 255:
        return image.convert("RGB")
    notes.append("Transparent parts were composited over mid grey.")
    grey = Image.new("RGBA", image.size, (MID_GREY, MID_GREY, MID_GREY, 255))
    return Image.alpha_composite(grey, image).convert("RGB")


def _is_planar(image: Image.Image) -> bool:
    return isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(TAG_PLANAR_CONFIGURATION, 1) == 2


def _is_deep_tiff(image: Image.Image, linear: bool) -> bool:
    """Whether Pillow would lose or misread 16-bit colours.

    It misreads separate planes, and returns the upper byte of other samples, which is too coarse for linear light.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    tags = image.tag_v2
    try:
        if max(tags.get(TAG_BITS_PER_SAMPLE, (8,))) <= 8 or tags.get(TAG_SAMPLES_PER_PIXEL, 1) < 3:
            return False
    except DAMAGED_EXIF:
        return False
    return linear or _is_planar(image) or _is_linear_profile(image.info.get("icc_profile"))


def _is_linear_profile(data: bytes | None) -> bool:
    try:
        return data is not None and ColourProfile.parsed(data).is_linear()
    except UNUSABLE_PROFILE:
        return False


def _photo_from_tifffile(path: Path, lens: Lens | None, max_pixels: int | None, linear: bool) -> Photo:
    """Read the first page of a TIFF in its full bit depth, such as float RGB."""
    import tifffile  # only this rare kind of file needs it

    name = str(path)
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            check_size(page.imagelength, page.imagewidth, name, max_pixels)
            _check_tiff_page(page)
            array = page.asarray()
            axes = page.axes
            tag = page.tags.get(TAG_ICC_PROFILE)
            profile = tag.value if tag is not None and isinstance(tag.value, bytes) else None
    except ImageError:
        raise
    except Exception as error:
        # tifffile raises many classes of exceptions for damaged files.
        raise ImageError(f"{path}: not a readable TIFF ({error}); save it as 16-bit RGB without compression") from error
    if axes.startswith("S"):
        array = np.moveaxis(array, 0, -1)
    notes: list[str] = []
    with path.open("rb") as stream:
        # The tags of a TIFF have the layout of an EXIF block.
        facts, rotation = _facts_and_rotation(lambda: _exif_of_tiff(stream), page.imagewidth, page.imagelength, notes)
    picture = _picture_from_samples(array, profile, linear, name, notes, max_pixels)
    return Photo(_upright_pixels(picture, rotation), replaced_lens(facts.lens, lens), path, tuple(notes))


def _check_tiff_page(page: Any) -> None:
    """Raise ValueError for a page that would need far more memory than its pixels."""
    pixels = page.imagelength * page.imagewidth
    if page.nbytes > MAX_BYTES_PER_PIXEL * pixels:
        raise ValueError(f"{page.nbytes // pixels} bytes per pixel, at most {MAX_BYTES_PER_PIXEL}")
    tile = page.tilelength * page.tilewidth * page.tiledepth if page.is_tiled else 0
    if tile > max(4 * pixels, LARGE_TILE_PIXELS):
        raise ValueError(f"tiles of {page.tilewidth} x {page.tilelength} px in an image of {pixels} pixels")


def _exif_of_tiff(stream: BinaryIO) -> Image.Exif:
    """The tags of a TIFF; empty for a BigTIFF, which Pillow's EXIF reader does not support."""
    exif = Image.Exif()
    if stream.read(4) in TIFF_MAGIC[:2]:
        stream.seek(0)
        exif.load_from_fp(stream)
    return exif

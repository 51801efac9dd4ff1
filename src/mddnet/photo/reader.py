"""Photos from files, Pillow images or arrays: upright 8-bit sRGB pixels with lens facts."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError
from PIL.ExifTags import IFD, Base

from mddnet.errors import CaptureError, ImageError, MddnetError
from mddnet.photo.colour_profile import UNUSABLE_PROFILE, ColourProfile, srgb8_by_profile
from mddnet.photo.computed_bokeh import computed_bokeh
from mddnet.photo.exr import EXR_MAGIC, exr_header, exr_white, read_exr
from mddnet.photo.image_file import (
    DRAWING_FORMATS,
    SizedFile,
    exif_damage_noted,
    is_heif,
    open_heif,
    without_pillow_limit,
)
from mddnet.photo.jpeg import load_jpeg
from mddnet.photo.lens_facts import display_tag, lens_of_tags, missing_scale, tags_of_exif
from mddnet.photo.made_profile import HEAD_BYTES, code_points, stated_profile
from mddnet.photo.maker_notes import maker_focus_m
from mddnet.photo.raw import RAW_SUFFIXES, has_raw_magic, raw_header, raw_white, read_raw
from mddnet.photo.samples import MIN_SIDE_PX, check_size, scaled_to_white, white_of
from mddnet.photo.tiff import MIN_IS_WHITE, TIFF_MAGIC, TiffContent, inverted, read_tiff, tiff_content, tiff_header
from mddnet.types import Lens, Photo, UInt8Array

MID_GREY = 128
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
CODED_FORMATS = frozenset({"AVIF", "HEIF", "PNG"})
CODED_COLOURS = "mddnet_code_points"  # where the reader keeps a file's code points in Pillow's info
NO_FACTS_WANTED = Lens(1.0, 1.0, 1.0, 1.0)  # given facts are neither looked for nor noted
DAMAGED_EXIF = (SyntaxError, ValueError, TypeError, KeyError, OSError, EOFError, struct.error)


@dataclass(frozen=True, slots=True)
class PhotoHeader:
    """What the header of a photo says."""

    width: int  # upright
    height: int
    orientation: int = 1  # EXIF orientation of the stored pixels


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
        lens: facts that replace those of the file, field by field; ``pixel_um`` is the pitch of the pixels as given. A
            :class:`~mddnet.photo.lens_facts.CameraLens` finds it by the camera or the size of the sensor.
        max_pixels: larger images are refused before decoding; by default 200 megapixels, or the value of the
            environment variable MDDNET_MAX_MEGAPIXELS.
        linear: treat the samples as linear light with sRGB primaries, whatever the file states; it has no effect on
            raw files, which are developed, and on EXR, which is always linear.

    ImageError if the file is missing, damaged, not an image, too small or too large, or its extra is not installed.
    """
    path = Path(path)
    photo = _read(path, lens, max_pixels, linear)
    height, width = photo.pixels.shape[:2]
    check_size(height, width, str(path), max_pixels, least=MIN_SIDE_PX)
    return replace(photo, notes=(*photo.notes, *missing_scale(photo.lens, lens)))


def read_capture_photo(
    path: Path,
    fix: str,
    error: type[MddnetError] = CaptureError,
    *,
    linear: bool = False,
    white: float | None = None,
) -> Photo:
    """Read a photo of a capture as :func:`read_photo` does, of any size and without lens facts.

    ``white`` is the share of the full range that becomes white, as by :func:`photo_white`. An ``error`` ends with
    ``fix``.
    """
    try:
        return replace(_read(path, NO_FACTS_WANTED, None, linear, white), lens=Lens())
    except ImageError as problem:
        raise error(f"{problem}; {fix}") from problem


def photo_white(path: Path, fix: str, linear: bool = False) -> float | None:
    """Share of the full range that :func:`read_photo` makes white in this photo; None where it is the same in all.

    It depends on the samples for more than 8 bits per sample, for light above 1, and for raw files. Errors as of
    :func:`read_capture_photo`.
    """
    with _one_class_of_error(path, fix, CaptureError), ExitStack() as files:
        opened = _opened(path, files)
        if opened.reader is not None:
            return (raw_white if opened.reader is read_raw else exr_white)(path)
        image = opened.image
        if image is None or _is_deep_tiff(image, linear):
            return white_of(read_tiff(path, opened.page, None).samples, linear, str(path))
        check_size(image.height, image.width, str(path), None)
        return white_of(np.asarray(image), linear, str(path)) if _is_deep(image) else None


def photo_header(path: Path, fix: str, error: type[MddnetError] = CaptureError) -> PhotoHeader:
    """The size of :func:`read_capture_photo`'s pixels, by the header of the file; an ``error`` ends with ``fix``."""
    with _one_class_of_error(path, fix, error), ExitStack() as files, exif_damage_noted([]):
        opened = _opened(path, files)
        if opened.reader is not None:
            return PhotoHeader(*(raw_header if opened.reader is read_raw else exr_header)(path))
        image = opened.image
        size, tags = tiff_header(path, opened.page) if image is None else (image.size, _tags_or_nothing(image, []))
        upright_in_pillow = isinstance(image, TiffImagePlugin.TiffImageFile)
        check_size(size[1], size[0], str(path), None)
    orientation = _orientation(tags, [])
    exchanged = ROTATIONS[orientation][0] and not upright_in_pillow
    return PhotoHeader(*(size[::-1] if exchanged else size), orientation)


@contextmanager
def _one_class_of_error(path: Path, fix: str, error: type[MddnetError]) -> Iterator[None]:
    """Any exception becomes an ``error``: the readers raise many classes of them for damaged files."""
    try:
        yield
    except MddnetError as problem:
        raise error(f"{problem}; {fix}") from problem
    except Exception as problem:
        raise error(f"{path}: not a readable image ({_one_line(problem)}); {fix}") from problem


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file by its content."""

    reader: Callable[..., Photo] | None = None  # of another format than Pillow's and tifffile's
    image: Image.Image | None = None  # to decode with Pillow; None for tifffile's part of TIFF
    page: Any = None  # of a TIFF


def _opened(path: Path, files: ExitStack) -> _Opened:
    stream = files.enter_context(SizedFile(path))
    head = stream.read(HEAD_BYTES)
    tiff = TiffContent(False, 0)
    if head.startswith(TIFF_MAGIC):
        # A raw converter knows more TIFFs of cameras than their tags tell.
        is_raw = path.suffix.lower() in RAW_SUFFIXES or has_raw_magic(head)
        tiff = TiffContent(True, None) if is_raw else tiff_content(path, files)
    if tiff.raw or has_raw_magic(head):
        return _Opened(read_raw)
    if head.startswith(EXR_MAGIC):
        return _Opened(read_exr)
    stream.seek(0)
    try:
        with without_pillow_limit():
            image = files.enter_context(open_heif(path) if is_heif(head) else Image.open(stream))
            _refuse_drawing(image, str(path))
            if tiff.number is None:
                return _Opened(page=tiff.page)
            if tiff.number:
                image.seek(tiff.number)
    except SyntaxError:
        if not tiff.number:
            raise
        return _Opened(page=tiff.page)
    except UnidentifiedImageError:
        if head.startswith(TIFF_MAGIC):
            return _Opened(page=tiff.page)
        if path.suffix.lower() in RAW_SUFFIXES:
            return _Opened(read_raw)
        raise
    if (coded := code_points(head)) is not None:
        image.info[CODED_COLOURS] = coded
    return _Opened(image=image, page=tiff.page)


def _read(path: Path, lens: Lens | None, max_pixels: int | None, linear: bool, white: float | None = None) -> Photo:
    """As :func:`read_photo`, of any size, and with a given white."""
    if not path.is_file():
        raise ImageError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; expected an image file")
    noted: list[str] = []
    with ExitStack() as files, exif_damage_noted(noted):
        try:
            opened = _opened(path, files)
            if opened.reader is not None:
                return opened.reader(path, lens, max_pixels, white)
        except ImageError:
            raise
        except PermissionError as error:
            raise ImageError(f"{path}: not readable (permission denied); change its permissions") from error
        except UnidentifiedImageError as error:
            raise ImageError(f"{path}: not an image; expected JPEG, PNG, TIFF, WebP or the like") from error
        except Exception as error:
            # The readers raise many classes of exceptions for damaged files.
            raise ImageError(f"{path}: not a readable image ({_one_line(error)}); copy it again") from error
        image = opened.image
        if image is None or _is_deep_tiff(image, linear):
            try:
                return _photo_from_tiff(path, opened.page, lens, max_pixels, linear, white)
            except ImageError:
                # tifffile alone does not know the compression; Pillow does, but returns 8 bits.
                if image is None or _is_planar(image):
                    raise
        photo = _photo_from_image(image, lens, str(path), max_pixels, linear, white)
        photo = replace(photo, path=path, notes=tuple(dict.fromkeys((*noted, *photo.notes))))
        return _with_maker_focus(photo, image)


def _load(image: Any, name: str) -> None:
    """Load the pixels; ImageError for a damaged JPEG, unless the caller has loaded it before."""
    stream = getattr(image, "fp", None)
    if image.format in {"JPEG", "MPO"} and stream is not None and image.tile and image.tell() == 0:
        try:
            load_jpeg(image, stream, name)
        finally:
            if image.tile:
                image.fp = stream
            elif image._exclusive_fp and image._close_exclusive_fp_after_loading:  # as Pillow does
                stream.close()
    image.load()


def _with_maker_focus(photo: Photo, image: Image.Image) -> Photo:
    if photo.lens.focus_m is not None or photo.path is None:
        return photo
    try:
        if Base.MakerNote not in image.getexif().get_ifd(IFD.Exif):
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
    name = str(filename) or "the image"
    if image.format in CODED_FORMATS and CODED_COLOURS not in image.info and image.tell() == 0:
        _find_code_points(image)
    photo = _photo_from_image(image, lens, name, None, linear)
    height, width = photo.pixels.shape[:2]
    check_size(height, width, name, None, least=MIN_SIDE_PX)
    return replace(photo, path=Path(filename)) if filename else photo


def _find_code_points(image: Any) -> None:
    """Keep the code points of an image that the caller opened, if its file can be read."""
    try:
        if getattr(image, "fp", None) is not None:
            at = image.fp.tell()
            image.fp.seek(0)
            head = image.fp.read(HEAD_BYTES)
            image.fp.seek(at)
        else:
            with open(image.filename, "rb") as stream:
                head = stream.read(HEAD_BYTES)
    except (OSError, ValueError, AttributeError, TypeError):
        return
    if (coded := code_points(head)) is not None:
        image.info[CODED_COLOURS] = coded


def photo_from_array(array: NDArray[np.generic], lens: Lens | None = None, *, linear: bool = False) -> Photo:
    """Convert an array to a photo; ImageError for another shape or type, values out of range, or an edge below 32 px.

    The array is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): uint8, uint16, or float in [0, 1]; with ``linear``, linear
    light instead of sRGB-encoded.
    """
    name, notes = "the array", list[str]()
    picture = _picture_from_samples(np.asarray(array), None, linear, name, notes)
    check_size(picture.height, picture.width, name, None, least=MIN_SIDE_PX)
    known = lens_of_tags({}, picture.width, picture.height, lens, notes)
    return Photo(np.array(picture), known, notes=tuple(notes))


def _photo_from_image(
    image: Image.Image,
    lens: Lens | None,
    name: str,
    max_pixels: int | None,
    linear: bool,
    white: float | None = None,
) -> Photo:
    _refuse_drawing(image, name)
    notes: list[str] = []
    try:
        width, height = image.size
        check_size(height, width, name, max_pixels)
        if getattr(image, "is_animated", False) and image.format not in {"MPO", "HEIF"}:
            which = "The first" if image.tell() == 0 else f"Number {image.tell() + 1}"
            notes.append(f"{which} of several {image.format} frames was read.")
        # Pillow makes a TIFF upright when it loads it, and then forgets its orientation.
        applied = _orientation(image.tag_v2, []) if isinstance(image, TiffImagePlugin.TiffImageFile) else 1
        _load(image, name)
        tags = _tags_or_nothing(image, notes)
        orientation = _orientation(tags, notes)
        known = lens_of_tags(tags, width, height, lens, notes)
        picture = _srgb8(image, name, linear, notes, white)
        pixels = _upright_pixels(picture, ROTATIONS[orientation])
        computed = computed_bokeh(tags, image.info.get("xmp"))
    except (MddnetError, MemoryError):
        raise
    except Exception as error:
        # Pillow's decoders and converters raise many classes of exceptions for damaged files.
        raise ImageError(f"{name}: damaged or truncated image ({_one_line(error)}); copy it again") from error
    orientation = orientation if applied == 1 else applied
    return Photo(pixels, known, notes=tuple(notes), orientation=orientation, computed_bokeh=computed)


def _refuse_drawing(image: Image.Image, name: str) -> None:
    if image.format in DRAWING_FORMATS:
        raise ImageError(f"{name}: {image.format} is a vector graphic; expected a photo: export it as JPEG or PNG")


def _one_line(error: Exception) -> str:
    """The message of an error on one line; those of LibRaw are bytes."""
    text = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
    return " ".join(text.split())


def _tags_or_nothing(image: Image.Image, notes: list[str]) -> Mapping[int, object]:
    """The EXIF tags of an image; damage is noted."""
    try:
        with exif_damage_noted(notes):
            return tags_of_exif(image.getexif())
    except DAMAGED_EXIF as error:
        notes.append(f"EXIF is damaged and was ignored ({error}).")
        return {}


def _orientation(tags: Mapping[int, object], notes: list[str]) -> int:
    """EXIF's orientation, 1 to 8; another value is noted."""
    orientation = tags.get(Base.Orientation, 1)
    if isinstance(orientation, int) and orientation in ROTATIONS:
        return orientation
    notes.append(f"EXIF orientation {display_tag(orientation)} ignored: expected 1 to 8.")
    return 1


def _picture_from_samples(
    array: NDArray[np.generic],
    profile: bytes | None,
    linear: bool,
    name: str,
    notes: list[str],
    max_pixels: int | None = None,
    white: float | None = None,
) -> Image.Image:
    """Opaque RGB from samples of any bit depth."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise ImageError(f"{name}: shape {array.shape}; expected (H, W), (H, W, 3) or (H, W, 4)")
    check_size(array.shape[0], array.shape[1], name, max_pixels)
    array = scaled_to_white(array, white, notes)
    return _over_grey(Image.fromarray(srgb8_by_profile(array, profile, linear, name, notes)), notes)


def upright(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A stored (H, W) or (H, W, C) array in the orientation of the photo that it belongs to."""
    exchanged, row_step, column_step = ROTATIONS[orientation]
    flipped = array[::row_step, ::column_step]
    return np.ascontiguousarray(flipped.swapaxes(0, 1) if exchanged else flipped)


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


def _srgb8(image: Image.Image, name: str, linear: bool, notes: list[str], white: float | None) -> Image.Image:
    profile = None
    try:
        profile = stated_profile(image, image.info.get(CODED_COLOURS), notes)
    except (ValueError, OverflowError, struct.error, TypeError) as error:
        notes.append(f"The stated colours cannot be used and were ignored ({error}).")
    if _is_deep(image):
        samples = np.asarray(image)
        tags: Mapping[int, Any] = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
        if tags.get(Base.PhotometricInterpretation) == MIN_IS_WHITE:
            samples = inverted(samples, tags.get(Base.BitsPerSample, (16,))[0])
        return _picture_from_samples(samples, profile, linear, name, notes, white=white)
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
    if image.mode != "RGBA" or image.getchannel("A").getextrema()[0] == 255:
        return image if image.mode == "RGB" else image.convert("RGB")
    notes.append("Transparent parts were composited over mid grey.")
    grey = Image.new("RGBA", image.size, (MID_GREY, MID_GREY, MID_GREY, 255))
    return Image.alpha_composite(grey, image).convert("RGB")


def _is_planar(image: Image.Image) -> bool:
    return isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(Base.PlanarConfiguration, 1) == 2


def _is_deep(image: Image.Image) -> bool:
    """Whether Pillow gives more than 8 bits per sample."""
    return image.mode in {"I", "F"} or image.mode.startswith("I;16")


def _is_deep_tiff(image: Image.Image, linear: bool) -> bool:
    """Whether Pillow would lose or misread 16-bit colours.

    It misreads separate planes, and returns the upper byte of other samples, which is too coarse for linear light.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    tags, profile = image.tag_v2, image.info.get("icc_profile")
    try:
        if max(tags.get(Base.BitsPerSample, (8,))) <= 8 or tags.get(Base.SamplesPerPixel, 1) < 3:
            return False
        return linear or _is_planar(image) or (profile is not None and ColourProfile.parsed(profile).is_linear())
    except (*DAMAGED_EXIF, *UNUSABLE_PROFILE):
        return False


def _photo_from_tiff(
    path: Path, page: Any, lens: Lens | None, max_pixels: int | None, linear: bool, white: float | None
) -> Photo:
    read, notes = read_tiff(path, page, max_pixels), list[str]()
    picture = _picture_from_samples(read.samples, read.profile, linear, str(path), notes, max_pixels, white)
    orientation = _orientation(read.tags, notes)
    known = lens_of_tags(read.tags, picture.width, picture.height, lens, notes)
    return Photo(_upright_pixels(picture, ROTATIONS[orientation]), known, path, tuple(notes), orientation)

"""Photos: from a file, a Pillow image or an array to upright 8-bit sRGB pixels with the lens facts that came along."""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffImagePlugin, UnidentifiedImageError

from mddnet.capture.lens_facts import LensFacts, read_lens_facts
from mddnet.errors import ImageError
from mddnet.types import Lens, Photo, UInt8Array

MIN_SIDE_PX = 32
MAX_PIXELS = 200_000_000
MID_GREY = 128
TAG_ORIENTATION = 0x0112
TAG_BITS_PER_SAMPLE = 258
TAG_PLANAR_CONFIGURATION = 284
UPRIGHT_BY_ORIENTATION = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
RAW_SUFFIXES = frozenset({".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"})
HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
DRAWING_FORMATS = frozenset({"EPS", "WMF", "PDF"})
"""Formats whose loading would start another program."""
SRGB_PROFILES = ("srgb iec61966", "srgb built-in", "srgb2014", "gimp built-in srgb")

_pillow_limit = threading.Lock()


def read_photo(path: str | os.PathLike[str], lens: Lens | None = None, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photo: upright by EXIF, as 8-bit sRGB, with the lens facts that EXIF holds.

    Colour profiles are converted to sRGB, 16-bit and float images to 8 bits, transparency is laid over mid grey, and
    of an animation the first frame is taken; ``Photo.notes`` says what was done.

    Args:
        path: JPEG, PNG, TIFF (8 or 16 bits or float), WebP, or whatever else Pillow reads.
        lens: facts that replace those of EXIF, field by field; ``pixel_um`` is the pitch of the pixels as given.
        max_pixels: an image with more pixels is refused before it is decoded.

    Raises:
        ImageError: if the file is missing, no image, damaged, too small or too large.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; expected an image file")
    if path.suffix.lower() in RAW_SUFFIXES:
        # Pillow would take the small preview inside a raw file for the photo.
        raise ImageError(f"{path}: a camera raw file; expected a developed image: export it as JPEG or 16-bit TIFF")
    try:
        with _without_pillow_limit():
            image = Image.open(path)
    except UnidentifiedImageError as error:
        array = _read_with_tifffile(path, max_pixels)
        if array is None:
            advice = "; convert it to JPEG or PNG" if path.suffix.lower() in HEIF_SUFFIXES else ""
            raise ImageError(f"{path}: not an image; expected JPEG, PNG, TIFF, WebP or the like{advice}") from error
        return replace(_photo_from_array(array, lens, str(path)), path=path)
    except Exception as error:
        # Pillow's readers raise whatever a damaged file leads them to.
        raise ImageError(f"{path}: not a readable image ({error}); copy it again from its source") from error
    with image:
        if _is_deep_planar_tiff(image):
            array = _read_with_tifffile(path, max_pixels)
            if array is not None:
                return replace(_photo_from_array(array, lens, str(path)), path=path)
        return replace(_photo_from_image(image, lens, str(path), max_pixels), path=path)


def photo_from_image(image: Image.Image, lens: Lens | None = None) -> Photo:
    """The photo that a Pillow image holds, treated as :func:`read_photo` treats a file.

    Raises:
        ImageError: if it is damaged, too small, too large, or of a kind without colours.
    """
    filename = getattr(image, "filename", "")
    photo = _photo_from_image(image, lens, str(filename) or "the image", MAX_PIXELS)
    return replace(photo, path=Path(filename)) if filename else photo


def photo_from_array(array: NDArray[np.generic], lens: Lens | None = None) -> Photo:
    """The photo that an array holds.

    Args:
        array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) sRGB-encoded: uint8, uint16, or float in [0, 1].
        lens: what is known of the lens.

    Raises:
        ImageError: for another shape or type, values out of range, or a side below 32 px.
    """
    return _photo_from_array(np.asarray(array), lens, "the array")


def _photo_from_image(image: Image.Image, lens: Lens | None, name: str, max_pixels: int) -> Photo:
    if image.format in DRAWING_FORMATS:
        raise ImageError(f"{name}: {image.format} is a drawing; expected a photo: export it as JPEG or PNG")
    width, height = image.size
    _check_size(height, width, name, max_pixels)
    notes: list[str] = []
    try:
        if getattr(image, "is_animated", False) and image.format != "MPO":
            notes.append(f"Of the {image.format} with several frames the first was taken.")
            image.seek(0)
        image.load()
    except Exception as error:
        # Pillow's decoders raise whatever a damaged file leads them to.
        raise ImageError(f"{name}: damaged or truncated image ({error}); copy it again from its source") from error
    facts, turn = LensFacts(Lens()), None
    try:
        with warnings.catch_warnings(record=True) as damage:
            warnings.simplefilter("always")
            exif = image.getexif()
            facts = read_lens_facts(exif, width, height)
        notes += [f"EXIF is damaged: {warning.message}" for warning in damage]
        turn = _upright_turn(exif.get(TAG_ORIENTATION, 1), notes)
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, EOFError, struct.error) as error:
        notes.append(f"EXIF is damaged and was ignored ({error}).")
    notes += facts.notes
    picture = _srgb8(image, name, notes)
    if turn is not None:
        picture = picture.transpose(turn)
    return Photo(np.array(picture), replaced_lens(facts.lens, lens), notes=tuple(notes))


def _photo_from_array(array: NDArray[np.generic], lens: Lens | None, name: str) -> Photo:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise ImageError(f"{name}: shape {array.shape}; expected (H, W), (H, W, 3) or (H, W, 4)")
    _check_size(array.shape[0], array.shape[1], name, MAX_PIXELS)
    notes: list[str] = []
    bytes8 = _bytes_from_samples(array, name, notes)
    return Photo(np.array(_over_grey(Image.fromarray(bytes8), notes)), lens or Lens(), notes=tuple(notes))


@contextmanager
def _without_pillow_limit() -> Iterator[None]:
    """Lift Pillow's limit on pixels while a header is read; ours is checked before anything is decoded."""
    with _pillow_limit:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_size(height: int, width: int, name: str, max_pixels: int) -> None:
    if min(height, width) < MIN_SIDE_PX:
        raise ImageError(f"{name}: {width} x {height} px is too small: at least {MIN_SIDE_PX} px a side")
    if height * width > max_pixels:
        raise ImageError(
            f"{name}: {width} x {height} px is too large: at most {max_pixels / 1e6:g} megapixels; make it smaller"
        )


def replaced_lens(lens: Lens, given: Lens | None) -> Lens:
    """``lens`` with the known fields of ``given`` in place of its own; as it is if nothing is given."""
    known = {} if given is None else {name: value for name, value in asdict(given).items() if value is not None}
    return replace(lens, **known)


def _upright_turn(orientation: object, notes: list[str]) -> Image.Transpose | None:
    """The turn that makes an image of that EXIF orientation upright; None where it already is."""
    if isinstance(orientation, int) and orientation in UPRIGHT_BY_ORIENTATION:
        return UPRIGHT_BY_ORIENTATION[orientation]
    notes.append(f"EXIF orientation {orientation} ignored: expected 1 to 8.")
    return None


# --- colours ----------------------------------------------------------------------------------------------------------


def _srgb8(image: Image.Image, name: str, notes: list[str]) -> Image.Image:
    """The image as opaque RGB with 8 bits a channel, sRGB-encoded."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        image = Image.fromarray(_bytes_from_samples(np.asarray(image), name, notes))
    if image.mode in {"P", "PA"} or "transparency" in image.info:
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    alpha = image.getchannel("A") if image.mode in {"RGBA", "LA"} else None
    if image.mode in {"RGBA", "LA"}:
        image = _keep_profile(image, image.convert(image.mode[:-1]))
    try:
        picture = _converted_by_profile(image, notes) or (image if image.mode == "RGB" else image.convert("RGB"))
    except ValueError as error:
        raise ImageError(f"{name}: colour mode {image.mode} cannot be read; save it as RGB") from error
    if alpha is not None:
        picture.putalpha(alpha)
    return _over_grey(picture, notes)


def _keep_profile(source: Image.Image, image: Image.Image) -> Image.Image:
    if "icc_profile" in source.info:
        image.info["icc_profile"] = source.info["icc_profile"]
    return image


def _converted_by_profile(image: Image.Image, notes: list[str]) -> Image.Image | None:
    """The image in sRGB by its embedded colour profile; None where there is nothing to convert."""
    data = image.info.get("icc_profile")
    if not data:
        if image.mode == "CMYK":
            notes.append("CMYK without a colour profile: its colours are approximate.")
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        description = ImageCms.getProfileDescription(profile).strip()
        if image.mode == "RGB" and description.lower().startswith(SRGB_PROFILES):
            return None
        source = image if image.mode in {"RGB", "L", "CMYK", "LAB"} else image.convert("RGB")
        if source.mode == "L" and profile.profile.xcolor_space.strip() == "RGB":
            source = source.convert("RGB")
        return ImageCms.profileToProfile(source, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        notes.append(f"The embedded colour profile cannot be used and was ignored ({error}).")
        return None


def _over_grey(image: Image.Image, notes: list[str]) -> Image.Image:
    """Opaque RGB: transparency is laid over mid grey, which adds neither light nor dark edges."""
    if image.mode == "RGB":
        return image
    if image.mode != "RGBA":
        return image.convert("RGB")
    if image.getchannel("A").getextrema()[0] == 255:
        return image.convert("RGB")
    notes.append("Transparent parts were laid over mid grey.")
    grey = Image.new("RGBA", image.size, (MID_GREY, MID_GREY, MID_GREY, 255))
    return Image.alpha_composite(grey, image).convert("RGB")


def _bytes_from_samples(samples: NDArray[np.generic], name: str, notes: list[str]) -> UInt8Array:
    """8-bit samples from uint8, 16-bit integers or floats in [0, 1]."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    if samples.dtype == np.bool_:
        return samples.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(samples.dtype, np.floating):
        return _bytes_from_floats(samples.astype(np.float32), name)
    if not np.issubdtype(samples.dtype, np.integer):
        raise ImageError(f"{name}: samples of type {samples.dtype}; expected uint8, uint16 or float in [0, 1]")
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 65535:
        raise ImageError(f"{name}: integer samples from {low} to {high}; expected 0 to 255 or 0 to 65535")
    white = 65535
    if 255 < high <= 4095:
        white = 4095
        notes.append(f"16-bit samples up to {high} were read as 12 bits.")
    return (samples.astype(np.float32) * np.float32(255.0 / white) + np.float32(0.5)).astype(np.uint8)


def _bytes_from_floats(samples: NDArray[np.float32], name: str) -> UInt8Array:
    low, high = float(samples.min()), float(samples.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{name}: float samples hold NaN or infinity; expected sRGB-encoded values in [0, 1]")
    # Resampling overshoots a little; anything more has another scale.
    if low < -0.05 or high > 1.05:
        raise ImageError(f"{name}: float samples from {low:g} to {high:g}; expected sRGB-encoded values in [0, 1]")
    return (np.clip(samples, 0.0, 1.0) * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)


def _is_deep_planar_tiff(image: Image.Image) -> bool:
    """Whether Pillow would misread it: of 16-bit samples in separate planes it takes every byte for a sample."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    tags = image.tag_v2
    return tags.get(TAG_PLANAR_CONFIGURATION, 1) == 2 and max(tags.get(TAG_BITS_PER_SAMPLE, (8,))) > 8


def _read_with_tifffile(path: Path, max_pixels: int) -> NDArray[np.generic] | None:
    """The first page of a TIFF that Pillow cannot read, such as float RGB; None if the file is no TIFF."""
    with path.open("rb") as stream:
        if stream.read(4) not in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
            return None
    import tifffile  # only this rare kind of file needs it

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            _check_size(page.imagelength, page.imagewidth, str(path), max_pixels)
            array = page.asarray()
            axes = page.axes
    except ImageError:
        raise
    except Exception as error:
        # tifffile raises whatever a damaged file leads it to.
        raise ImageError(f"{path}: not a readable TIFF ({error}); save it as 16-bit RGB without compression") from error
    return np.moveaxis(array, 0, -1) if axes.startswith("S") else array

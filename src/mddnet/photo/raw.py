"""Camera raw files, developed by LibRaw (rawpy), with lens facts read by ExifRead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.ExifTags import Base

from mddnet.errors import ImageError
from mddnet.photo.image_file import formats_module
from mddnet.photo.lens_facts import DISTANCE_INFINITY, lens_of_tags, replaced_lens
from mddnet.photo.maker_notes import exif_tags, focus_of_maker_tags
from mddnet.photo.samples import check_size
from mddnet.types import Lens, Photo

RAW_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "gpr", "iiq", "kdc", "mef", "mos", "mrw"),
        *("nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
    )
)
RAW_MAGIC = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAP")
RAW_MAGIC_AT_8 = (b"CR\x02", b"IIII", b"MMMM")  # CR2 and IIQ, in a TIFF
INFINITE = b"\xff\xff\xff\xff"
ORIENTATION_OF_FLIP = {3: 3, 5: 8, 6: 6}  # LibRaw's flip to EXIF orientation
KIND = "a camera raw file"
SRGB_GAMMA = (2.4, 12.92)
CLIPPED_FROM = 99  # percentile of the light that LibRaw makes white
DARKEST_WHITE = 1 / 4096
SAME_NAMES = (
    *("FNumber", "SubjectDistance", "FocalLength", "ExifImageWidth", "FocalPlaneXResolution"),
    *("FocalPlaneResolutionUnit", "DigitalZoomRatio", "FocalLengthIn35mmFilm", "Model"),
)
TAG_OF_NAME = {"ExifImageLength": Base.ExifImageHeight, **{name: Base[name] for name in SAME_NAMES}}
"""ExifRead's names of the tags that :mod:`mddnet.photo.lens_facts` reads."""


def has_raw_magic(start: bytes) -> bool:
    """Whether the first 16 bytes of a file are those of a camera raw file other than TIFF/EP and DNG."""
    return (
        start.startswith(RAW_MAGIC)
        or start[4:12] == b"ftypcrx "
        or (start.startswith((b"II*\0", b"MM\0*")) and start[8:].startswith(RAW_MAGIC_AT_8))
    )


def raw_header(path: Path) -> tuple[int, int, int]:
    """Width and height of the upright photo, and EXIF orientation; LibRaw raises anything for a damaged file."""
    with formats_module("rawpy", path, KIND).imread(str(path)) as raw:
        size = (raw.sizes.width, raw.sizes.height)
        return (*(size[::-1] if raw.sizes.flip & 4 else size), ORIENTATION_OF_FLIP.get(raw.sizes.flip, 1))


def raw_light(path: Path, max_pixels: int | None, half_size: bool = False) -> NDArray[np.uint16]:
    """Linear light without the automatic exposure, which clips highlights; LibRaw raises anything if damaged."""
    linear = {"output_bps": 16, "gamma": (1, 1), "no_auto_bright": True, "half_size": half_size}
    rawpy = formats_module("rawpy", path, KIND)
    with rawpy.imread(str(path)) as raw:
        check_size(raw.sizes.raw_height, raw.sizes.raw_width, str(path), max_pixels)
        return raw.postprocess(use_camera_wb=True, output_color=rawpy.ColorSpace.sRGB, **linear)


def raw_white(path: Path) -> float:
    """Share of the sensor's range that the automatic exposure makes white; errors as of :func:`raw_light`."""
    light = raw_light(path, None, half_size=True)
    return max(float(np.percentile(light, CLIPPED_FROM, axis=(0, 1)).max()) / 65535, DARKEST_WHITE)


def read_raw(path: Path, lens: Lens | None, max_pixels: int | None, white: float | None = None) -> Photo:
    """Develop a raw file with the camera's white balance; LibRaw raises anything for a damaged one.

    The exposure is automatic, or that of ``white``, as by :func:`raw_white`.
    """
    rawpy = formats_module("rawpy", path, KIND)
    with rawpy.imread(str(path)) as raw:
        check_size(raw.sizes.height, raw.sizes.width, str(path), max_pixels)
        check_size(raw.sizes.raw_height, raw.sizes.raw_width, str(path), max_pixels)
        orientation = ORIENTATION_OF_FLIP.get(raw.sizes.flip, 1)
        exposure = {} if white is None else {"no_auto_bright": True, "bright": 1.0 / white}
        pixels = raw.postprocess(
            use_camera_wb=True, output_color=rawpy.ColorSpace.sRGB, output_bps=8, gamma=SRGB_GAMMA, **exposure
        )
    check_size(pixels.shape[0], pixels.shape[1], str(path), max_pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 1:  # a monochrome sensor
        pixels = np.repeat(pixels, 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ImageError(
            f"{path}: developed as {pixels.dtype} of shape {pixels.shape}; expected three colours of 8 bits"
        )
    how = "automatic exposure" if white is None else "one exposure for all frames"
    notes = [f"Developed from raw with the camera's white balance and {how}."]
    lens = _lens(path, pixels.shape[1], pixels.shape[0], lens, notes)
    return Photo(np.ascontiguousarray(pixels), lens, path, tuple(notes), orientation)


def _lens(path: Path, width: int, height: int, given: Lens | None, notes: list[str]) -> Lens:
    formats_module("exifread", path, KIND)
    try:
        read = exif_tags(path)
        # TIFF/EP and DNG allow these tags among those of the image ("Image FNumber").
        found = {name: read.get(f"EXIF {name}", read.get(f"Image {name}")) for name in TAG_OF_NAME}
        values = {TAG_OF_NAME[name]: tag.values for name, tag in found.items() if tag is not None}
        tags: dict[int, Any] = {tag: v if isinstance(v, str) or len(v) != 1 else v[0] for tag, v in values.items()}
        if (distance := found["SubjectDistance"]) is not None:
            # ExifRead reduces FFFFFFFF/FFFFFFFF, which means infinity, to 1
            with path.open("rb") as stream:
                stream.seek(distance.field_offset)
                if stream.read(4) == INFINITE:
                    tags[Base.SubjectDistance] = (DISTANCE_INFINITY, 1)
    except Exception as error:
        # ExifRead raises many classes of exceptions for damaged tags; the pixels are still usable.
        notes.append(f"EXIF is damaged and was ignored ({error}).")
        return replaced_lens(Lens(), given)
    lens = lens_of_tags(tags, width, height, given, notes)
    focus = None if lens.focus_m is not None else focus_of_maker_tags(read)
    if focus is None:
        return lens
    focus_m, note = focus
    notes.append(note)
    return replace(lens, focus_m=focus_m)

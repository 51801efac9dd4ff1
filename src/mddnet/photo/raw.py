"""Camera raw files, developed by LibRaw (rawpy), with lens facts read by ExifRead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mddnet.errors import ImageError
from mddnet.photo.image_file import formats_module
from mddnet.photo.lens_facts import TAG_MODEL, LensFacts, lens_facts_of_tags
from mddnet.photo.maker_notes import exif_tags, focus_of_maker_tags
from mddnet.photo.samples import check_size
from mddnet.types import Lens, Photo

RAW_SUFFIXES = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".dng", ".iiq", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"}
)
SRGB_GAMMA = (2.4, 12.92)
TAG_OF_NAME = {
    "FNumber": 0x829D,
    "SubjectDistance": 0x9206,
    "FocalLength": 0x920A,
    "ExifImageWidth": 0xA002,
    "ExifImageLength": 0xA003,
    "FocalPlaneXResolution": 0xA20E,
    "FocalPlaneResolutionUnit": 0xA210,
    "FocalLengthIn35mmFilm": 0xA405,
    "Model": TAG_MODEL,
}
"""ExifRead's names of the tags that :mod:`mddnet.photo.lens_facts` reads."""


def read_raw(path: Path, max_pixels: int | None) -> Photo:
    """Develop a raw file with the camera's white balance and automatic exposure; LibRaw raises anything if damaged."""
    rawpy = formats_module("rawpy", path, "a camera raw file")
    with rawpy.imread(str(path)) as raw:
        check_size(raw.sizes.height, raw.sizes.width, str(path), max_pixels)
        check_size(raw.sizes.raw_height, raw.sizes.raw_width, str(path), max_pixels)
        pixels = raw.postprocess(use_camera_wb=True, output_color=rawpy.ColorSpace.sRGB, output_bps=8, gamma=SRGB_GAMMA)
    check_size(pixels.shape[0], pixels.shape[1], str(path), max_pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 1:  # a monochrome sensor
        pixels = np.repeat(pixels, 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ImageError(
            f"{path}: developed as {pixels.dtype} of shape {pixels.shape}; expected three colours of 8 bits"
        )
    facts = _lens_facts(path, pixels.shape[1], pixels.shape[0])
    notes = ("Developed from raw with the camera's white balance and automatic exposure.", *facts.notes)
    return Photo(np.ascontiguousarray(pixels), facts.lens, path, notes)


def _lens_facts(path: Path, width: int, height: int) -> LensFacts:
    formats_module("exifread", path, "a camera raw file")
    try:
        read = exif_tags(path)
        # TIFF/EP and DNG allow these tags among those of the image ("Image FNumber").
        found = {name: read.get(f"EXIF {name}", read.get(f"Image {name}")) for name in TAG_OF_NAME}
        tags = {TAG_OF_NAME[name]: _value(tag.values) for name, tag in found.items() if tag is not None}
    except Exception as error:
        # ExifRead raises many classes of exceptions for damaged tags; the pixels are still usable.
        return LensFacts(Lens(), (f"EXIF is damaged and was ignored ({error}).",))
    facts = lens_facts_of_tags(tags, width, height)
    focus = None if facts.lens.focus_m is not None else focus_of_maker_tags(read)
    if focus is None:
        return facts
    focus_m, note = focus
    return LensFacts(replace(facts.lens, focus_m=focus_m), (*facts.notes, note))


def _value(values: Any) -> object:
    """A text, or the only number of a tag."""
    return values if isinstance(values, str) or len(values) != 1 else values[0]

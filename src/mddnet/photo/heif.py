"""HEIC and HEIF photos, through pillow-heif."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from mddnet.photo.image_file import formats_module

HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def is_heif(start: bytes) -> bool:
    """Whether the first 12 bytes of a file are those of a HEIF container (ISO/IEC 23008-12)."""
    return start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS


def open_heif(path: Path) -> Image.Image:
    """Open a HEIF file; libheif rotates it upright, reduces 10 bits to 8, and raises anything for a damaged file."""
    pillow_heif = formats_module("pillow_heif", path, "a HEIC photo")
    image: Image.Image = pillow_heif.HeifImageFile(path)
    return image

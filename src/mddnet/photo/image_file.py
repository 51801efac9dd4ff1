"""Untrusted image files, opened with Pillow: limited pixel count, no vector graphics, one class of error."""

from __future__ import annotations

import importlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from mddnet.errors import CaptureError, ImageError, MddnetError, install_hint
from mddnet.photo.samples import check_size

HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
DRAWING_FORMATS = frozenset({"EPS", "WMF", "PDF"})  # formats that Pillow loads by starting another program

_pillow_limit = threading.Lock()


_exif_damage: ContextVar[list[str] | None] = ContextVar("exif_damage", default=None)


@contextmanager
def exif_damage_noted(notes: list[str]) -> Iterator[None]:
    """Note what Pillow warns of while it reads EXIF; unlike :func:`warnings.catch_warnings`, for this thread only."""
    token = _exif_damage.set(notes)
    try:
        yield
    finally:
        _exif_damage.reset(token)


def _warn(message: str, *arguments: Any, **options: Any) -> None:
    notes = _exif_damage.get()
    if notes is None:
        warnings.warn(message, *arguments, **{"stacklevel": 2, **options})
    else:
        notes.append(f"EXIF is damaged: {message}")


# All that Pillow's reader of EXIF uses of the module.
TiffImagePlugin.warnings = SimpleNamespace(warn=_warn)  # type: ignore[assignment,attr-defined]


@contextmanager
def without_pillow_limit() -> Iterator[None]:
    """Lift Pillow's limit on pixels while a header is read; ours is checked before decoding."""
    with _pillow_limit:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def formats_module(module: str, path: Path, kind: str, instead: str = "export it as JPEG or 16-bit TIFF") -> ModuleType:
    """Import the module that reads a kind of file; ImageError with the fix if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImageError(
            f"{path}: {kind}; reading it needs the package {module}: {install_hint('formats')}; or {instead}"
        ) from error


def is_heif(start: bytes) -> bool:
    """Whether the first 12 bytes of a file are those of a HEIF container (ISO/IEC 23008-12)."""
    return start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS


def open_heif(path: Path) -> Image.Image:
    """Open a HEIF file; libheif rotates it upright, reduces 10 bits to 8, and raises anything for a damaged file."""
    pillow_heif = formats_module("pillow_heif", path, "a HEIC photo")
    image: Image.Image = pillow_heif.HeifImageFile(path)
    return image


class SizedFile(io.BufferedReader):
    """A file whose reads are capped at its remaining size: a damaged chunk can claim gigabytes."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to ``size`` bytes, or all that remain if it is negative."""
        if size is None or size < 0:
            return super().read()
        return super().read(min(size, max(self._size - self.tell(), 0)))


@contextmanager
def opened_image(
    file: Path | BinaryIO, fix: str, name: str | None = None, what: str = "image"
) -> Iterator[Image.Image]:
    """Open an image file without decoding it; any exception inside the context becomes a CaptureError.

    Vector graphics and images above :func:`mddnet.photo.samples.pixel_limit` are refused. The message has ``name`` (by
    default the path) and ``what`` was expected, and ends with ``fix``.
    """
    name = str(file) if name is None else name
    try:
        with SizedFile(file) if isinstance(file, Path) else nullcontext(file) as stream:
            with without_pillow_limit():
                image = Image.open(stream)
            if image.format in DRAWING_FORMATS:
                raise CaptureError(f"{name}: {image.format} is a vector graphic; expected a photo: {fix}")
            check_size(image.height, image.width, name, None, CaptureError)
            yield image
    except (MddnetError, MemoryError):
        raise
    except Exception as problem:
        # Pillow's readers and decoders raise many classes of exceptions for damaged files.
        words = "of no known format" if isinstance(problem, UnidentifiedImageError) else " ".join(str(problem).split())
        raise CaptureError(f"{name}: not a readable {what} ({words}); {fix}") from problem


def read_stored(path: Path, fix: str, what: str) -> NDArray[np.generic]:
    """Read the samples of an image in their stored type; errors as :func:`opened_image`."""
    with opened_image(path, fix, what=what) as image:
        return np.asarray(image)

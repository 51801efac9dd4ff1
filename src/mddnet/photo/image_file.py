"""Image files opened by Pillow as a stranger's: within the limit on pixels, never a drawing, one kind of error."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mddnet.errors import CaptureError, MddnetError
from mddnet.photo.samples import check_most_pixels
from mddnet.types import UInt8Array

DRAWING_FORMATS = frozenset({"EPS", "WMF", "PDF"})
"""Formats whose loading would start another program."""

_pillow_limit = threading.Lock()


@contextmanager
def without_pillow_limit() -> Iterator[None]:
    """Lift Pillow's limit on pixels while a header is read; ours is checked before anything is decoded."""
    with _pillow_limit:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


class SizedFile(io.BufferedReader):
    """A file that makes room for no more than it holds: Pillow asks for the gigabytes that a chunk says it has."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            OSError: if it cannot be opened.
        """
        super().__init__(io.FileIO(path))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to ``size`` bytes, all that are left if it is negative."""
        if size is None or size < 0:
            return super().read()
        return super().read(min(size, max(self._size - self.tell(), 0)))


@contextmanager
def opened_image(
    file: Path | BinaryIO,
    fix: str,
    error: type[MddnetError] = CaptureError,
    name: str | None = None,
    what: str = "image",
) -> Iterator[Image.Image]:
    """An image file, open and not decoded yet; whatever Pillow raises until it is closed becomes one error.

    Args:
        file: its path, or its bytes as a stream.
        fix: what to do about a file that cannot be read: the end of the message.
        error: class to raise.
        name: what messages call it; its path by default.
        what: what it should be, for messages.

    Raises:
        MddnetError: of that class, if the file is missing, no image, damaged, a drawing, or has more pixels than
            :func:`mddnet.photo.samples.pixel_limit` allows.
    """
    name = str(file) if name is None else name
    try:
        with SizedFile(file) if isinstance(file, Path) else nullcontext(file) as stream:
            with without_pillow_limit():
                image = Image.open(stream)
            if image.format in DRAWING_FORMATS:
                raise error(f"{name}: {image.format} is a drawing; expected a photo: {fix}")
            check_most_pixels(image.height, image.width, name, None, error)
            yield image
    except (MddnetError, MemoryError):
        raise
    except Exception as problem:
        # Pillow's readers and decoders raise whatever a damaged file leads them to.
        words = "of no known format" if isinstance(problem, UnidentifiedImageError) else " ".join(str(problem).split())
        raise error(f"{name}: not a readable {what} ({words}); {fix}") from problem


def read_rgb(
    file: Path | BinaryIO,
    fix: str,
    error: type[MddnetError] = CaptureError,
    name: str | None = None,
    what: str = "image",
) -> UInt8Array:
    """(H, W, 3) uint8 of an image as it is stored: no orientation tag, no colour profile.

    Raises:
        MddnetError: as :func:`opened_image`.
    """
    with opened_image(file, fix, error, name, what) as image:
        return np.asarray(image.convert("RGB"))


def read_stored(
    file: Path | BinaryIO,
    fix: str,
    error: type[MddnetError] = CaptureError,
    name: str | None = None,
    what: str = "image",
) -> NDArray[np.generic]:
    """The samples of an image in the type in which they are stored.

    Raises:
        MddnetError: as :func:`opened_image`.
    """
    with opened_image(file, fix, error, name, what) as image:
        return np.asarray(image)

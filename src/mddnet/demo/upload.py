"""Uploads: a file is read only if its kind, size and number of pixels are within limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mddnet.errors import ImageError
from mddnet.photo.reader import photo_header, read_photo
from mddnet.types import Photo

UPLOAD_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of JPEG, PNG, TIFF and BigTIFF; WebP is checked separately."""
KINDS = "JPEG, PNG, TIFF or WebP"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request and of all requests together."""

    file_mb: float = 50.0  # size of a file, megabytes (1e6 bytes)
    megapixels: float = 50.0  # size of a photo; checked before it is decoded
    batch_files: int = 12  # photos in one batch, or in one stack
    batch_megapixels: float = 100.0  # pixels of a whole batch; a ZIP has up to 17 bytes per pixel
    queue: int = 64  # pending requests; further ones are rejected
    sessions: int = 24  # visitors whose last photo and stack are in memory, about 12 MB and up to 25 MB each
    temp_mb: float = 6000.0  # files on disk, megabytes; the oldest are removed first
    temp_age_s: float = 3600.0  # largest age of these files, seconds

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"Limits.{name} is {getattr(self, name)!r}; expected a positive number")


def read_upload(path: Path, limits: Limits, pixels_left: float | None = None) -> Photo:
    """Read an uploaded photo of at most ``pixels_left`` (None is no limit but ``limits``).

    ImageError for another kind of file, one that is too large, or a damaged one, with the name of the file, but no
    folder of this machine.
    """
    check_kind(path, limits)
    name = shown_name(path)
    most = limits.megapixels * 1e6 if pixels_left is None else min(limits.megapixels * 1e6, pixels_left)
    try:
        photo = read_photo(path, max_pixels=max(1, int(most)))
    except ImageError as error:
        raise ImageError(str(error).replace(str(path), name)) from None
    return replace(photo, notes=tuple(note.replace(str(path), name) for note in photo.notes))


def check_stack(paths: Sequence[Path], limits: Limits) -> None:
    """ImageError for uploads that are not accepted, or are too many or too large together, by their headers."""
    if not 2 <= len(paths) <= limits.batch_files:
        raise ImageError(f"{len(paths)} photos: expected 2 to {limits.batch_files} of one scene")
    pixels_left = limits.batch_megapixels * 1e6
    for path in paths:
        check_kind(path, limits)
        try:
            header = photo_header(path, "upload another file", ImageError)
        except ImageError as error:
            raise ImageError(str(error).replace(str(path), shown_name(path))) from None
        pixels = header.width * header.height
        pixels_left -= pixels
        most, size = limits.megapixels, f"{shown_name(path)}: {header.width} x {header.height} px is too large"
        if pixels > most * 1e6:
            raise ImageError(f"{size}: expected at most {most:g} megapixels")
        if pixels_left < 0:
            raise ImageError(f"{size}: expected at most {limits.batch_megapixels:g} megapixels together")


def check_kind(path: Path, limits: Limits) -> None:
    """ImageError for another kind of file than a photo, by name and first bytes, or for one of too many megabytes."""
    name = shown_name(path)
    if path.suffix.lower() not in UPLOAD_SUFFIXES:
        raise ImageError(f"{name}: this kind of file is not accepted; expected {KINDS}")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError:
        raise ImageError(f"{name}: the file was removed; upload it again") from None
    if size > limits.file_mb * 1e6:
        raise ImageError(f"{name}: {size / 1e6:.0f} MB; expected at most {limits.file_mb:g} MB")
    if not (start.startswith(SIGNATURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")):
        raise ImageError(f"{name}: not an image; expected {KINDS}")


def shown_name(path: Path) -> str:
    """A file's name for messages: without folder and control characters, at most 80 characters."""
    name = "".join(letter if letter.isprintable() else "?" for letter in path.name)
    return name if len(name) <= 80 else f"{name[:60]}...{name[-16:]}"


def safe_stem(name: str) -> str:
    """A file name's stem of letters, digits and ``._-`` only, never empty, at most 60 characters."""
    stem = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in Path(name).stem)
    return stem.strip("._")[:60] or "photo"

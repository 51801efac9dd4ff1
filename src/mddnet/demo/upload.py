"""Uploads: a file from a stranger is read only if its kind, its size and its pixels are within limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mddnet.errors import ImageError
from mddnet.photo.reader import read_photo
from mddnet.types import Photo

UPLOAD_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of JPEG, PNG, TIFF and BigTIFF; WebP is checked apart."""
KINDS = "JPEG, PNG, TIFF or WebP"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, and all of them together, may take."""

    file_mb: float = 50.0  # size of a file, megabytes (1e6 bytes)
    megapixels: float = 50.0  # size of a photo; checked before it is decoded
    batch_files: int = 12  # photos in one batch
    batch_megapixels: float = 100.0  # pixels of one batch together: a ZIP takes up to 17 bytes for each
    queue: int = 64  # requests that wait for their turn; a further one is refused with a message
    sessions: int = 24  # visitors whose last photo is kept in memory, about 12 MB each
    temp_mb: float = 6000.0  # files that the page keeps on disk, megabytes; the oldest go first
    temp_age_s: float = 3600.0  # how long it keeps them, seconds

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"Limits.{name} is {getattr(self, name)!r}; expected a positive number")


def read_upload(path: Path, limits: Limits, pixels_left: float | None = None) -> Photo:
    """Read an uploaded photo, with messages that name the file and never a folder of this machine.

    Args:
        path: where the file lies.
        limits: what is accepted.
        pixels_left: what is left of a batch's pixels; None where there is no batch.

    Raises:
        ImageError: for another kind of file, one that is too large, or a damaged one.
    """
    name = shown_name(path)
    if path.suffix.lower() not in UPLOAD_SUFFIXES:
        raise ImageError(f"{name}: not a kind of file that is taken here; expected {KINDS}")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError:
        raise ImageError(f"{name}: the file is no longer here; give it again") from None
    if size > limits.file_mb * 1e6:
        raise ImageError(f"{name}: {size / 1e6:.0f} MB is too large; at most {limits.file_mb:g} MB")
    if not (start.startswith(SIGNATURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")):
        raise ImageError(f"{name}: not an image; expected {KINDS}")
    most = limits.megapixels * 1e6 if pixels_left is None else min(limits.megapixels * 1e6, pixels_left)
    try:
        photo = read_photo(path, max_pixels=max(1, int(most)))
    except ImageError as error:
        raise ImageError(str(error).replace(str(path), name)) from None
    return replace(photo, notes=tuple(note.replace(str(path), name) for note in photo.notes))


def shown_name(path: Path) -> str:
    """A file's name as it may be shown: without a folder, without control characters, at most 80 characters."""
    name = "".join(letter if letter.isprintable() else "?" for letter in path.name)
    return name if len(name) <= 80 else f"{name[:60]}...{name[-16:]}"


def safe_stem(name: str) -> str:
    """A file name's stem of letters, digits and ``._-`` only, never empty, at most 60 characters."""
    stem = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in Path(name).stem)
    return stem.strip("._")[:60] or "photo"

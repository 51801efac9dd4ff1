"""The focus distance that some cameras keep in their maker's notes, where ExifRead (extra ``formats``) reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mddnet.photo.image_file import SizedFile

CANON_UPPER = "MakerNote SubjectDistance"
NIKON_MANUAL = "MakerNote ManualFocusDistance"
CASIO_OBJECT = "MakerNote Object Distance"
CANON_INFINITY_CM = 65535
MOST_READS, MOST_READS_PAST_THE_END = 500_000, 1000
"""A photo with long notes takes a hundred thousand."""
NEAREST_M, FARTHEST_M = 0.005, 1e5


def maker_focus_m(path: Path) -> tuple[float, str] | None:
    """The focus distance in a photo's maker's notes, in metres, and a sentence on where it comes from.

    Canon gives the far end of the range that the camera believes in, in centimetres; Nikon a distance for lenses that
    were focused by hand; Casio a distance in millimetres. None where there is none, or ExifRead is not installed.
    """
    try:
        tags = exif_tags(path)
    except Exception:
        # It is not installed, or damaged notes led it to whatever it raised; the photo is good without them.
        return None
    return focus_of_maker_tags(tags)


def exif_tags(path: Path) -> dict[str, Any]:
    """ExifRead's tags of a photo by name, maker's notes included.

    Raises:
        ImportError: if ExifRead is not installed.
        Exception: whatever ExifRead raises for a damaged file, and OSError where it reads on and on.
    """
    import exifread

    with ImpatientFile(path) as stream:
        tags: dict[str, Any] = exifread.process_file(stream, details=True, extract_thumbnail=False)
    return tags


class ImpatientFile(SizedFile):
    """A file that is read so many times and no more: ExifRead reads every value of a count, be it four billion."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            OSError: if it cannot be opened.
        """
        super().__init__(path)
        self._reads = self._past_the_end = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As :meth:`SizedFile.read`.

        Raises:
            OSError: when it has been read too often.
        """
        data = super().read(size)
        self._reads += 1
        self._past_the_end += not data
        if self._reads > MOST_READS or self._past_the_end > MOST_READS_PAST_THE_END:
            raise OSError(f"{self.name}: tags whose values do not end")
        return data


def focus_of_maker_tags(tags: Mapping[str, Any]) -> tuple[float, str] | None:
    """:func:`maker_focus_m` of ExifRead's tags by name; zero, by all makers, is "unknown"."""
    for name, maker, metres, what in (
        (CANON_UPPER, "Canon", 0.01, "the far end of the camera's estimate"),
        (NIKON_MANUAL, "Nikon", 1.0, "as the lens says"),
        (CASIO_OBJECT, "Casio", 0.001, "as the camera says"),
    ):
        value = _number(tags.get(name))
        if value is None or value == 0:
            continue
        focus_m = math.inf if name == CANON_UPPER and value >= CANON_INFINITY_CM else value * metres
        if NEAREST_M <= focus_m <= FARTHEST_M or focus_m == math.inf:
            far = "infinity" if focus_m == math.inf else f"{focus_m:.4g} m"
            return focus_m, f"Focus distance of {far} by the maker's notes of {maker}, {what}."
    return None


def _number(tag: Any) -> float | None:
    """The first number of an ExifRead tag; infinity for n/0, None for a text or nothing."""
    value = getattr(tag, "values", tag)
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    try:
        if getattr(value, "denominator", 1) == 0:
            return math.inf if value.numerator > 0 else None
        return float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None

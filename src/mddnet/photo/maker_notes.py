"""Focus distance from the maker notes of some cameras, read with ExifRead (extra ``formats``)."""

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
MOST_READS, MOST_READS_PAST_THE_END = 500_000, 1000  # a photo with long maker notes takes a hundred thousand reads
NEAREST_M, FARTHEST_M = 0.005, 1e5


def maker_focus_m(path: Path) -> tuple[float, str] | None:
    """Focus distance from a photo's maker notes, in metres, and a note on its origin; None if there is none."""
    try:
        tags = exif_tags(path)
    except Exception:
        # ExifRead is not installed, or the notes are damaged, for which it raises anything; the photo is still usable.
        return None
    return focus_of_maker_tags(tags)


def exif_tags(path: Path) -> dict[str, Any]:
    """ExifRead's tags of a photo by name; it raises anything for a damaged file, ImportError if not installed."""
    import exifread

    with ReadLimitedFile(path) as stream:
        tags: dict[str, Any] = exifread.process_file(stream, details=True, extract_thumbnail=False)
    return tags


class ReadLimitedFile(SizedFile):
    """A file with a limited number of reads: ExifRead reads every value of a count, even if it is four billion."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._reads = self._past_the_end = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As :meth:`SizedFile.read`; raises OSError after too many reads."""
        data = super().read(size)
        self._reads += 1
        self._past_the_end += not data
        if self._reads > MOST_READS or self._past_the_end > MOST_READS_PAST_THE_END:
            raise OSError(f"{self.name}: too many reads for its tags")
        return data


def focus_of_maker_tags(tags: Mapping[str, Any]) -> tuple[float, str] | None:
    """As :func:`maker_focus_m`, from ExifRead's tags by name; for all makers, zero means "unknown"."""
    for name, maker, metres, what in (
        (CANON_UPPER, "Canon", 0.01, "the far end of the camera's estimate"),
        (NIKON_MANUAL, "Nikon", 1.0, "as reported by the lens"),
        (CASIO_OBJECT, "Casio", 0.001, "as reported by the camera"),
    ):
        value = _number(tags.get(name))
        if value is None or value == 0:
            continue
        focus_m = math.inf if name == CANON_UPPER and value >= CANON_INFINITY_CM else value * metres
        if NEAREST_M <= focus_m <= FARTHEST_M or focus_m == math.inf:
            far = "infinity" if focus_m == math.inf else f"{focus_m:.4g} m"
            return focus_m, f"Focus distance of {far} from the maker notes of {maker}, {what}."
    return None


def _number(tag: Any) -> float | None:
    """First number of an ExifRead tag; infinity for n/0, None if there is no number."""
    value = getattr(tag, "values", tag)
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    try:
        if getattr(value, "denominator", 1) == 0:
            return math.inf if value.numerator > 0 else None
        return float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None

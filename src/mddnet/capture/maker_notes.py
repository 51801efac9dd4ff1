"""The focus distance that some cameras keep in their maker's notes, where ExifRead (extra ``formats``) reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CANON_UPPER = "MakerNote SubjectDistance"
NIKON_MANUAL = "MakerNote ManualFocusDistance"
CASIO_OBJECT = "MakerNote Object Distance"
CANON_INFINITY_CM = 65535
NEAREST_M, FARTHEST_M = 0.005, 1e5


def maker_focus_m(path: Path) -> tuple[float, str] | None:
    """The focus distance in a photo's maker's notes, in metres, and a sentence on where it comes from.

    Canon gives the far end of the range that the camera believes in, in centimetres; Nikon a distance for lenses that
    were focused by hand; Casio a distance in millimetres. None where there is none, or ExifRead is not installed.
    """
    try:
        import exifread
    except ImportError:
        return None
    try:
        with path.open("rb") as stream:
            tags: dict[str, Any] = exifread.process_file(stream, details=True, extract_thumbnail=False)
    except Exception:
        # ExifRead raises whatever damaged notes lead it to; the photo is good without them.
        return None
    return focus_of_maker_tags(tags)


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
        if NEAREST_M <= focus_m <= FARTHEST_M or math.isinf(focus_m):
            far = "infinity" if math.isinf(focus_m) else f"{focus_m:.4g} m"
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
    except (TypeError, ValueError, ZeroDivisionError):
        return None

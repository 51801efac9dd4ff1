"""Which side of the split a place is on: ``place,split`` with ``train`` or ``dev``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

from mddnet.errors import CaptureError

Side = Literal["train", "dev"]


def read_split(path: Path) -> dict[str, Side]:
    """Read a split file.

    Raises:
        CaptureError: if the file cannot be read, a column is missing, a side is neither train nor dev, or a place
            stands on two lines.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or not {"place", "split"} <= set(reader.fieldnames):
                raise CaptureError(f"{path}: columns {reader.fieldnames}; expected place,split in the first line")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CaptureError(
            f"{path}: not a readable split ({error}); expected a CSV file with the columns place,split"
        ) from error
    places: dict[str, Side] = {}
    for line, row in enumerate(rows, start=2):
        place, side = (row["place"] or "").strip(), (row["split"] or "").strip()
        if side not in ("train", "dev") or not place:
            raise CaptureError(
                f"{path}, line {line}: place {place!r}, split {side!r}; expected a place and train or dev"
            )
        if place in places:
            raise CaptureError(f"{path}, line {line}: place {place!r} is listed twice; keep one line")
        places[place] = cast(Side, side)
    return places


def split_of(place: str, places: Mapping[str, Side]) -> Side | None:
    """Side of a place; photos (``photos/SOURCE``) are train by definition; None if the split does not name it."""
    return "train" if place.startswith("photos/") else places.get(place)

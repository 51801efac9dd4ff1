"""Which side of the split a location is on: ``place,split`` with ``train``, ``dev`` or ``calib``.

A network is trained on train and measured on dev. Captures of calib are for neither: they calibrate its confidence.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast, get_args

from mddnet.errors import CaptureError

Side = Literal["train", "dev", "calib"]


def read_split(path: Path) -> dict[str, Side]:
    """Read a split file: location -> side.

    Raises:
        CaptureError: if the file cannot be read, a column is missing, a side is unknown, or a location stands on two
            lines.
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
        if side not in get_args(Side) or not place:
            raise CaptureError(
                f"{path}, line {line}: place {place!r}, split {side!r}; expected a place and train, dev or calib"
            )
        if place in places:
            raise CaptureError(f"{path}, line {line}: place {place!r} is listed twice; keep one line")
        places[place] = cast(Side, side)
    return places


def split_of(place: str, places: Mapping[str, Side]) -> Side | None:
    """Side of a location; photos (``photos/SOURCE``) are train by definition; None if the split does not name it."""
    return "train" if place.startswith("photos/") else places.get(place)

"""The split of the locations: a CSV file ``place,split`` with ``train``, ``dev`` or ``calib``.

A network is trained on train and evaluated on dev; calib is used to calibrate its confidence only.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from mddnet.errors import CaptureError
from mddnet.types import SPLITS, Split


def read_split(path: Path) -> dict[str, Split]:
    """Read a split file: the split of each location.

    CaptureError if the file cannot be read, a column is missing, a split is unknown, or a location is listed twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or not {"place", "split"} <= set(reader.fieldnames):
                raise CaptureError(f"{path}: columns {reader.fieldnames}; expected place,split in the first line")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CaptureError(
            f"{path}: not a readable split ({error}); expected a CSV file with the columns place,split"
        ) from error
    locations: dict[str, Split] = {}
    for line, row in enumerate(rows, start=2):
        location, split = (row["place"] or "").strip(), (row["split"] or "").strip()
        if split not in SPLITS or not location:
            raise CaptureError(
                f"{path}, line {line}: location {location!r}, split {split!r}; expected a location and "
                "train, dev or calib"
            )
        if location in locations:
            raise CaptureError(f"{path}, line {line}: location {location!r} is listed twice; keep one line")
        locations[location] = cast(Split, split)
    return locations


def split_of(location: str, locations: Mapping[str, Split]) -> Split | None:
    """Split of a location; photos (``photos/SOURCE``) are train by definition.

    An unlisted location is None, but train for rendered views (``views/...``).
    """
    if location.startswith("photos/"):
        return "train"
    return locations.get(location, "train" if location.startswith("views/") else None)

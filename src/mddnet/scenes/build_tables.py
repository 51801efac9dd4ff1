"""Tables of a build: ``build.csv`` lists all complete scenes, ``rejected.csv`` all captures without a scene."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from mddnet.errors import MddnetError
from mddnet.io.atomic import write_csv
from mddnet.io.folder_lock import FolderLock
from mddnet.io.part_file import writing_into
from mddnet.kinds import KINDS
from mddnet.scenes.plan import BuildRow
from mddnet.scenes.store import read_scene
from mddnet.types import SPLITS, SceneRecord, Split

LOCK_TIMEOUT_S = 60.0
COUNT_COLUMNS = ("frames", "kappa_px_low", "kappa_px_high", "rerender_error_fraction", "unknown_share")
SCENE_COLUMNS = ("group", "scene", "place", "split", "provenance", "unit", *COUNT_COLUMNS, "remarks", "measures")
REJECTED_COLUMNS = ("group", "scene", "place", "split", "state", "reason")


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of ``build.csv`` or ``rejected.csv``; empty if the file is missing or has no split column."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return [
                {name: value or "" for name, value in row.items() if isinstance(name, str)}
                for row in csv.DictReader(file)
                if "split" in row
            ]
    except (OSError, ValueError, csv.Error):
        return []


def split_of_build(root: Path) -> dict[str, Split]:
    """Split of each location in ``build.csv``; empty if there is no such table."""
    rows = read_table(root / "build.csv")
    return {row["place"]: row["split"] for row in rows if row.get("place") and row["split"] in SPLITS}


def _scene_row(kind: str, record: SceneRecord, split: str) -> dict[str, str]:
    kappas = [frame.kappa_px for frame in record.frames]
    measures = record.measures
    shares = [measures.get(name) for name in COUNT_COLUMNS[3:]]
    numbers = [min(kappas, default=None), max(kappas, default=None), *shares]
    texts = ["" if value is None else f"{value:.5g}" for value in numbers]
    rounded = json.dumps({name: float(f"{value:.5g}") for name, value in measures.items()})
    cells = (kind, record.name, record.location, split, record.provenance, record.unit, str(len(record.frames)))
    return dict(zip(SCENE_COLUMNS, (*cells, *texts, " ".join(record.remarks), rounded), strict=True))


def write_tables(out: Path, rows: Sequence[BuildRow], split_of: Callable[[str], str]) -> None:
    """Write ``build.csv`` (all complete scenes below ``out``) and ``rejected.csv`` (all captures without one).

    Rows of captures that are not part of this run are kept. ``split_of`` gives "" for an unknown location.
    """
    with writing_into(out), FolderLock(out, "build-tables", LOCK_TIMEOUT_S):
        _write_tables(out, rows, split_of)


def _write_tables(out: Path, rows: Sequence[BuildRow], split_of: Callable[[str], str]) -> None:
    scenes = []
    for kind in KINDS:
        for path in sorted((out / kind).glob("*/scene.json")):
            try:
                record = read_scene(path.parent)
            except MddnetError:
                continue
            scenes.append(_scene_row(kind, record, split_of(record.location)))
    settled = {(row["group"], row["scene"]) for row in scenes} | {(row.kind, row.name) for row in rows}
    rejected = [
        row
        for row in read_table(out / "rejected.csv")
        if set(REJECTED_COLUMNS) <= row.keys() and (row["group"], row["scene"]) not in settled
    ]
    for row in rows:
        if row.state in ("rejected", "failed"):
            cells = (row.kind, row.name, row.location, split_of(row.location), row.state, row.reason)
            rejected.append(dict(zip(REJECTED_COLUMNS, cells, strict=True)))
    write_csv(out / "build.csv", SCENE_COLUMNS, scenes)
    write_csv(out / "rejected.csv", REJECTED_COLUMNS, sorted(rejected, key=lambda row: (row["group"], row["scene"])))

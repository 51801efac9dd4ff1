"""What neither teacher nor student ever learns from: the lists ``calib``, ``sheet`` and ``judge``.

``calib`` calibrates verdicts and confidence, ``sheet`` is judged by eye, ``judge`` measures edges on made views. The
lists are names only and lie in ``research/held_out.csv``. They follow from the files of the data folder and from fixed
rules, never from how many views were made:

    python -m research.teacher.held_out --data ../shared/data
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LIST = Path(__file__).resolve().parents[1] / "held_out.csv"

ROOM_FOLDERS = ("rooms-room", "rooms-tabletop", "rooms-portrait", "rooms-outdoor")
CALIB_ROOM_SCENES = range(7, 300, 50)
JUDGE_ROOM_SCENES = range(23, 300, 50)
CALIB_LEVELS = (
    "openarena-am_thornish",
    "openarena-ce1m7",
    "openarena-oa_koth1",
    "openarena-oacmpdm5",
    "openarena-suspended",
    "ufoai-cemetery",
)
JUDGE_LEVELS = (
    "openarena-aggressor",
    "openarena-delta",
    "openarena-oa_shine",
    "openarena-oacmpdm8",
    "openarena-slimefac",
    "ufoai-bridge",
)
"""Levels without a variant of another name."""

CALIB_PHOTOS = {"bsds500": 20, "ebb12": 2, "imagenet1000": 20, "kodak24": 4, "sunhays80": 7, "urban100": 7}
SHEET_PHOTOS = {"bsds500": 12, "ebb12": 1, "imagenet1000": 14, "kodak24": 3, "sunhays80": 5, "urban100": 5}
SHEET_PAIRS = 10
SHEET_FRAMES = {
    "columbia_avery3": (2, 20),
    "columbia_lawn7": (12,),
    "dslr_table": (10,),
    "handheld_sign": (4,),
    "phone_dog": (3, 18),
    "phone_scene1": (8, 40),
    "phone_scene2": (25,),
}
"""Stack of a dev place -> numbers of its frames."""


@dataclass(frozen=True)
class Row:
    """One held-out thing: ``kind`` is place, made, photo or frame."""

    use: str
    kind: str
    name: str


def scrambled(names: Iterable[str]) -> list[str]:
    """The names in an order that has nothing to do with what they name, and does not change."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())


def places(data: Path) -> list[Row]:
    """Every sixth train location of ``split.csv``, in the order of the names."""
    with (data / "split.csv").open(newline="") as file:
        train = sorted(row["place"] for row in csv.DictReader(file) if row["split"] == "train")
    return [Row("calib", "place", name) for name in train[5::6]]


def made() -> list[Row]:
    """Scenes of rooms as ``FOLDER/SCENE``, levels by their place."""
    rows = []
    for use, numbers, levels in (
        ("calib", CALIB_ROOM_SCENES, CALIB_LEVELS),
        ("judge", JUDGE_ROOM_SCENES, JUDGE_LEVELS),
    ):
        rows += [Row(use, "made", f"{folder}/R{number:06d}") for folder in ROOM_FOLDERS for number in numbers]
        rows += [Row(use, "made", f"levels/{place}") for place in levels]
    return rows


def photos(data: Path) -> list[Row]:
    """Photos of every source for calibration and for the sheet."""
    rows = []
    for source in sorted(CALIB_PHOTOS):
        names = scrambled(f"photos/{source}/{path.name}" for path in (data / "photos" / source).glob("*.jpg"))
        calib, sheet = CALIB_PHOTOS[source], SHEET_PHOTOS[source]
        rows += [Row("calib", "photo", name) for name in sorted(names[:calib])]
        rows += [Row("sheet", "photo", name) for name in sorted(names[calib : calib + sheet])]
    return rows


def frames(data: Path) -> list[Row]:
    """One file of ten pairs, near and far in turn, and ten frames of the stacks of dev places."""
    chosen = sorted(scrambled(path.name for path in (data / "pairs").iterdir() if path.is_dir())[:SHEET_PAIRS])
    rows = [
        Row("sheet", "frame", f"pairs/{name}/{sorted((data / 'pairs' / name).glob('*.jpg'))[number % 2].name}")
        for number, name in enumerate(chosen)
    ]
    for stack, numbers in SHEET_FRAMES.items():
        names = sorted((data / "captures" / "focal_stacks" / stack).glob("frame_*.jpg"))
        rows += [Row("sheet", "frame", f"captures/focal_stacks/{stack}/{names[number].name}") for number in numbers]
    return rows


def make(data: Path) -> list[Row]:
    """Every held-out thing, in the order of the file."""
    rows = places(data) + made() + photos(data) + frames(data)
    return sorted(rows, key=lambda row: (row.use, row.kind, row.name))


class HeldOut:
    """The lists as read from the file; says what may be trained on."""

    def __init__(self, path: Path = LIST) -> None:
        with path.open(newline="") as file:
            self.rows = [Row(**row) for row in csv.DictReader(file)]

    def names(self, use: str, kind: str) -> set[str]:
        return {row.name for row in self.rows if row.use == use and row.kind == kind}

    @cached_property
    def _all(self) -> set[str]:
        return {row.name for row in self.rows}

    def holds(self, name: str) -> bool:
        """Whether a place, a file relative to the data folder, ``FOLDER/SCENE`` or ``levels/PLACE`` is held out."""
        return name in self._all

    def holds_view(self, folder: str, scene: str, place: str) -> bool:
        """Whether a made view is held out, by its scene or by its place."""
        return self.holds(f"{folder}/{scene}") or self.holds(f"{folder}/{place}")

    def check(self, names: Iterable[str]) -> None:
        """Refuse to train on what is held out.

        Raises:
            ValueError: if one of the names is held out.
        """
        wrong = sorted(name for name in names if self.holds(name))
        if wrong:
            raise ValueError(f"held out, never trained on: {', '.join(wrong[:5])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    args = parser.parse_args()
    with LIST.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["use", "kind", "name"])
        writer.writerows([row.use, row.kind, row.name] for row in make(args.data))


if __name__ == "__main__":
    main()

"""Photos and made views with measured inverse depth: where they lie, how they are read, how far each is trusted.

One sample is one picture. Its truth is an inverse depth, larger is nearer, NaN where unknown, in a unit of its own:
only its order, or its values up to a scale and a shift, count.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from research.teacher.held_out import HeldOut

Trust = Literal["exact", "affine", "order"]
"""``exact``: dense, sharp at edges; ``affine``: right up to a scale and a shift; ``order``: only its order counts."""
Unit = Literal["proportional", "affine"]
"""``proportional``: in proportion to 1/z, so that ratios of depths are known; ``affine``: up to a shift as well."""
RGB = NDArray[np.uint8]
InvDepth = NDArray[np.float32]

INTEGER_DISPARITY = ("Adirondack", "Tsukuba", "Venus")
"""Scenes whose disparity has steps or facets: no gradients are taken from them."""
CONFIDENT = 128


@dataclass(frozen=True)
class Sample:
    """One picture with its truth.

    Attributes:
        kind: stereo, rgbd, multiview, stacks, or the folder of made views.
        place: what is split by.
        name: unique among all samples.
        image: the picture's file.
        truth: the truth's file.
        reader: name of the function that reads the truth.
        trust: what the truth is good for.
        unit: whether ratios of depths are known.
        offset: added to a disparity to make it proportional to 1/z.
        confidence: 8-bit map; where it is below one half the truth counts as unknown.
    """

    kind: str
    place: str
    name: str
    image: Path
    truth: Path
    reader: str
    trust: Trust
    unit: Unit
    offset: float = 0.0
    confidence: Path | None = None

    def rgb(self) -> RGB:
        """(H, W, 3) sRGB."""
        bgr = cv2.imread(str(self.image), cv2.IMREAD_COLOR)
        if bgr is None:
            raise FileNotFoundError(self.image)
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

    def inv_depth(self) -> InvDepth:
        """(H, W) inverse depth, NaN where unknown."""
        raw = cv2.imread(str(self.truth), cv2.IMREAD_UNCHANGED)
        if raw is None:
            raise FileNotFoundError(self.truth)
        values = raw.astype(np.float32)
        if values.ndim == 3:
            values = values[..., 0]
        inv_depth = READERS[self.reader](values, self.offset)
        if self.confidence is not None:
            confidence = np.asarray(cv2.imread(str(self.confidence), cv2.IMREAD_UNCHANGED))
            inv_depth = np.where(confidence < CONFIDENT, np.float32(np.nan), inv_depth)
        return inv_depth


def _made(values: InvDepth, offset: float) -> InvDepth:
    return values / np.float32(65535.0)


def _disparity(values: InvDepth, offset: float) -> InvDepth:
    return np.where(values > 0, values / np.float32(256.0) + np.float32(offset), np.float32(np.nan))


def _millimetres(values: InvDepth, offset: float) -> InvDepth:
    return np.where(values > 0, 1000.0 / np.maximum(values, 1.0), np.nan).astype(np.float32)


def _known(values: InvDepth, offset: float) -> InvDepth:
    """0 is unknown, every other value counts as it is."""
    return np.where(values > 0, values, np.float32(np.nan))


READERS: dict[str, Callable[[InvDepth, float], InvDepth]] = {
    "made": _made,
    "disparity": _disparity,
    "millimetres": _millimetres,
    "known": _known,
}


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def splits(data: Path) -> dict[str, str]:
    """Place -> train or dev."""
    return {row["place"]: row["split"] for row in _rows(data / "split.csv")}


def stereo(data: Path) -> Iterator[Sample]:
    """Middlebury and the ordinal table-tops."""
    folder = data / "depth" / "stereo"
    for row in _rows(folder / "manifest.csv"):
        files = row["files"].split(";")
        place, calibration = f"stereo/{row['scene']}", row["calibration"]
        image, truth = folder / files[0], folder / files[1]
        if row["unit"].startswith("uint8"):
            yield Sample("stereo", place, place, image, truth, "known", "order", "affine")
            continue
        trust: Trust = "affine" if row["scene"] in INTEGER_DISPARITY else "exact"
        offset = disparity_offset(calibration)
        unit: Unit = "affine" if offset is None else "proportional"
        yield Sample("stereo", place, place, image, truth, "disparity", trust, unit, offset or 0.0)


def disparity_offset(calibration: str) -> float | None:
    """What must be added to a disparity to make it proportional to 1/z; None if that is not known."""
    if match := re.search(r"3\*d\+(\d+)\)", calibration):
        return float(match[1]) / 3
    if match := re.search(r"doffs=([\d.]+) px", calibration):
        return float(match[1])
    return 0.0 if "1/d" in calibration else None


def rgbd(data: Path) -> Iterator[Sample]:
    """Frames of depth cameras."""
    folder = data / "depth" / "rgbd"
    for row in _rows(folder / "manifest.csv"):
        metric = row["depth_unit"] == "mm"
        yield Sample(
            "rgbd",
            f"rgbd/{row['source']}",
            f"rgbd/{row['rgb']}",
            folder / row["rgb"],
            folder / row["depth"],
            "millimetres" if metric else "known",
            "affine" if metric else "order",
            "proportional" if metric else "affine",
        )


def multiview(data: Path) -> Iterator[Sample]:
    """Photos with sparse points of structure from motion; the points are in proportion to 1/z."""
    folder = data / "depth" / "multiview"
    for row in _rows(folder / "manifest.csv"):
        name, image, truth = f"multiview/{row['rgb']}", folder / row["rgb"], folder / row["depth"]
        yield Sample("multiview", row["place"], name, image, truth, "known", "affine", "proportional")


def made(views: Path, folder: str) -> Iterator[Sample]:
    """Made views of one folder; a place is a scene of rooms or a level."""
    for row in _rows(views / folder / "index.csv"):
        path = views / folder / row["id"]
        image, truth = path.with_suffix(".jpg"), path.with_suffix(".png")
        yield Sample(
            folder, f"{folder}/{row['place']}", f"{folder}/{row['id']}", image, truth, "made", "exact", "proportional"
        )


def stacks(scenes: Path) -> Iterator[Sample]:
    """Fused sharp images of focal stacks and light fields, as built scenes (``mddnet build DATA -o SCENES``)."""
    for path in sorted(scenes.glob("*/*/scene.json")):
        facts, folder = json.loads(path.read_text()), path.parent
        yield Sample(
            "stacks",
            facts["place"],
            f"stacks/{folder.name}",
            folder / facts["sharp"],
            folder / facts["inv_depth"],
            "known",
            "affine",
            "affine",
            confidence=folder / facts["confidence"],
        )


def real(data: Path, scenes: Path, split: str, held_out: HeldOut) -> list[Sample]:
    """Samples of photos of one side of the split; of the train side those that are not held out."""
    side = splits(data)
    every = [*stereo(data), *rgbd(data), *multiview(data), *stacks(scenes)]
    chosen = [sample for sample in every if side.get(sample.place) == split]
    return chosen if split == "dev" else [sample for sample in chosen if not held_out.holds(sample.place)]


def made_folders(views: Path) -> list[str]:
    """The folders that hold made views."""
    return sorted(path.parent.name for path in views.glob("*/index.csv"))


def made_views(views: Path, held_out: HeldOut, use: str | None = None) -> list[Sample]:
    """Made views that may be trained on, or those held out for a use."""
    chosen = []
    for folder in made_folders(views):
        for sample in made(views, folder):
            scene = Path(sample.name).name.rsplit("_", 1)[0]
            names = (f"{folder}/{scene}", sample.place)
            if use is None:
                keep = not any(held_out.holds(name) for name in names)
            else:
                keep = any(name in held_out.names(use, "made") for name in names)
            if keep and sample.image.exists() and sample.truth.exists():
                chosen.append(sample)
    return chosen


def pseudo(folder: Path, held_out: HeldOut) -> list[Sample]:
    """Photos with pseudo-labels, as ``research.teacher.pseudo`` writes them."""
    found = []
    for row in _rows(folder / "manifest.csv"):
        name = f"photos/{row['rgb']}"
        if not held_out.holds(name):
            image, truth = folder / row["rgb"], folder / row["depth"]
            found.append(Sample("photos", name, name, image, truth, "known", "affine", "affine"))
    return found

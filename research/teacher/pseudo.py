"""Pseudo-labels: the teacher's inverse depth of photos without depth, as captures that ``mddnet build`` reads.

    python -m research.teacher.pseudo --photos ../shared/data/photos --out work/student/pseudo tuned.safetensors@392x518

Writes ``OUT/SOURCE/NAME`` (the photo), ``OUT/SOURCE/depth/NAME.png`` and ``OUT/manifest.csv``. Held-out photos get no
label. Interrupt it at any time; run again, it goes on with what is missing.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from research.teacher.held_out import HeldOut
from research.teacher.predict import Map, Predictor, parse

from mddnet.captures.rgbd import PSEUDO_COLUMNS, PSEUDO_UNIT
from mddnet.io.atomic import write_csv

RANGE = 8.0
"""Standardised inverse depth is kept from minus to plus this many mean absolute deviations."""


def coded(standardised: Map) -> NDArray[np.uint16]:
    """1 to 65535 for -RANGE to RANGE; 0 would be unknown."""
    share = (np.clip(standardised, -RANGE, RANGE) + RANGE) / (2 * RANGE)
    return (1 + np.rint(share * 65534)).astype(np.uint16)


def photo_rows(photos: Path, held_out: HeldOut) -> list[dict[str, str]]:
    """Rows (file, source, licence) of the manifest of a folder of photos that may be learnt from."""
    with (photos / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = [{**row, "file": row["file"].removeprefix("photos/")} for row in csv.DictReader(stream)]
    return [row for row in rows if not held_out.holds(f"photos/{row['file']}")]


def write_label(photo: Path, out: Path, row: Mapping[str, str], predictor: Predictor) -> dict[str, str]:
    """Label one photo, unless that is done; its row of the manifest."""
    name = Path(row["file"])
    image, depth = out / name, out / name.parent / "depth" / f"{name.stem}.png"
    if not depth.exists():
        depth.parent.mkdir(parents=True, exist_ok=True)
        bgr = cv2.imread(str(photo), cv2.IMREAD_COLOR)
        if bgr is None:
            raise FileNotFoundError(photo)
        part = depth.with_suffix(".part.png")
        shutil.copyfile(photo, image)
        cv2.imwrite(str(part), coded(predictor(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))))
        part.replace(depth)
    return {
        "source": row["source"],
        "rgb": str(name),
        "depth": str(depth.relative_to(out)),
        "depth_unit": PSEUDO_UNIT,
        "licence": row["licence"],
        "note": "pseudo-label of the teacher",
        "place": f"photos/{row['source']}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Pseudo-labels of photos by a teacher.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="twice as fast on processors with AMX")
    parser.add_argument("teacher", help="see research.teacher.predict.parse")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    predictor = parse(args.teacher, args.bf16)
    wanted = photo_rows(args.photos, HeldOut())
    began, rows = time.monotonic(), []
    for row in wanted:
        rows.append(write_label(args.photos / row["file"], args.out, row, predictor))
        if len(rows) % 50 == 0:
            print(f"{len(rows)} of {len(wanted)}, {(time.monotonic() - began) / len(rows):.2f} s each", flush=True)
    write_csv(args.out / "manifest.csv", PSEUDO_COLUMNS, rows)


if __name__ == "__main__":
    main()

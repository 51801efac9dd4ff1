"""The teacher's labels of the calib photos, as captures that ``mddnet build`` reads.

    python -m research.verdict.label --photos ../shared/data/photos --out work/verdict/pseudo \\
        TEACHER.safetensors@392x518

Neither teacher nor student has seen these photos. Interrupt it at any time; run again, it goes on with what is missing.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import torch
from research.teacher.held_out import HeldOut
from research.teacher.predict import parse
from research.teacher.pseudo import write_label

from mddnet.captures.rgbd import PSEUDO_COLUMNS
from mddnet.io.atomic import write_csv


def main() -> None:
    parser = argparse.ArgumentParser(description="Labels of the calib photos by a teacher.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("teacher", help="see research.teacher.predict.parse")
    args = parser.parse_args()
    torch.set_num_threads(1)
    predictor = parse(args.teacher)
    calib = HeldOut().names("calib", "photo")
    with (args.photos / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = [{**row, "file": row["file"].removeprefix("photos/")} for row in csv.DictReader(stream)]
    wanted = [row for row in rows if f"photos/{row['file']}" in calib]
    labels = [write_label(args.photos / row["file"], args.out, row, predictor) for row in wanted]
    write_csv(args.out / "manifest.csv", PSEUDO_COLUMNS, labels)
    print(f"{len(labels)} photos")


if __name__ == "__main__":
    main()

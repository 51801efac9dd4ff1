"""A preview sheet: photos and their relative inverse depth (near is bright), to be judged by eye.

python -m research.teacher.sheet --data ../shared/data --out sheet.png --use sheet PREDICTOR [PREDICTOR ...]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from research.teacher.held_out import HeldOut
from research.teacher.predict import Map, parse

TILE = (180, 240)
COLUMNS = 3
LONG_SIDE = 640


def held_photos(use: str) -> list[str]:
    """Names of the held-out photos and frames of a use."""
    held_out = HeldOut()
    return sorted(held_out.names(use, "photo") | held_out.names(use, "frame"))


def read_small(path: Path) -> NDArray[np.uint8]:
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise FileNotFoundError(path)
    shrink = min(1.0, LONG_SIDE / max(bgr.shape[:2]))
    size = (round(bgr.shape[1] * shrink), round(bgr.shape[0] * shrink))
    return cv2.cvtColor(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


def coloured(inv_depth: Map) -> NDArray[np.uint8]:
    low, high = np.percentile(inv_depth, (1, 99))
    grey = np.clip((inv_depth - low) / max(float(high - low), 1e-9), 0, 1)
    return cv2.applyColorMap((grey * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)


def tile(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, made to fit, on black."""
    shrink = min(TILE[0] / picture.shape[0], TILE[1] / picture.shape[1])
    size = (max(1, int(picture.shape[1] * shrink)), max(1, int(picture.shape[0] * shrink)))
    made = np.zeros((*TILE, 3), np.uint8)
    made[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="A sheet of photos and their predicted depth.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--use", default="sheet", choices=("sheet", "calib"))
    parser.add_argument("--from", dest="first", type=int, default=0, help="number of the first photo")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("predictors", nargs="+", help="see research.teacher.predict.parse")
    parser.add_argument("--bf16", action="store_true", help="twice as fast on processors with AMX")
    args = parser.parse_args()
    predictors = [parse(text, args.bf16) for text in args.predictors]
    groups = []
    for number, name in enumerate(held_photos(args.use)[args.first : args.first + args.count]):
        rgb = read_small(args.data / name)
        tiles = [tile(np.ascontiguousarray(rgb[..., ::-1]))] + [tile(coloured(p(rgb))) for p in predictors]
        cv2.putText(tiles[0], str(args.first + number), (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
        groups.append(np.concatenate(tiles, axis=1))
    while len(groups) % COLUMNS:
        groups.append(np.zeros_like(groups[0]))
    rows = [np.concatenate(groups[start : start + COLUMNS], 1) for start in range(0, len(groups), COLUMNS)]
    cv2.imwrite(str(args.out), np.concatenate(rows, 0))


if __name__ == "__main__":
    main()

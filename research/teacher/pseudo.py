"""Pseudo-labels: what a teacher says of photos without depth, as pictures of 16 bits.

    python -m research.teacher.pseudo --data ../shared/data --out work/pseudo tuned.safetensors@392x518

Photos that are held out get none. Interrupt it at any time; run again, it goes on with what is missing.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from research.teacher.held_out import HeldOut
from research.teacher.predict import Map, parse

RANGE = 8.0
"""Standardised inverse depth is kept from minus to plus this many mean absolute deviations."""


def coded(standardised: Map) -> NDArray[np.uint16]:
    """1 to 65535 for -RANGE to RANGE; 0 would be unknown."""
    share = (np.clip(standardised, -RANGE, RANGE) + RANGE) / (2 * RANGE)
    return (1 + np.rint(share * 65534)).astype(np.uint16)


def photos(data: Path, held_out: HeldOut) -> list[str]:
    """Names of the photos that may be learnt from."""
    names = sorted(f"photos/{path.parent.name}/{path.name}" for path in (data / "photos").glob("*/*.jpg"))
    return [name for name in names if not held_out.holds(name)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Pseudo-labels of photos by a teacher.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("teacher", help="see research.teacher.predict.parse")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    predictor = parse(args.teacher)
    names = photos(args.data, HeldOut())
    began, done = time.monotonic(), 0
    for name in names:
        target = args.out / Path(name).relative_to("photos").with_suffix(".png")
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        bgr = cv2.imread(str(args.data / name), cv2.IMREAD_COLOR)
        if bgr is None:
            raise FileNotFoundError(name)
        part = target.with_suffix(".part.png")
        cv2.imwrite(str(part), coded(predictor(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))))
        part.replace(target)
        done += 1
        if done % 50 == 0:
            print(f"{done} of {len(names)}, {(time.monotonic() - began) / done:.2f} s each", flush=True)


if __name__ == "__main__":
    main()

"""The table of docs/results/stack.md: `mddnet stack` on real focal stacks, next to enfuse.

    python -m benchmarks.stack_table --data ../shared/data --work work/stack -o docs/results/stack.md

Each stack is read from its photos alone, under random names, without capture.json:
the table says whether order and direction were found. Depth is compared with the authors' index map, on textured
pixels. enfuse, if installed, fuses the frames that mddnet aligned. Results are cached in the work folder.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks.captures_table import FUSERS, contrast_sharpness, laplacian_sharpness
from benchmarks.table_page import show_table
from PIL import Image

from mddnet.captures.focal_stack import FocalStack, read_focal_stack
from mddnet.errors import MddnetError
from mddnet.focus_stack.result import StackResult
from mddnet.focus_stack.run import stack
from mddnet.io.atomic import atomic_write_text
from mddnet.metrics import texture_mask
from mddnet.types import UInt8Array


def measured(capture: FocalStack) -> dict[str, Any]:
    """Results of one stack."""
    files = list(capture.frame_files)
    with tempfile.TemporaryDirectory() as scratch:
        # new names, so that neither names nor times tell the order
        order = np.random.default_rng(0).permutation(len(files))
        shuffled = [Path(scratch) / f"{k:03d}{files[i].suffix}" for k, i in enumerate(order)]
        for k, i in enumerate(order):
            shutil.copyfile(files[i], shuffled[k])
        started = time.process_time()
        result = stack(shuffled, threads=1, scratch=scratch)
        seconds = time.process_time() - started
        true = [int(order[int(name.split(".")[0])]) for name in result.names]
        near_to_far = None if capture.focus.direction == "unknown" else capture.focus.direction == "near_to_far"
        rising = float(np.corrcoef(true, np.arange(len(true)))[0, 1])
        return {
            "frames": len(files),
            "used": len(result.names),
            "megapixels": result.inv_depth.size / 1e6,
            "seconds": seconds,
            "order": abs(rising),
            "direction": None if near_to_far is None else (rising > 0) == near_to_far,
            "error_fraction": result.measures["rerender_error_fraction"],
            "r": agreement(capture, result, rising > 0),
            "mddnet": sharpness(result.all_in_focus),
            "enfuse": enfused(result),
        }


def sharpness(image: UInt8Array) -> dict[str, float]:
    """Both measures of sharpness of a fused image."""
    return {"laplacian": laplacian_sharpness(image), "contrast": contrast_sharpness(image)}


def agreement(capture: FocalStack, result: StackResult, rising: bool) -> float | None:
    """Correlation of depth with the authors' index map on textured pixels."""
    index_map = capture.read_index_map()
    if index_map is None:
        return None
    (top, left), (height, width) = result.origin_px, result.size
    there = index_map[top : top + height, left : left + width]
    use = texture_mask(result.all_in_focus) & np.isfinite(there)
    r = float(np.corrcoef(result.inv_depth[use], there[use])[0, 1])
    return -r if rising else r


def enfused(result: StackResult) -> dict[str, float] | None:
    """Sharpness and processor time of enfuse, for the aligned frames."""
    path = shutil.which("enfuse")
    if path is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        names = []
        for i, frame in enumerate(result.aligned):
            names.append(str(Path(scratch) / f"{i:03d}.png"))
            Image.fromarray(np.asarray(frame)).save(names[-1], compress_level=1)
        target = Path(scratch) / "fused.png"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        flags = [flag.format(out=target) for flag in FUSERS["enfuse"]]
        subprocess.run([path, *flags, *names], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"seconds": seconds, **sharpness(np.asarray(Image.open(target).convert("RGB")))}


def table(results: dict[str, dict[str, Any]]) -> str:
    """The table in Markdown."""
    lines = [
        "| stack | frames | order found, r | direction | r with index map | error | Laplacian, enfuse = 1 "
        "| contrast, enfuse = 1 | CPU s | enfuse, CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in results.items():
        if "error" in row:
            lines.append(f"| {name} | {row['error']} | | | | | | | | |")
            continue
        direction = {None: "unknown", True: "right", False: "wrong"}[row["direction"]]
        r = "" if row["r"] is None else f"{row['r']:.3f}"
        other, ratios, time_of_other = row["enfuse"], ["", ""], ""
        if other is not None:
            ratios = [f"{row['mddnet'][k] / other[k]:.3f}" for k in ("laplacian", "contrast")]
            time_of_other = f"{other['seconds']:.1f}"
        lines.append(
            f"| {name} | {row['used']} of {row['frames']} | {row['order']:.3f} | {direction} | {r} "
            f"| {row['error_fraction']:.2f} | {ratios[0]} | {ratios[1]} | {row['seconds']:.1f} | {time_of_other} |"
        )
    rs = [row["r"] for row in results.values() if row.get("r") is not None]
    both = [row for row in results.values() if row.get("enfuse")]
    lines.append("")
    if rs:
        lines.append(f"Median r with the index map over {len(rs)} stacks: {np.median(rs):.3f}.")
    if both:
        medians = [np.median([row["mddnet"][k] / row["enfuse"][k] for row in both]) for k in ("laplacian", "contrast")]
        lines.append(
            f"Median sharpness over {len(both)} stacks, enfuse = 1: Laplacian {medians[0]:.3f}, contrast "
            f"{medians[1]:.3f}."
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run, print, and write the table to the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with captures/focal_stacks")
    parser.add_argument("--work", type=Path, default=Path("work/stack"), help="folder for results")
    parser.add_argument("--only", default="", help="only stacks whose names contain one of these, separated by commas")
    parser.add_argument("-o", "--out", type=Path, help="page whose table is replaced")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    for folder in sorted((options.data / "captures/focal_stacks").iterdir()):
        path = options.work / f"{folder.name}.json"
        if not path.is_file() and any(part in folder.name for part in options.only.split(",")):
            print(folder.name, file=sys.stderr, flush=True)
            try:
                row = measured(read_focal_stack(folder))
            except MddnetError as error:
                row = {"error": str(error)}
            atomic_write_text(path, json.dumps(row, indent=1))
        if path.is_file():
            results[folder.name] = json.loads(path.read_text())
    show_table(table(results), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

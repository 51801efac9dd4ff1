"""The table of docs/results/captures.md: quality of scenes from real focal stacks.

    python -m benchmarks.captures_table --data ../shared/data --scenes work/scenes --work work/captures -o PAGE

For each Columbia and phone stack: the re-rendering error of frames that the kappa fit did not use, the agreement of the
depth with the authors' index map, and a comparison of the fused image with other programs, if installed
(`focus-stack`, `enfuse`). Depth and fused image are those of the built scene, if there is one. Results are cached in
the work folder, one JSON file per stack and stage.
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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks.held_out_frames import predict_held_out
from benchmarks.table_page import show_table
from PIL import Image

from mddnet.captures.focal_stack import FocalStack, FramesOnDisk, read_focal_stack
from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.errors import MddnetError
from mddnet.io.atomic import atomic_write_text
from mddnet.scenes.all_in_focus import fuse_parts
from mddnet.scenes.focal_stack_scene import (
    LINEAR_OF_BYTE,
    Sweep,
    aligned_frames,
    build_focal_stack_scene,
    exposure_gain,
    fit_sweep,
    full_size_sweep,
)
from mddnet.scenes.sharpness import modified_laplacian
from mddnet.scenes.store import read_image, read_scene
from mddnet.types import Float32Array, UInt8Array

PREFIXES = ("columbia_", "phone_")
FUSERS: dict[str, list[str]] = {
    # frames are already aligned, so that all programs fuse the same input
    "focus-stack": ["--no-opencl", "--no-align", "--output={out}"],
    "enfuse": ["--exposure-weight=0", "--saturation-weight=0", "--contrast-weight=1", "--hard-mask", "--output={out}"],
}


def laplacian_sharpness(image: UInt8Array) -> float:
    """Mean modified Laplacian of linear light, the focus measure of mddnet."""
    return float(modified_laplacian(linear_from_srgb8(image)).mean())


def contrast_sharpness(image: UInt8Array) -> float:
    """Mean standard deviation of grey values in windows of 5 x 5 pixels, the focus measure of enfuse."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean, square = cv2.blur(grey, (5, 5)), cv2.blur(grey * grey, (5, 5))
    return float(np.sqrt(np.maximum(square - mean * mean, 0)).mean())


def held(stack: FocalStack) -> dict[str, Any]:
    """Stage 1: prediction of held-out frames."""
    frames = FramesOnDisk(stack)
    values = None if stack.focus_values is None else np.array(stack.focus_values)
    found = predict_held_out(aligned_frames(stack, frames).frames, values)
    return {
        "frames": len(frames),
        "left_out": len(found.frames),
        "error_fraction": found.error_fraction,
        "sure_error_fraction": found.sure_error_fraction,
        "calibrated_error_fraction": found.sweep.fit.chosen.error_fraction,
    }


def agreement(stack: FocalStack, scenes: Path) -> dict[str, Any]:
    """Stage 2: correlation of the depth with the authors' index map, on textured pixels."""
    if stack.index_map is None:
        return {"r": None}
    folder = scenes / "focal_stacks" / stack.scene
    if (folder / "scene.json").is_file():
        return {"r": read_scene(folder).measures["r_with_index_map"]}
    with tempfile.TemporaryDirectory() as scratch:
        return {"r": build_focal_stack_scene(stack.folder, Path(scratch)).measures["r_with_index_map"]}


def fusion(stack: FocalStack, scenes: Path) -> dict[str, Any]:
    """Stage 3: sharpness and processor time of the fused images."""
    aligned = aligned_frames(stack, FramesOnDisk(stack)).frames
    values = None if stack.focus_values is None else np.array(stack.focus_values)
    per = aligned[0].shape[0] * aligned[0].shape[1] / 1e6 * len(aligned)
    folder = scenes / "focal_stacks" / stack.scene
    started = time.process_time()
    sweep = full_size_sweep(aligned, fit_sweep(aligned, values))
    seconds, sharp = time.process_time() - started, sweep.sharp
    alone = _fusion_alone(aligned, sweep)
    if (folder / "scene.json").is_file():
        there = read_image(folder / "sharp.jpg")
        sharp = there if there.shape == sharp.shape else sharp
    out: dict[str, Any] = {"mddnet": {"seconds": seconds / per, "alone": alone / per, **_sharpness(sharp)}}
    with tempfile.TemporaryDirectory() as scratch:
        names = []
        for i, frame in enumerate(aligned):
            names.append(str(Path(scratch) / f"{i:03d}.png"))
            Image.fromarray(frame).save(names[-1], compress_level=1)
        for program, flags in FUSERS.items():
            path = shutil.which(program)
            if path is None:
                continue
            target = Path(scratch) / f"{program}.png"
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            run = subprocess.run(
                [path, *(flag.format(out=target) for flag in flags), *names], capture_output=True, text=True
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if run.returncode or not target.is_file():
                out[program] = {"error": (run.stderr or run.stdout).strip().splitlines()[-1:]}
                continue
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            out[program] = {"seconds": used / per, **_sharpness(read_image(target))}
    return out


def _fusion_alone(aligned: Sequence[UInt8Array], sweep: Sweep) -> float:
    """Processor time of fusion with known depth."""
    filled = np.nan_to_num(sweep.depth.index, nan=float(np.nanmedian(sweep.depth.index)))
    gains = [exposure_gain(frame, aligned) for frame in aligned]

    def linear_part(i: int, rows: slice, columns: slice) -> Float32Array:
        return np.asarray(cv2.LUT(aligned[i][rows, columns], LINEAR_OF_BYTE * gains[i]), dtype=np.float32)

    started = time.process_time()
    srgb8_from_linear(fuse_parts(linear_part, len(aligned), filled))
    return time.process_time() - started


def _sharpness(image: UInt8Array) -> dict[str, float]:
    return {"laplacian": laplacian_sharpness(image), "contrast": contrast_sharpness(image)}


def run(data: Path, scenes: Path, work: Path, only: str, stages: list[str]) -> dict[str, dict[str, Any]]:
    """Results by stack and stage, without stages that were not run."""
    cv2.setNumThreads(1)
    results: dict[str, dict[str, Any]] = {}
    folders = [f for f in sorted((data / "captures/focal_stacks").iterdir()) if f.name.startswith(PREFIXES)]
    work.mkdir(parents=True, exist_ok=True)
    for number, folder in enumerate(folders, 1):
        results[folder.name] = {}
        makers: dict[str, Callable[[], dict[str, Any]]] = {
            "held": lambda f=folder: held(read_focal_stack(f)),
            "agreement": lambda f=folder: agreement(read_focal_stack(f), scenes),
            "fusion": lambda f=folder: fusion(read_focal_stack(f), scenes),
        }
        for stage, make in makers.items():
            path = work / f"{folder.name}.{stage}.json"
            if not path.is_file() and stage in stages and only in folder.name:
                print(f"{number} of {len(folders)}: {folder.name}, {stage}", file=sys.stderr, flush=True)
                try:
                    result = make()
                except MddnetError as error:
                    result = {"error": str(error)}
                atomic_write_text(path, json.dumps(result, indent=1))
            if path.is_file():
                results[folder.name][stage] = json.loads(path.read_text())
    return results


def table(results: dict[str, dict[str, Any]]) -> str:
    """The tables in Markdown."""
    lines = ["| stack | frames | held out | error, all pixels | error, confident pixels | frames used | r |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, stages in results.items():
        h, a = stages.get("held", {}), stages.get("agreement", {})
        if "error" in h:
            lines.append(f"| {name} | {h['error']} | | | | | |")
            continue
        keys = ("frames", "left_out", "error_fraction", "sure_error_fraction", "calibrated_error_fraction")
        cells = [_number(h.get(k)) for k in keys]
        lines.append(f"| {name} | {' | '.join(cells)} | {_number(a.get('r'))} |")
    columbia = [stages for name, stages in results.items() if name.startswith("columbia_")]
    found = [s["held"] for s in columbia if "error_fraction" in s.get("held", {})]
    rs = [s["agreement"]["r"] for s in columbia if s.get("agreement", {}).get("r") is not None]
    lines.append("")
    if found:
        every, sure = (np.median([h[k] for h in found]) for k in ("error_fraction", "sure_error_fraction"))
        lines.append(
            f"Median over {len(found)} Columbia stacks: error {every:.3f} (all pixels), {sure:.3f} (confident ones)."
        )
    if rs:
        lines.append(f"Median over {len(rs)} Columbia stacks: r {np.median(rs):.3f}.")
    fused = {name: stages["fusion"] for name, stages in results.items() if "fusion" in stages}
    if fused:
        others = sorted({program for entry in fused.values() for program in entry if program != "mddnet"})
        lines += ["", "| stack | program | Laplacian, mddnet = 1 | contrast, mddnet = 1 | CPU s per MP and frame |"]
        lines.append("|---|---|---|---|---|")
        for name, entry in fused.items():
            ours = entry["mddnet"]
            lines.append(f"| {name} | mddnet, including depth | 1 | 1 | {ours['seconds']:.2f} |")
            lines.append(f"| {name} | mddnet, with known depth | 1 | 1 | {ours['alone']:.2f} |")
            for program in others:
                other = entry.get(program, {})
                if "seconds" in other:
                    ratios = [f"{other[k] / ours[k]:.3f}" for k in ("laplacian", "contrast")]
                    lines.append(f"| {name} | {program} | {' | '.join(ratios)} | {other['seconds']:.2f} |")
        missing = [program for program in FUSERS if program not in others]
        if missing:
            lines += ["", f"Not installed and not measured: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def _number(value: float | int | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"


def main() -> int:
    """Run, print, and write the tables to the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with captures/focal_stacks")
    parser.add_argument("--scenes", type=Path, default=Path("work/scenes"), help="scenes written by mddnet build")
    parser.add_argument("--work", type=Path, default=Path("work/captures"), help="folder for results")
    parser.add_argument("--only", default="", help="only stacks whose names contain this")
    parser.add_argument("--stages", default="held,agreement,fusion", help="comma-separated: held, agreement, fusion")
    parser.add_argument("-o", "--out", type=Path, help="page whose tables are replaced")
    options = parser.parse_args()
    if not (options.data / "captures/focal_stacks").is_dir():
        print(f"{options.data}: no captures/focal_stacks in it; give another folder with --data", file=sys.stderr)
        return 1
    for program in FUSERS:
        if shutil.which(program) is None:
            print(f"{program} is not installed: its column stays empty", file=sys.stderr)
    results = run(options.data, options.scenes, options.work, options.only, options.stages.split(","))
    show_table(table(results), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

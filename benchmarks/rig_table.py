"""The table of docs/results/rig.md: the rig's builder measured on the simulator, on measured shapes.

    python -m benchmarks.rig_table --data ../shared/data --work work/rig -o docs/results/rig.md

Every capture is simulated, built by ``mddnet.scenes.rig_scene`` and compared with the truth. Results are cached in the
work folder, one JSON file per capture.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks.table_page import show_table
from numpy.typing import NDArray
from tests.support.rig_simulator.rig import Settings, Truth, capture
from tests.support.rig_simulator.scene import Scene, made_scene, measured_scene

from mddnet.captures.rgbd import list_rgbd
from mddnet.captures.stereo import list_stereo
from mddnet.color import linear_from_srgb8
from mddnet.io.atomic import atomic_write_text
from mddnet.optics import signed_defocus_px
from mddnet.scenes.rig_scene import build_rig_scene
from mddnet.scenes.store import read_inv_depth

HEIGHT, WIDTH = 176, 224
NEAR_MM, FAR_MM = 750.0, 1150.0
FULL = Settings(pixel_mm=0.0379, frames=20, periods=(1, 6, 36), steps=12)
PAPER = replace(FULL, steps=4)
STEREO = ("Aloe", "Dolls", "Moebius", "Reindeer", "Motorcycle", "Adirondack", "Art", "Books", "Laundry")
RGBD = ("cup_table", "iphone_lidar_desk", "aims_lab")
MOST_STEREO = 4


@dataclass(frozen=True, slots=True)
class Row:
    """Results of one capture.

    Attributes:
        name: name of the capture.
        shape: origin of shape and texture.
        known_share: share of the image with depth.
        depth_rmse_share: root mean square relative error of depth.
        depth_worst_share: largest relative error of depth.
        aperture_error_share: relative error of A.
        aperture_interval_share: relative half width of the 95 % interval of A.
        offset_error_mm: error of e.
        offset_interval_mm: half width of the 95 % interval of e.
        defocus_mae_px: mean absolute error of the defocus maps of all frames.
        defocus_range_px: largest defocus in them.
        seconds: duration of the build.
    """

    name: str
    shape: str
    known_share: float
    depth_rmse_share: float
    depth_worst_share: float
    aperture_error_share: float
    aperture_interval_share: float
    offset_error_mm: float
    offset_interval_mm: float
    defocus_mae_px: float
    defocus_range_px: float
    seconds: float


def scenes(data: Path) -> dict[str, tuple[str, Callable[[], Scene]]]:
    """Origin and constructor of each scene, by name."""
    found: dict[str, tuple[str, Callable[[], Scene]]] = {}

    def scene_from(inv_depth: NDArray[np.floating], pixels: NDArray[np.uint8], seed: int) -> Scene:
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.where(inv_depth > 0, 1.0 / inv_depth, np.nan)
        light = linear_from_srgb8(pixels).mean(axis=2)
        return measured_scene(depth, light, HEIGHT, WIDTH, NEAR_MM, FAR_MM, seed)

    stereo = [s for s in list_stereo(data / "depth/stereo") if s.unit == "1/m"]
    chosen = [s for name in STEREO for s in stereo if name.lower() in s.name.lower()][:MOST_STEREO]
    for k, scene in enumerate(chosen):
        name = f"stereo_{scene.name.split('/')[-1].lower()}"
        found[name] = (
            f"Middlebury, {scene.name}",
            lambda s=scene, k=k: scene_from(s.read_inv_depth(), s.read_rgb(), k),
        )
    frames = list_rgbd(data / "depth/rgbd")
    for k, source in enumerate(RGBD):
        of_source = [f for f in frames if source in str(f.image)]
        if of_source:
            frame = of_source[len(of_source) // 2]
            found[f"rgbd_{source}"] = (
                f"RGB-D, {source}",
                lambda f=frame, k=k: scene_from(f.read_inv_depth(), f.read_rgb(), 10 + k),
            )
    return found


def measure(name: str, shape: str, scene: Scene, settings: Settings, work: Path, seed: int, noise: float) -> Row:
    """Simulate, build, compare."""
    folder = work / "captures" / name
    shutil.rmtree(folder, ignore_errors=True)
    truth = capture(scene, folder, settings, seed, noise=noise)
    started = time.monotonic()
    record = build_rig_scene(folder, work / "scenes")
    seconds = time.monotonic() - started
    u = read_inv_depth(work / "scenes" / name / record.inv_depth)
    inner = _cut(truth, u.shape)
    depth = truth.depth_mm[inner]
    known = np.isfinite(u)
    relative = (1000.0 / u / depth - 1)[known]
    errors, largest = [], 0.0
    for i, frame in enumerate(record.frames):
        true = np.abs(truth.signed_defocus_px(i)[inner][known])
        errors.append(np.abs(np.abs(signed_defocus_px(u[known], frame.u_focus, frame.kappa_px)) - true).mean())
        largest = max(largest, float(true.max()))
    measures = record.measures
    shutil.rmtree(folder)
    return Row(
        name,
        shape,
        float(known.mean()),
        float(np.sqrt(np.mean(relative**2))),
        float(np.abs(relative).max()),
        measures["aperture_px"] / truth.aperture_px - 1,
        measures["aperture_error_px"] / measures["aperture_px"],
        measures["offset_mm"] - truth.offset_mm,
        measures["offset_error_mm"],
        float(np.mean(errors)),
        largest,
        seconds,
    )


def _cut(truth: Truth, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The crop of the truth that matches a scene, which is central like the principal point."""
    top, left = ((full - part) // 2 for full, part in zip(truth.depth_mm.shape, shape, strict=True))
    return slice(top, top + shape[0]), slice(left, left + shape[1])


def jobs(data: Path) -> list[tuple[str, str, Callable[[], Scene], Settings, float]]:
    """All captures of the table."""
    listed = scenes(data) if data.is_dir() else {}
    out = [(name, shape, make, FULL, 0.01) for name, (shape, make) in listed.items()]
    first = next(iter(listed.items()), ("synthetic", ("synthetic", lambda: made_scene(HEIGHT, WIDTH, NEAR_MM, FAR_MM))))
    name, (shape, make) = first
    variants: dict[str, tuple[str, Settings, float]] = {
        "4_steps": ("3 x 4 images, as in the paper", PAPER, 0.01),
        "heterodyne": ("periods 13, 15, 16; 8 steps", replace(FULL, periods=(13, 15, 16), steps=8), 0.01),
        "8_frames": ("8 frames instead of 20", replace(FULL, frames=8), 0.01),
        "noise": ("noise of 2 %", FULL, 0.02),
    }
    for label, (words, settings, noise) in variants.items():
        out.append((f"{name}_{label}", f"{shape}; {words}", make, settings, noise))
    return out


def run(data: Path, work: Path, only: str = "") -> tuple[list[Row], dict[str, str]]:
    """All rows, and the reasons of rejected captures."""
    cv2.setNumThreads(1)
    rows, rejected = [], {}
    todo = [(seed, *job) for seed, job in enumerate(jobs(data)) if only in job[0]]
    started = time.monotonic()
    for number, (seed, name, shape, make, settings, noise) in enumerate(todo, 1):
        path = work / f"{name}.json"
        if not path.is_file():
            print(f"{number} of {len(todo)}: {name}, {time.monotonic() - started:.0f} s so far", file=sys.stderr)
            work.mkdir(parents=True, exist_ok=True)
            try:
                result: dict[str, Any] = asdict(measure(name, shape, make(), settings, work, seed, noise))
            except Exception as error:
                result = {"name": name, "error": f"{type(error).__name__}: {error}"}
            atomic_write_text(path, json.dumps(result, indent=1))
        result = json.loads(path.read_text())
        if "error" in result:
            rejected[name] = result["error"]
        else:
            rows.append(Row(**result))
    return rows, rejected


def table(rows: list[Row], rejected: dict[str, str]) -> str:
    """The table in Markdown."""
    lines = [
        "| capture | depth known | depth RMSE | worst | A | e, mm | defocus MAE, px | of up to, px |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.shape} | {row.known_share:.0%} | {row.depth_rmse_share:.3%} | {row.depth_worst_share:.2%} "
            f"| {row.aperture_error_share:+.2%} ± {row.aperture_interval_share:.2%} "
            f"| {row.offset_error_mm:+.4f} ± {row.offset_interval_mm:.4f} | {row.defocus_mae_px:.3f} "
            f"| {row.defocus_range_px:.0f} |"
        )
    inside_a = sum(abs(r.aperture_error_share) <= r.aperture_interval_share for r in rows)
    inside_e = sum(abs(r.offset_error_mm) <= r.offset_interval_mm for r in rows)
    lines += ["", f"The 95 % interval contains the truth in {inside_a} (A) and {inside_e} (e) of {len(rows)} captures."]
    lines += [f"\n{name}: {reason}" for name, reason in rejected.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run, print, and write the table to the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of measured shapes")
    parser.add_argument("--work", type=Path, default=Path("work/rig"), help="folder for captures and results")
    parser.add_argument("-o", "--out", type=Path, help="page whose table is replaced")
    parser.add_argument("--only", default="", help="only captures whose names contain this")
    options = parser.parse_args()
    rows, rejected = run(options.data, options.work, options.only)
    show_table(table(rows, rejected), options.out)
    return 1 if rejected else 0


if __name__ == "__main__":
    sys.exit(main())

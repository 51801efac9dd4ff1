"""Builder of scenes from multi-view captures: a sharp photo whose depth is known at sparse points."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mddnet.captures.rgbd import RgbdFrame
from mddnet.errors import RejectedScene
from mddnet.scenes.store import scene_name, scene_record, write_image, write_inv_depth, write_scene_json
from mddnet.types import FrameRecord, SceneRecord

LEAST_POINTS = 50


def build_multiview_scene(capture: RgbdFrame, out_root: Path) -> SceneRecord:
    """Write ``out_root/NAME`` with one frame: the photo itself, sharp everywhere (kappa 0).

    RejectedScene if image and depth differ in size, or there are fewer than 50 points.
    """
    image, inv_depth = capture.read_rgb(), capture.read_inv_depth()
    points = int(np.isfinite(inv_depth).sum())
    if inv_depth.shape != image.shape[:2]:
        raise RejectedScene(f"image {image.shape[:2]} and depth {inv_depth.shape} differ in size")
    if points < LEAST_POINTS:
        raise RejectedScene(f"{points} points of known depth; expected at least {LEAST_POINTS}")
    record = scene_record(
        capture,
        scene_name(capture.name),
        "multiview",
        capture.unit,
        frames=[FrameRecord("sharp.jpg", u_focus=1.0, kappa_px=0.0)],
        measures={"points": float(points)},
    )
    folder = out_root / record.name
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / record.sharp, image)
    write_inv_depth(folder / record.inv_depth, inv_depth, record.unit)
    write_scene_json(folder, record)
    return record

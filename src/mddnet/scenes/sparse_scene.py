"""Builder of scenes from multi-view captures: a sharp photo whose depth is known at sparse points."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mddnet.captures.rgbd import RgbdFrame
from mddnet.errors import RejectedScene
from mddnet.scenes.store import write_scene
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
    return write_scene(
        out_root,
        capture,
        "multiview",
        unit=capture.unit,
        frames=[FrameRecord("sharp.jpg", u_focus=1.0, kappa_px=0.0)],
        images=[image],
        sharp=image,
        sharp_quality=95,
        inv_depth=inv_depth,
        measures={"points": float(points)},
    )

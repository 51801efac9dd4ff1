"""ALL-in-3D (He et al., arXiv:2208.09848), read by :mod:`mddnet.captures.all_in_3d` in either packing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mddnet.captures.all_in_3d import AllIn3dScene, list_all_in_3d
from mddnet.data.evenly import evenly
from mddnet.evaluate.datasets.files import inv_depth_from_depth_m
from mddnet.evaluate.datasets.record import Failure, Item
from mddnet.metrics import Truth
from mddnet.optics import signed_defocus_px

FRAMES = 4  # evaluated frames per scene, spread evenly over its positions


def list_all_in_3d_photos(root: Path) -> Iterator[Item | Failure]:
    """List the photos of an ALL-in-3D folder."""
    for scene in list_all_in_3d(root):
        if not isinstance(scene, AllIn3dScene):
            yield scene.name, scene.reason
            continue
        for k in evenly(len(scene.frames), FRAMES):
            yield Item(f"{scene.name}/{scene.frames[k].path.stem}", scene.location, partial(_read, scene, k))


def _read(scene: AllIn3dScene, index: int) -> Truth:
    shape = scene.read_sharp().shape
    inv_depth = inv_depth_from_depth_m(scene.read_depth_m(shape))
    photo = scene.read_frame(index, shape)
    if scene.aperture_px is None:
        return Truth(photo, inv_depth)
    focus_m = float(scene.read_focus_z_m()[index])
    # the paper's formula: CoC = A F |D - D_f| / (D (D_f - F)), A the aperture over the pixel pitch
    focal_m = scene.focal_mm / 1000.0
    kappa = scene.aperture_px * focal_m * focus_m / (focus_m - focal_m)
    signed = signed_defocus_px(inv_depth, 1.0 / focus_m, kappa).astype(np.float32)
    return Truth(photo, inv_depth, signed_defocus_px=signed, defocus_px=np.abs(signed))

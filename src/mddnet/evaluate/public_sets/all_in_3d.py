"""ALL-in-3D (He et al., arXiv:2208.09848), read by :mod:`mddnet.captures.all_in_3d` in either packing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mddnet.captures.all_in_3d import AllIn3dScene, list_all_in_3d
from mddnet.data.evenly import evenly
from mddnet.evaluate.public_sets.files import inv_depth_from_depth_m
from mddnet.evaluate.public_sets.record import Protocol, PublicSet, SetItem, SetListing, SetPhoto
from mddnet.optics import signed_defocus_px

FRAMES = 4
"""Frames of a scene that are measured, spread evenly over its positions."""


def _list(root: Path) -> SetListing:
    listing = list_all_in_3d(root)
    items = []
    for scene in listing.scenes:
        items += [_item(scene, k) for k in evenly(len(scene.frames), FRAMES)]
    return SetListing(tuple(items), listing.failures)


def _item(scene: AllIn3dScene, index: int) -> SetItem:
    def load() -> SetPhoto:
        sharp = scene.read_sharp()
        inv_depth = inv_depth_from_depth_m(scene.read_depth_m(sharp.shape))
        photo = scene.read_frame(index, sharp.shape)
        if scene.aperture_px is None:
            return SetPhoto(photo, inv_depth, "1/m", sharp=sharp)
        focus_m = float(scene.read_focus_z_m()[index])
        # the paper's formula: CoC = A F |D - D_f| / (D (D_f - F)), A the aperture over the pixel pitch
        focal_m = scene.focal_mm / 1000.0
        kappa = scene.aperture_px * focal_m * focus_m / (focus_m - focal_m)
        signed = signed_defocus_px(inv_depth, 1.0 / focus_m, kappa).astype(np.float32)
        return SetPhoto(photo, inv_depth, "1/m", signed_defocus_px=signed, defocus_px=np.abs(signed), sharp=sharp)

    return SetItem(f"{scene.name}/{scene.frames[index].path.stem}", scene.place, load)


ALL_IN_3D = PublicSet(
    name="all-in-3d",
    title="ALL-in-3D",
    source="He et al., arXiv:2208.09848",
    obtain="ask the authors of the paper",
    licence="none stated",
    expects="  all_in_focus/N.tif, depth/N/depth.npy, depth/N/mask.npy, fd/N/fd.npy, focus_small/N/*\n"
    "  or N/AIF/AIF.tif, N/depth/, N/focus/; all_in_3d.json may state aperture_px (docs/data-sets.md)",
    states=("inv_depth", "signed_defocus_px", "defocus_px", "sharp"),
    protocol=Protocol("pixels whose mask says that depth was measured", None, None),
    basis="docs/data-sets.md; the CoC is measured only where all_in_3d.json states aperture_px",
    list_items=_list,
)

"""The synthetic set of DefocusNet (Maximov et al., "Focus on Defocus", CVPR 2020): focal stacks of five frames by
Blender.

One folder of ``*All.tif`` (photos, five of each scene, sorted by name: focused at 0.1, 0.15, 0.3, 0.7 and 1.5 m) and
``*Dpt.exr`` (one of each scene; depth in metres in the channel R, half floats). Lens: 2.9 mm at f/1; the authors clip
depth at 3 m; the first 80 % of the scenes are for training. All of that from https://github.com/dvl-tum/defocus-net
(README, source/util_func.py). The pixel pitch is not stated there: 3.1 mm over the width of 256 px, as later users of
the set assume, and unverified.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mddnet.errors import CaptureError
from mddnet.evaluate.public_sets.files import inv_depth_from_depth_m, natural_order, read_rgb
from mddnet.evaluate.public_sets.record import Protocol, PublicSet, SetItem, SetListing, SetPhoto
from mddnet.optics import kappa_px, signed_defocus_px
from mddnet.types import Float32Array

FOCUS_M = (0.1, 0.15, 0.3, 0.7, 1.5)
FOCAL_MM, F_NUMBER = 2.9, 1.0
SENSOR_WIDTH_UM = 3100.0
TRAINING_SHARE = 0.8


def _list(root: Path) -> SetListing:
    photos = sorted(root.glob("*All.tif"), key=natural_order)
    depths = sorted(root.glob("*Dpt.exr"), key=natural_order)
    if not photos or not depths:
        raise DEFOCUSNET.missing(root / ("*All.tif" if not photos else "*Dpt.exr"), "the authors' rendered files")
    if len(photos) != len(FOCUS_M) * len(depths):
        raise CaptureError(
            f"{root}: {len(photos)} photos *All.tif and {len(depths)} depth maps *Dpt.exr; expected {len(FOCUS_M)} "
            "photos of each scene: files are missing, or those of several sets are mixed"
        )
    first = int(TRAINING_SHARE * len(depths))
    items = [
        _item(photos[len(FOCUS_M) * scene + frame], depths[scene], frame)
        for scene in range(first, len(depths))
        for frame in range(len(FOCUS_M))
    ]
    return SetListing(tuple(items))


def _item(photo: Path, depth: Path, frame: int) -> SetItem:
    def load() -> SetPhoto:
        pixels = read_rgb(photo)
        depth_m = read_exr_channel(depth, "R")
        inv_depth = inv_depth_from_depth_m(depth_m)
        kappa = kappa_px(FOCAL_MM, F_NUMBER, SENSOR_WIDTH_UM / pixels.shape[1], FOCUS_M[frame])
        signed = signed_defocus_px(inv_depth, 1.0 / FOCUS_M[frame], kappa).astype(np.float32)
        return SetPhoto(pixels, inv_depth, "1/m", signed_defocus_px=signed, defocus_px=np.abs(signed))

    return SetItem(photo.stem, "last fifth of the scenes", load)


def read_exr_channel(path: Path, channel: str) -> Float32Array:
    """(H, W) float32 of one channel of an EXR file.

    Raises:
        ImageError: where OpenEXR is not installed.
        CaptureError: if the file is damaged or lacks the channel.
    """
    from mddnet.io.extra import formats_module

    openexr = formats_module("OpenEXR", path, "a depth map in OpenEXR", "use another set")
    try:
        with openexr.File(str(path), separate_channels=True) as file:
            channels = {name: np.array(found.pixels, dtype=np.float32) for name, found in file.channels().items()}
    except (RuntimeError, ValueError, KeyError, TypeError, OSError) as error:
        raise CaptureError(f"{path}: not a readable EXR image ({error}); get the file again") from error
    if channel not in channels or channels[channel].ndim != 2:
        raise CaptureError(f"{path}: channels {', '.join(sorted(channels))}; expected one named {channel}")
    return np.asarray(channels[channel], dtype=np.float32)


DEFOCUSNET = PublicSet(
    name="defocusnet",
    title="DefocusNet's synthetic set",
    source="Maximov et al., CVPR 2020; https://github.com/dvl-tum/defocus-net",
    obtain="download the archive that the README of https://github.com/dvl-tum/defocus-net links, and name its folder "
    "(fs_6) as --root",
    licence="none stated",
    expects="  NNNNNN_MMAll.tif   (five of each scene, sorted by name)\n  NNNNNNDpt.exr      (one of each scene)",
    states=("inv_depth", "signed_defocus_px", "defocus_px"),
    protocol=Protocol("all pixels with a depth, of the last fifth of the scenes", None, (1e-3, 3.0)),
    basis="the authors' reader; the digits in the names are unverified (only their endings and order are used), and so "
    "is the pixel pitch, which scales the CoC",
    list_items=_list,
    unverified=True,
)

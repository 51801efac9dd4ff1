"""iDFD (Nazir et al.): indoor scenes photographed out of focus and all in focus, with depth by a Kinect.

From https://github.com/saqibnaziir/iDFD (README): JPEG photos of 640 x 480, PNG depth maps of the same size, depths of
0 to 10 m. The layout is shown there only as a picture; here it is the one that the README of the same authors' network
(https://github.com/saqibnaziir/2HDED-NET) asks for: ``rgb`` (out of focus), ``aif`` and ``depth``, each with ``train``
and ``test``. Unverified, too: that 16-bit depth maps are millimetres, and 8-bit ones 0 to 10 m over 0 to 255.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mddnet.evaluate.public_sets.files import (
    images_in,
    inv_depth_from_depth_m,
    paired,
    read_levels,
    read_rgb,
    same_stem,
)
from mddnet.evaluate.public_sets.record import Protocol, PublicSet, SetItem, SetListing, SetPhoto

RANGE_M = 10.0


def _list(root: Path) -> SetListing:
    photos, depths, sharp = (root / name / "test" for name in ("rgb", "depth", "aif"))
    if not photos.is_dir():
        raise IDFD.missing(photos, "the photos out of focus")
    return paired(
        images_in(photos),
        lambda photo: same_stem(depths, photo.stem),
        "depth map depth/test/NAME.png",
        lambda photo, depth: _item(photo, depth, same_stem(sharp, photo.stem)),
    )


def _item(photo: Path, depth: Path, sharp: Path | None) -> SetItem:
    def load() -> SetPhoto:
        levels = read_levels(depth)
        eight_bits = levels.max(initial=0.0) <= 255
        depth_m = levels * (RANGE_M / 255.0) if eight_bits else levels / 1000.0
        inv_depth = inv_depth_from_depth_m(np.where(levels > 0, depth_m, np.nan))
        return SetPhoto(read_rgb(photo), inv_depth, "1/m", sharp=None if sharp is None else read_rgb(sharp))

    return SetItem(photo.stem, "test", load)


IDFD = PublicSet(
    name="idfd",
    title="iDFD",
    source="Nazir et al.; https://github.com/saqibnaziir/iDFD",
    obtain="ask the authors as https://github.com/saqibnaziir/iDFD says, and sort the processed files as below",
    licence="the authors' own (UPB)",
    expects="  rgb/test/NAME.jpg     (out of focus)\n  aif/test/NAME.jpg     (all in focus)\n"
    "  depth/test/NAME.png   (16 bits, millimetres; or 8 bits, 0 to 10 m)",
    states=("inv_depth", "sharp"),
    protocol=Protocol("pixels with a depth above 0", None, (1e-3, RANGE_M)),
    basis="the authors' README files; layout and encoding of the depth maps are unverified",
    list_items=_list,
    unverified=True,
)

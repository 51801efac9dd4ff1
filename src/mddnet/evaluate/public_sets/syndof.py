"""SYNDOF (Lee et al., "Deep Defocus Map Estimation using Domain Adaptation", CVPR 2019): blur rendered from depth.

``image/NAME.png`` and ``blur_map/NAME.png`` with the same names; a blur map holds ten times the sigma of the Gaussian
in px of the image, of channel 1 where it has three, up to sigma (maxCoC - 1) / 4 = 7 px. From the authors' README,
https://github.com/codeslake/SYNDOF.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mddnet.errors import CaptureError
from mddnet.evaluate.public_sets.files import images_in, paired, read_levels, read_rgb, same_stem
from mddnet.evaluate.public_sets.record import Protocol, PublicSet, SetItem, SetListing, SetPhoto
from mddnet.optics import diameter_from_sigma

LEVELS_PER_PX = 10.0
MAX_SIGMA_PX = 7.5
"""A little above the (29 - 1) / 4 that the set is rendered with."""


def _list(root: Path) -> SetListing:
    photos = root / "image"
    if not photos.is_dir():
        raise SYNDOF.missing(photos, "the blurred images")
    return paired(images_in(photos), lambda p: same_stem(root / "blur_map", p.stem), "blur_map/NAME.png", _item)


def _item(photo: Path, blur_map: Path) -> SetItem:
    def load() -> SetPhoto:
        sigma_px = read_levels(blur_map, channel=1) / LEVELS_PER_PX
        if sigma_px.max(initial=0.0) > MAX_SIGMA_PX:
            raise CaptureError(
                f"{blur_map}: levels up to {LEVELS_PER_PX * sigma_px.max():g}; expected ten times a sigma of at most "
                "7 px: blur_map/, not blur_map_norm/ or blur_map_binary/"
            )
        return SetPhoto(read_rgb(photo), defocus_px=np.asarray(diameter_from_sigma(sigma_px), dtype=np.float32))

    return SetItem(photo.stem, photo.stem.partition("_")[0], load)


SYNDOF = PublicSet(
    name="syndof",
    title="SYNDOF",
    source="Lee et al., CVPR 2019; https://github.com/codeslake/SYNDOF",
    obtain="download the archive of data sets that https://github.com/codeslake/DMENet links, or render it with the "
    "authors' script",
    licence="research only (CC BY-NC; the code is AGPL)",
    expects="  image/NAME.png\n  blur_map/NAME.png   (8 bits, ten times sigma in px)",
    states=("defocus_px",),
    protocol=Protocol("all pixels; sigma clipped at 3.275 px and divided by it, CoC = 4 sigma"),
    basis="the authors' README; which names are the test set is not stated there, so all photos below --root are taken",
    list_items=_list,
)

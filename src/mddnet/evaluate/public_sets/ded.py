"""DED (Ma et al., "Defocus Image Deblurring Network with Defocus Map Estimation as Auxiliary Task", IEEE TIP 2022):
photos, defocus maps and sharp photos from a Lytro camera.

``image/image_N.jpg``, ``sharp/*_N.jpg`` and ``filtered/defocus_filterd_N.png`` (sic; 8 bits). From the authors' reader,
https://github.com/xytmhy/DID-ANet-Defocus-Deblurring, datasets/Defocus.py. The unit of the defocus maps is not stated:
only their order is measured, brighter taken as blurrier, which is unverified. The authors keep the last 13 % for tests,
at random; here all photos are taken.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mddnet.evaluate.public_sets.files import images_in, paired, read_levels, read_rgb
from mddnet.evaluate.public_sets.record import Protocol, PublicSet, SetItem, SetListing, SetPhoto


def _list(root: Path) -> SetListing:
    photos = root / "image"
    if not photos.is_dir():
        raise DED.missing(photos, "the blurred photos")
    sharp = {path.stem.rpartition("_")[2]: path for path in images_in(root / "sharp", (".jpg",))}

    def number(photo: Path) -> str:
        return photo.stem.rpartition("_")[2]

    def truth_of(photo: Path) -> Path | None:
        path = root / "filtered" / f"defocus_filterd_{number(photo)}.png"
        return path if path.is_file() else None

    return paired(
        images_in(photos, (".jpg",)),
        truth_of,
        "defocus map filtered/defocus_filterd_N.png",
        lambda photo, truth: _item(photo, truth, sharp.get(number(photo))),
    )


def _item(photo: Path, truth: Path, sharp: Path | None) -> SetItem:
    def load() -> SetPhoto:
        score = read_levels(truth).astype(np.float32)
        return SetPhoto(read_rgb(photo), blur_score=score, sharp=None if sharp is None else read_rgb(sharp))

    return SetItem(photo.stem, "photos", load)


DED = PublicSet(
    name="ded",
    title="DED",
    source="Ma et al., IEEE TIP 2022; https://github.com/xytmhy/DID-ANet-Defocus-Deblurring",
    obtain="download the archive that the README of https://github.com/xytmhy/DID-ANet-Defocus-Deblurring links",
    licence="none stated",
    expects="  image/image_N.jpg\n  sharp/NAME_N.jpg\n  filtered/defocus_filterd_N.png   (8 bits)",
    states=("blur_score", "sharp"),
    protocol=Protocol("all pixels; of the defocus map only the order counts"),
    basis="the authors' reader; that brighter is blurrier is unverified",
    list_items=_list,
    unverified=True,
)

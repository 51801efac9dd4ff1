"""RTF (D'Andres et al., "Non-Parametric Blur Map Regression for Depth of Field Extension", IEEE TIP 2016): 22 photos
with blur measured.

As DMENet's authors evaluate it (https://github.com/codeslake/DMENet, evaluation/RTF: readme.md, quantitative_RTF.m):
``gt/NAME.mat`` holds ``blurMap``, the size of the disc; ``convertion.mat`` (sic) holds the table ``convertion`` whose
second column is that size and whose first is the sigma of the Gaussian, px; the nearest row counts. Both maps are
clipped at 3.275 px and divided by it, over the rows and columns that both have. The photos are taken from ``image/``
with the same names in order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mddnet.errors import CaptureError
from mddnet.evaluate.public_sets.files import images_in, natural_order, read_mat, read_rgb
from mddnet.evaluate.public_sets.record import Protocol, PublicSet, SetItem, SetListing, SetPhoto
from mddnet.optics import diameter_from_sigma

TABLE_FILE = "convertion.mat"


def _list(root: Path) -> SetListing:
    table_path = root / TABLE_FILE
    photos, truths = images_in(root / "image"), sorted((root / "gt").glob("*.mat"), key=natural_order)
    for path, found in ((root / "image", photos), (root / "gt", truths), (table_path, table_path.is_file())):
        if not found:
            raise RTF.missing(path, "files of the set")
    if len(photos) != len(truths):
        raise CaptureError(f"{root}: {len(photos)} photos in image/ and {len(truths)} maps in gt/; expected as many")
    table = read_mat(table_path, "convertion")
    if table.ndim != 2 or table.shape[1] < 2 or not len(table):
        raise CaptureError(
            f"{table_path}: convertion is {table.shape}; expected two columns, sigma and size of the disc"
        )
    return SetListing(tuple(_item(p, t, table) for p, t in zip(photos, truths, strict=True)))


def _item(photo: Path, truth: Path, table: NDArray[np.float64]) -> SetItem:
    def load() -> SetPhoto:
        blur = read_mat(truth, "blurMap")
        if blur.ndim != 2:
            raise CaptureError(f"{truth}: blurMap is {blur.shape}; expected (H, W)")
        sigma_px = sigma_of_disc(blur, table)
        pixels = read_rgb(photo)
        height, width = (min(a, b) for a, b in zip(pixels.shape[:2], blur.shape, strict=True))
        if max(pixels.shape[0] - height, pixels.shape[1] - width, blur.shape[0] - height, blur.shape[1] - width) > 16:
            raise CaptureError(f"{truth}: blurMap is {blur.shape} for a photo of {pixels.shape[:2]}; expected one size")
        coc = np.asarray(diameter_from_sigma(sigma_px[:height, :width]), dtype=np.float32)
        return SetPhoto(np.ascontiguousarray(pixels[:height, :width]), defocus_px=coc)

    return SetItem(photo.stem, "photos", load)


def sigma_of_disc(blur: NDArray[np.float64], table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sigma, px, of the row of the table whose size of the disc is nearest, for every pixel."""
    order = np.argsort(table[:, 1], kind="stable")
    sizes, sigmas = table[order, 1], table[order, 0]
    right = np.clip(np.searchsorted(sizes, blur), 1, max(len(sizes) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(sizes) - 1)
    nearest = np.where(np.abs(blur - sizes[left]) <= np.abs(sizes[right] - blur), left, right)
    return np.where(np.isfinite(blur), sigmas[nearest], np.nan)


RTF = PublicSet(
    name="rtf",
    title="RTF",
    source="D'Andres et al., IEEE TIP 2016; as evaluated by https://github.com/codeslake/DMENet, evaluation/RTF",
    obtain="gt/ from the archive that evaluation/RTF/readme.md of https://github.com/codeslake/DMENet links, "
    "convertion.mat from that folder, the photos from the archive of data sets of the same repository",
    licence="none stated",
    expects="  image/NAME.png\n  gt/NAME.mat       (blurMap)\n  convertion.mat    (convertion: sigma, size of disc)",
    states=("defocus_px",),
    protocol=Protocol("all pixels; sigma clipped at 3.275 px and divided by it, CoC = 4 sigma"),
    basis="DMENet's evaluation script; that photos and maps pair up in the order of their names is unverified",
    list_items=_list,
    unverified=True,
)

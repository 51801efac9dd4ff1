"""Data sets with defocus maps: SYNDOF, rendered from depth, and RTF, measured.

SYNDOF (Lee et al., "Deep Defocus Map Estimation using Domain Adaptation", CVPR 2019): a blur map is ten times the sigma
of the Gaussian in px of the image, in channel 1 where it has three, up to sigma (maxCoC - 1) / 4 = 7 px. From the
authors' README, https://github.com/codeslake/SYNDOF.

RTF (D'Andres et al., "Non-Parametric Blur Map Regression for Depth of Field Extension", IEEE TIP 2016): 22 photos. As
DMENet's authors evaluate it (https://github.com/codeslake/DMENet, evaluation/RTF: readme.md, quantitative_RTF.m):
``blurMap`` is the size of the disc; the table ``convertion`` (sic) has that size in its second column and the sigma of
the Gaussian, px, in its first; the nearest row is used. Both maps are clipped at 3.275 px and divided by it, over their
common rows and columns. Photos and maps are paired in the order of their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mddnet.errors import CaptureError
from mddnet.evaluate.datasets import files
from mddnet.evaluate.datasets.mat_file import read_mat
from mddnet.evaluate.datasets.record import Failure, Item, MissingFiles
from mddnet.metrics import Truth
from mddnet.optics import diameter_from_sigma

LEVELS_PER_PX = 10.0
MAX_SIGMA_PX = 7.5  # a little above (29 - 1) / 4, the largest sigma of SYNDOF


def list_syndof(root: Path) -> Iterator[Item | Failure]:
    """All photos; the authors do not publish which of them are the test set."""
    photos, maps = root / "image", root / "blur_map"
    if not photos.is_dir():
        raise MissingFiles(photos, "the blurred images")
    return files.paired(
        files.images_in(photos),
        lambda photo: files.same_stem(maps, photo.stem),
        "blur_map/NAME.png",
        lambda photo, found: Item(photo.stem, photo.stem.partition("_")[0], partial(_read_syndof, photo, found)),
    )


def _read_syndof(photo: Path, blur_map: Path) -> Truth:
    sigma_px = files.read_levels(blur_map, channel=1) / LEVELS_PER_PX
    if sigma_px.max(initial=0.0) > MAX_SIGMA_PX:
        raise CaptureError(
            f"{blur_map}: levels up to {LEVELS_PER_PX * sigma_px.max():g}; expected ten times a sigma of at most "
            "7 px: blur_map/, not blur_map_norm/ or blur_map_binary/"
        )
    return Truth(files.read_rgb(photo), defocus_px=np.asarray(diameter_from_sigma(sigma_px), dtype=np.float32))


def list_rtf(root: Path) -> Iterator[Item]:
    """List the photos of RTF."""
    table_path = root / "convertion.mat"
    photos, truths = files.images_in(root / "image"), files.images_in(root / "gt", (".mat",))
    for path, found in ((root / "image", photos), (root / "gt", truths), (table_path, table_path.is_file())):
        if not found:
            raise MissingFiles(path, "files of the data set")
    if len(photos) != len(truths):
        raise CaptureError(f"{root}: {len(photos)} photos in image/ and {len(truths)} maps in gt/; expected as many")
    table = read_mat(table_path, "convertion")
    if table.ndim != 2 or table.shape[1] < 2 or not len(table):
        raise CaptureError(f"{table_path}: convertion is {table.shape}; expected two columns, sigma and disc size")
    for photo, truth in zip(photos, truths, strict=True):
        yield Item(photo.stem, "photos", partial(_read_rtf, photo, truth, table))


def _read_rtf(photo: Path, truth: Path, table: NDArray[np.float64]) -> Truth:
    blur = read_mat(truth, "blurMap")
    if blur.ndim != 2:
        raise CaptureError(f"{truth}: blurMap is {blur.shape}; expected (H, W)")
    sigma_px = sigma_of_disc(blur, table)
    pixels = files.read_rgb(photo)
    height, width = np.minimum(pixels.shape[:2], blur.shape)
    if np.abs(np.subtract(pixels.shape[:2], blur.shape)).max() > 16:
        raise CaptureError(f"{truth}: blurMap is {blur.shape} for a photo of {pixels.shape[:2]}; expected one size")
    coc = np.asarray(diameter_from_sigma(sigma_px[:height, :width]), dtype=np.float32)
    return Truth(np.ascontiguousarray(pixels[:height, :width]), defocus_px=coc)


def sigma_of_disc(blur: NDArray[np.float64], table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sigma, px, of every pixel, from the row of the table with the nearest disc size."""
    sigmas, sizes = table[np.argsort(table[:, 1], kind="stable"), :2].T
    nearest = np.searchsorted((sizes[1:] + sizes[:-1]) / 2, blur)
    return np.where(np.isfinite(blur), sigmas[nearest], np.nan)

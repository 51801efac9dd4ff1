"""KITTI depth (Uhrig et al., "Sparsity Invariant CNNs", 3DV 2017): street photos with depth by lidar.

A depth map is a 16-bit PNG of the photo's size: z-depth in metres is code / 256, 0 is unknown. About a fifth of the
pixels are known, none near the upper border, which the lidar does not reach. The selection of the benchmark has 1,000
photos of 1216 x 352 pixels of the left camera (``image_02``) or the right one (``image_03``). The encoding and these
names are from the readme of the authors' devkit; ``rgb/`` and ``depth/`` are as in an example of
https://github.com/YvanYin/Metric3D. The intrinsics are not read, since depth is in metres.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mddnet.evaluate.datasets import files
from mddnet.evaluate.datasets.record import Failure, Item, MissingFiles

SELECTION = "val_selection_cropped"


def list_kitti(root: Path) -> Iterator[Item | Failure]:
    """List the photos of KITTI."""
    selection = root if root.name == SELECTION else root / SELECTION
    if (selection / "image").is_dir():
        depths = selection / "groundtruth_depth"
        return _pairs(selection / "image", depths, "_sync_image_", "_sync_groundtruth_depth_")
    if (root / "rgb").is_dir():
        return _pairs(root / "rgb", root / "depth")
    raise MissingFiles(selection / "image", "the photos of the selection, or rgb/")


def _pairs(photos: Path, depths: Path, of_photo: str = "", of_depth: str = "") -> Iterator[Item | Failure]:
    """Photos with their depth maps, whose names have ``of_depth`` instead of ``of_photo``."""

    def depth_of(photo: Path) -> Path | None:
        return files.same_stem(depths, photo.stem.replace(of_photo, of_depth, 1), (".png",))

    expected = f"depth map in {depths.name}/, a PNG of the same name{f' with {of_depth}' if of_depth else ''},"
    return files.paired(files.images_in(photos, (".png", ".jpg")), depth_of, expected, _item)


def _item(photo: Path, depth: Path) -> Item:
    drive, found, _ = photo.stem.partition("_sync_")
    read = partial(files.photo_with_depth16, photo, depth, 256.0, "16-bit depths, metres times 256")
    return Item(photo.stem, drive if found else "kitti", read)

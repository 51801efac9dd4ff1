"""NYU Depth V2, labeled part.

Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012.

The .mat file is MATLAB 7.3, which is HDF5, with dimensions reversed by h5py: ``images`` (1449, 3, 640, 480) uint8,
``rawDepths`` (1449, 640, 480) float32 metres, 0 where the sensor has no measurement, ``sceneTypes`` references to
texts. ``splits.mat`` has ``testNdxs``, numbers from 1. As described on the authors' page and read by
extract_official_train_test_set_from_mat.py of https://github.com/cleinc/bts, which also writes the usual PNG form:
photos numbered from 0, black outside rows 7 to 473 and columns 7 to 631, and rawDepths in millimetres.
https://github.com/YvanYin/Metric3D has the same files in ``rgb/`` and ``depth/``, with a white border.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mddnet.errors import CaptureError
from mddnet.evaluate.datasets import files
from mddnet.evaluate.datasets.files import dataset_of, opened_hdf5
from mddnet.evaluate.datasets.mat_file import read_mat
from mddnet.evaluate.datasets.record import Failure, Item, MissingFiles
from mddnet.metrics import Truth

MAT_FILE, SPLITS_FILE = "nyu_depth_v2_labeled.mat", "splits.mat"
BORDER = np.s_[7:474, 7:632]  # the part of a frame that contains the undistorted photo; the PNG form is black outside


def list_mat(root: Path) -> Iterator[Item]:
    """List the photos of the MATLAB file."""
    path, splits = root / MAT_FILE, root / SPLITS_FILE
    for file in (path, splits):
        if not file.is_file():
            raise MissingFiles(file, "a file of the authors")
    numbers = read_mat(splits, "testNdxs").ravel()
    with opened_hdf5(path) as file:
        images = dataset_of(file, path, "images", 4)
        depths = dataset_of(file, path, "rawDepths", 3)
        count = images.shape[0]
        if images.shape[1] != 3 or depths.shape != (count, *images.shape[2:]):
            found = f"images {images.shape}, rawDepths {depths.shape}"
            raise CaptureError(f"{path}: {found}; expected (N, 3, W, H) and (N, W, H)")
        types = _scene_types(file, path, count)
    wrong = numbers[(numbers < 1) | (numbers > count) | (numbers != np.rint(numbers))]
    if len(wrong) or not len(numbers):
        raise CaptureError(f"{splits}: testNdxs {wrong[:1]}; expected one or more numbers from 1 to {count}")
    for index in np.sort(numbers).astype(int) - 1:
        yield Item(f"{index:05d}", types[index], partial(_read_mat, path, index))


def _scene_types(file: Any, path: Path, count: int) -> list[str]:
    if file.get("sceneTypes") is None:
        return ["nyu-mat"] * count
    references = dataset_of(file, path, "sceneTypes", 2)[0]
    if len(references) != count:
        raise CaptureError(f"{path}: {len(references)} sceneTypes of {count} images; expected one each")
    return ["".join(chr(int(code)) for code in np.ravel(file[reference][()])) for reference in references]


def _read_mat(path: Path, index: int) -> Truth:
    with opened_hdf5(path) as file:
        image = np.asarray(file["images"][index])
        depth_m = np.asarray(file["rawDepths"][index], dtype=np.float64)
    photo = np.zeros((*depth_m.T.shape, 3), dtype=np.uint8)
    photo[BORDER] = image.transpose(2, 1, 0)[BORDER]
    return Truth(photo, files.inv_depth_from_depth_m(depth_m.T))


def list_png(root: Path) -> Iterator[Item | Failure]:
    """List the photos of a folder of PNG files."""
    folder = root / "test" if (root / "test").is_dir() else root
    photos = [
        photo
        for scene in sorted(path for path in folder.iterdir() if path.is_dir())
        for photo in files.images_in(scene, (".jpg", ".png"))
        if photo.name.startswith("rgb_")
    ]

    def depth_of(photo: Path) -> Path | None:
        name = photo.stem.replace("rgb_", "sync_depth_", 1) + ".png"
        folders = [photo.parent, photo.parent.with_name("depth")] if photo.parent.name == "rgb" else [photo.parent]
        return next((path for folder in folders if (path := folder / name).is_file()), None)

    return files.paired(photos, depth_of, "depth sync_depth_NNNNN.png, in the same folder or in depth/,", _png_item)


def _png_item(photo: Path, depth: Path) -> Item:
    # the folder rgb/ is not a scene type
    group = photo.parent.name if depth.parent == photo.parent else "nyu-png"
    read = partial(files.photo_with_depth16, photo, depth, 1000.0, "16-bit millimetres")
    return Item(f"{photo.parent.name}/{photo.stem}", group, read)

"""SYNDOF (Lee et al., "Deep Defocus Map Estimation using Domain Adaptation", CVPR 2019): blur rendered from depth.

A blur map is ten times the sigma of the Gaussian in px of the image, in channel 1 where it has three, up to sigma
(maxCoC - 1) / 4 = 7 px. From the authors' README, https://github.com/codeslake/SYNDOF.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mddnet.errors import CaptureError
from mddnet.evaluate.datasets import files
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
        lambda photo, found: Item(photo.stem, photo.stem.partition("_")[0], partial(_read, photo, found)),
    )


def _read(photo: Path, blur_map: Path) -> Truth:
    sigma_px = files.read_levels(blur_map, channel=1) / LEVELS_PER_PX
    if sigma_px.max(initial=0.0) > MAX_SIGMA_PX:
        raise CaptureError(
            f"{blur_map}: levels up to {LEVELS_PER_PX * sigma_px.max():g}; expected ten times a sigma of at most "
            "7 px: blur_map/, not blur_map_norm/ or blur_map_binary/"
        )
    return Truth(files.read_rgb(photo), defocus_px=np.asarray(diameter_from_sigma(sigma_px), dtype=np.float32))

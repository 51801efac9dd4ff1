"""DDFF 12-Scene (Hazirbas et al., "Deep Depth From Focus", ACCV 2018): focal stacks refocused from a plenoptic camera.

``ddff-dataset-trainval.h5``: ``stack_val`` (N, 10, H, W, 3) with values 0 to 255, ``disp_val`` (N, 1, H, W), disparity
in px of the stack between neighbouring views, 0 where the depth camera has no measurement (the same with ``_train``).
The authors' reader is https://github.com/soyers/ddff-pytorch (README and FocalStackDDFFH5Reader.py); the test file has
no disparity. Their refocusing (https://github.com/hazirbas/ddff-toolbox, refocus.py) averages all 9 x 9 views, each
shifted by disparity x position, at ten disparities evenly spaced between those of 0.5 m and 7 m: 0.28 to 0.02 px, and
depth = baseline x focal length / disparity. Therefore depth in metres = 0.5 m x 0.2825 px / disparity, with the range
of disparities from the README, and the CoC of a frame is that of an average of 9 x 9 views, kappa = 4 standard
deviations per axis of their positions = 10.33 px per px of disparity.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mddnet.errors import CaptureError
from mddnet.evaluate.datasets.files import dataset_of, opened_hdf5
from mddnet.evaluate.datasets.record import Item, MissingFiles
from mddnet.metrics import Truth
from mddnet.optics import light_field_kappa_px, signed_defocus_px

FILE = "ddff-dataset-trainval.h5"
VIEWS = np.argwhere(np.ones((9, 9))).astype(np.float64)  # rows and columns of the views that are averaged
DISPARITY_RANGE_PX = (0.2825, 0.0202)  # of 0.5 m and 7 m, from the README
FOCUS_PX = np.linspace(*DISPARITY_RANGE_PX, 10)  # disparity in focus of each of the ten frames, near to far
FRAMES_OF_A_STACK = (0, 3, 6, 9)  # evaluated frames of ten, near to far; neighbouring frames are similar


def list_ddff12(root: Path) -> Iterator[Item]:
    """List the photos of DDFF 12-Scene."""
    path = root / FILE
    if not path.is_file():
        raise MissingFiles(path, "the authors' file of training and validation scenes")
    with opened_hdf5(path) as file:
        stacks, disparities = dataset_of(file, path, "stack_val", 5), dataset_of(file, path, "disp_val", 4)
        if stacks.shape[4] != 3 or disparities.shape != (stacks.shape[0], 1, *stacks.shape[2:4]):
            found = f"stack_val {stacks.shape}, disp_val {disparities.shape}"
            raise CaptureError(f"{path}: {found}; expected (N, F, H, W, 3) and (N, 1, H, W)")
        count, frames = stacks.shape[:2]
    if frames != 10:
        raise CaptureError(f"{path}: stacks of {frames} frames; expected 10, whose planes of focus are known")
    for stack in range(count):
        for frame in FRAMES_OF_A_STACK:
            name = f"val_{stack:04d}_frame_{frame + 1:02d}"
            yield Item(name, "validation scenes", partial(_read, path, stack, frame))


def _read(path: Path, stack: int, frame: int) -> Truth:
    with opened_hdf5(path) as file:
        photo = np.clip(np.rint(np.asarray(file["stack_val"][stack, frame], dtype=np.float64)), 0, 255)
        disparity = np.asarray(file["disp_val"][stack, 0], dtype=np.float64)
    disparity = np.where(np.isfinite(disparity) & (disparity > 0), disparity, np.nan)
    largest = float(np.nanmax(disparity)) if np.isfinite(disparity).any() else 0.0
    if largest > 2 * DISPARITY_RANGE_PX[0]:
        expected = "at most about {:g} px between neighbouring views".format(*DISPARITY_RANGE_PX)
        raise CaptureError(f"{path}, disp_val[{stack}]: disparities up to {largest:g} px; expected {expected}")
    inv_depth = (disparity / (0.5 * DISPARITY_RANGE_PX[0])).astype(np.float32)
    signed = signed_defocus_px(disparity, FOCUS_PX[frame], light_field_kappa_px(VIEWS)).astype(np.float32)
    return Truth(photo.astype(np.uint8), inv_depth, signed_defocus_px=signed, defocus_px=np.abs(signed))

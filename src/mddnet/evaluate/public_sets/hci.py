"""4D Light Field Benchmark (Honauer et al., "A Dataset and Evaluation Methodology for Depth Estimation on 4D Light
Fields", ACCV 2016), "HCI new".

A folder per scene below its category (``training``, ``additional``, ``stratified``; ``test`` has no truth):
``input_Cam000.png`` to ``input_Cam080.png`` row by row, ``parameters.cfg`` (an INI file), ``gt_disp_lowres.pfm``: the
disparity of the central view in px between neighbouring views, larger is nearer. From the authors' reader,
https://github.com/lightfield-analysis/python-tools (README, file_io.py). Measured is the central view,
``input_Cam040.png``, which is sharp everywhere: order of depth, and inverse depth after alignment (disparity is an
affine inverse depth). Photos with blur are made from the views by ``mddnet build``.
"""

from __future__ import annotations

import configparser
from pathlib import Path

import numpy as np

from mddnet.captures.light_field import MAX_VIEWS_PER_SIDE
from mddnet.errors import CaptureError
from mddnet.evaluate.public_sets.files import read_pfm, read_rgb
from mddnet.evaluate.public_sets.record import Protocol, PublicSet, SetItem, SetListing, SetPhoto

CATEGORIES = ("training", "additional", "stratified")


def _list(root: Path) -> SetListing:
    folders = [path for category in CATEGORIES for path in sorted((root / category).glob("*/"))]
    if not folders:
        raise HCI.missing(root / CATEGORIES[0], "at least one category with folders of scenes")
    items, failures = [], []
    for folder in folders:
        config = folder / "parameters.cfg"
        try:
            centre = _central_view(config)
            truth = folder / "gt_disp_lowres.pfm"
            for path in (centre, truth):
                if not path.is_file():
                    raise CaptureError(f"{path}: no such file; expected it in every scene but those of test")
            items.append(_item(folder, centre, truth))
        except CaptureError as error:
            failures.append((str(folder), str(error)))
    return SetListing(tuple(items), tuple(failures))


def _central_view(config: Path) -> Path:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with config.open(encoding="utf-8") as stream:
            parser.read_file(stream)
        rows, columns = (parser.getint("extrinsics", f"num_cams_{axis}") for axis in "yx")
        if not (0 < rows <= MAX_VIEWS_PER_SIDE and 0 < columns <= MAX_VIEWS_PER_SIDE):
            raise ValueError(f"{rows} x {columns} views, at most {MAX_VIEWS_PER_SIDE} a side")
    except (OSError, UnicodeDecodeError, configparser.Error, ValueError) as error:
        raise CaptureError(
            f"{config}: not readable ({error}); expected num_cams_x and num_cams_y below [extrinsics]"
        ) from error
    return config.with_name(f"input_Cam{rows // 2 * columns + columns // 2:03d}.png")


def _item(folder: Path, centre: Path, truth: Path) -> SetItem:
    def load() -> SetPhoto:
        disparity = read_pfm(truth)
        return SetPhoto(
            read_rgb(centre), np.where(np.isfinite(disparity), disparity, np.float32(np.nan)), unit="relative"
        )

    return SetItem(f"{folder.parent.name}/{folder.name}", folder.parent.name, load)


HCI = PublicSet(
    name="hci",
    title="4D Light Field Benchmark (HCI)",
    source="Honauer et al., ACCV 2016; https://github.com/lightfield-analysis/python-tools",
    obtain="request the download links at https://lightfield-analysis.uni-konstanz.de/ and unpack the categories",
    licence="CC BY-NC-SA 4.0",
    expects="  training/SCENE/parameters.cfg\n  training/SCENE/input_Cam000.png ... input_Cam080.png\n"
    "  training/SCENE/gt_disp_lowres.pfm\n  (the same below additional/ and stratified/)",
    states=("inv_depth",),
    protocol=Protocol("all pixels of the central view", None, None),
    basis="the authors' reader; that larger disparity is nearer is from later users of the set",
    list_items=_list,
)

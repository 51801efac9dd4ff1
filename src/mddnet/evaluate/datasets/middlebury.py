"""Middlebury stereo sets of 2014 and 2021, and the scenes of the benchmark v3, in the same form.

Scharstein et al., "High-Resolution Stereo Datasets with Subpixel-Accurate Ground Truth", GCPR 2014: disparity in px,
infinite where unknown. ``calib.txt`` has lines such as ``cam0=[3997.684 0 1176.728; 0 3997.684 1011.728; 0 0 1]``,
``doffs=131.111``, ``baseline=193.001`` (mm), also with other spaces; depth in mm is baseline f / (d + doffs). Scenes of
the benchmark (MiddEval3) have full, half or quarter size, and the ``calib.txt`` of that size. As described at
https://vision.middlebury.edu/stereo/data/scenes2014/ and https://vision.middlebury.edu/stereo/submit3/.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mddnet.errors import CaptureError
from mddnet.evaluate.datasets.files import read_pfm, read_rgb
from mddnet.evaluate.datasets.record import Failure, Item, MissingFiles
from mddnet.metrics import Truth

DISPARITIES = ("disp0.pfm", "disp0GT.pfm")  # of the left image: in the data sets, in the benchmark
_BLANK = r"[ \t]*"
_NUMBER = r"(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"


def list_middlebury(root: Path) -> Iterator[Item | Failure]:
    """The scenes: folders below ``root`` that contain ``im0.png``; one without another file is a failure."""
    folders = sorted(path.parent for path in root.rglob("im0.png"))
    if not folders:
        raise MissingFiles(root / "SCENE" / "im0.png", "a folder of each scene")
    for folder in folders:
        if not any((folder / name).is_file() for name in DISPARITIES):
            yield str(folder / DISPARITIES[0]), f"no such file; expected {' or '.join(DISPARITIES)} in every scene"
        elif not (folder / "calib.txt").is_file():
            yield str(folder / "calib.txt"), "no such file; expected it in every scene"
        else:
            yield Item(folder.relative_to(root).as_posix(), "scenes", partial(_read, folder))


def _read(folder: Path) -> Truth:
    focal_px, doffs_px, baseline_mm = read_calibration(folder / "calib.txt")
    disparity = read_pfm(next(path for name in DISPARITIES if (path := folder / name).is_file())).astype(np.float64)
    known = (disparity + doffs_px > 0) & (disparity < 1e6)
    inv_depth = np.where(known, (disparity + doffs_px) * 1000.0 / (baseline_mm * focal_px), np.nan)
    return Truth(read_rgb(folder / "im0.png"), inv_depth.astype(np.float32))


def read_calibration(path: Path) -> tuple[float, float, float]:
    """Focal length of the left camera (px), doffs (px) and baseline (mm); CaptureError if one is missing or invalid."""
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise CaptureError(f"{path}: not readable ({error}); expected the calibration of the scene") from error
    patterns = {
        "cam0=[f 0 cx; ...]": rf"^{_BLANK}cam0{_BLANK}={_BLANK}\[{_BLANK}{_NUMBER}[ \t]",
        "doffs=...": rf"^{_BLANK}doffs{_BLANK}={_BLANK}{_NUMBER}{_BLANK}$",
        "baseline=...": rf"^{_BLANK}baseline{_BLANK}={_BLANK}{_NUMBER}{_BLANK}$",
    }
    found = {name: re.findall(pattern, text, flags=re.MULTILINE) for name, pattern in patterns.items()}
    if lacking := [name for name, numbers in found.items() if not numbers]:
        raise CaptureError(f"{path}: no line {', '.join(lacking)} with a number; expected {', '.join(patterns)}")
    focal_px, doffs_px, baseline_mm = (float(numbers[0]) for numbers in found.values())
    if not (0 < focal_px < math.inf and 0 < baseline_mm < math.inf and math.isfinite(doffs_px)):
        raise CaptureError(f"{path}: f {focal_px:g} px, baseline {baseline_mm:g} mm; expected positive numbers")
    return focal_px, doffs_px, baseline_mm

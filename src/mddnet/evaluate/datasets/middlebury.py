"""Middlebury stereo sets: 2014 (and 2021 and benchmark v3, in the same form) with calibration, 2005 and 2006 without.

- 2014 (Scharstein et al., "High-Resolution Stereo Datasets with Subpixel-Accurate Ground Truth", GCPR 2014): disparity
  in px, infinite where unknown. ``calib.txt`` has lines such as
  ``cam0=[3997.684 0 1176.728; 0 3997.684 1011.728; 0 0 1]``, ``doffs=131.111``, ``baseline=193.001`` (mm), also with
  other spaces; depth in mm is baseline f / (d + doffs). Scenes of the benchmark v3 (MiddEval3) have full, half or
  quarter size, and the ``calib.txt`` of that size.
- 2006 (Hirschmueller and Scharstein, CVPR 2007): disparity of 8 bits, 0 unknown; one level is 1 px at full size, two
  levels are 1 px at half size and three at third size. ``dmin.txt`` has the offset to add, in px at full size; without
  it, inverse depth is affine. Focal length (3740 px at full size) and baseline (160 mm) are the same for all scenes.

As described at https://vision.middlebury.edu/stereo/data/ (scenes2014, scenes2006) and
https://vision.middlebury.edu/stereo/submit3/.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mddnet.errors import CaptureError
from mddnet.evaluate.datasets.files import read_levels, read_pfm, read_rgb
from mddnet.evaluate.datasets.record import Failure, Item, MissingFiles
from mddnet.metrics import Truth

FULL_FOCAL_PX, BASELINE_MM = 3740.0, 160.0
DISPARITIES_2014 = ("disp0.pfm", "disp0GT.pfm")  # of the left image: in the data sets, in the benchmark
_BLANK = r"[ \t]*"
_NUMBER = r"(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"


def list_2014(root: Path) -> Iterator[Item | Failure]:
    """Scenes of 2014, 2021 and of the benchmark."""
    return _scenes(root, "im0.png", (DISPARITIES_2014, ("calib.txt",)), _read_2014)


def list_2006(root: Path) -> Iterator[Item | Failure]:
    """Scenes of 2005 and 2006."""
    return _scenes(root, "view1.png", (("disp1.png",),), _read_2006)


def _scenes(
    root: Path, photo: str, parts: tuple[tuple[str, ...], ...], read: Callable[[Path], Truth]
) -> Iterator[Item | Failure]:
    """Folders below ``root`` that contain ``photo``; a folder without one file of each part is a failure."""
    folders = sorted(path.parent for path in root.rglob(photo))
    if not folders:
        raise MissingFiles(root / "SCENE" / photo, "a folder of each scene")
    for folder in folders:
        lacking = [names for names in parts if not any((folder / name).is_file() for name in names)]
        if lacking:
            first, *others = lacking[0]
            yield str(folder / first), f"no such file; expected {' or '.join(('it', *others))} in every scene"
        else:
            yield Item(folder.relative_to(root).as_posix(), "scenes", partial(read, folder))


def _read_2014(folder: Path) -> Truth:
    focal_px, doffs_px, baseline_mm = read_calibration(folder / "calib.txt")
    name = next(name for name in DISPARITIES_2014 if (folder / name).is_file())
    disparity = read_pfm(folder / name).astype(np.float64)
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


def _read_2006(folder: Path) -> Truth:
    photo = read_rgb(folder / "view1.png")
    levels = read_levels(folder / "disp1.png")
    reduction = _reduction(folder, photo.shape[1])
    known = levels > 0
    dmin = folder / "dmin.txt"
    if not dmin.is_file():
        return Truth(photo, np.where(known, levels / reduction, np.nan).astype(np.float32), "relative")
    try:
        offset = float(dmin.read_text(encoding="ascii"))
        if not math.isfinite(offset):
            raise ValueError(f"{offset}")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise CaptureError(f"{dmin}: not a number ({error}); expected the smallest disparity, px") from error
    # one level is 1 px at full size, for every size of the copy
    inv_depth = np.where(known, (levels + offset) * 1000.0 / (BASELINE_MM * FULL_FOCAL_PX), np.nan)
    return Truth(photo, inv_depth.astype(np.float32))


def _reduction(folder: Path, width: int) -> int:
    """Full, half or third size, by the width; full images are 1240 to 1396 px wide."""
    for reduction in (1, 2, 3):
        if 1200 <= width * reduction <= 1420:
            return reduction
    raise CaptureError(f"{folder / 'view1.png'}: {width} px wide; expected 1200 to 1420, or a half or a third of it")

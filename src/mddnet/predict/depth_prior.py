"""A depth prior: the depth of a photo by another network or tool, in place of that by our network.

Its layout and the measured blur are fused as usual: the depth stays as good as the prior's, the sign of the defocus
follows from it, and a known lens gives it metres.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mddnet.errors import ImageError, MddnetError
from mddnet.photo.exr import read_exr_map
from mddnet.predict.fusion import LEAST_GAIN, FusionInput, evidence_of, standardised
from mddnet.types import Float32Array, InvDepthUnit, Lens, UInt8Array

PRIOR_ERROR = 0.15  # standard error of a prior, in mean absolute deviations of its inverse depth
ASPECT_TOLERANCE = 0.02  # largest difference between the aspect ratios of a prior and its photo, as a share
INVERTED_GAIN = 3.0  # a prior is read the other way round if that explains the blur better by this log-likelihood
FILE_SUFFIXES = (".npy", ".png", ".tif", ".tiff", ".exr")


@dataclass(frozen=True, slots=True)
class DepthPrior:
    """Depth of a photo.

    Attributes:
        inv_depth: (H, W) float32, inverse depth, larger is nearer; of the aspect ratio of the photo.
        unit: ``"relative"``, with any positive scale and any shift; or ``"1/m"``.
        source: what it is from, for notes and errors.

    Raises:
        ImageError: if it is no map, or has values that are not finite.
    """

    inv_depth: Float32Array
    unit: InvDepthUnit = "relative"
    source: str = "the depth prior"

    def __post_init__(self) -> None:
        if self.inv_depth.ndim != 2 or self.inv_depth.dtype.kind not in "fiu" or min(self.inv_depth.shape) < 2:
            raise ImageError(
                f"{self.source}: {self.inv_depth.dtype} {self.inv_depth.shape}; expected an (H, W) map of numbers"
            )
        unknown = int(np.count_nonzero(~np.isfinite(self.inv_depth)))
        if unknown:
            raise ImageError(f"{self.source}: {unknown} values are NaN or infinite; expected finite ones: fill them")

    @classmethod
    def from_depth_m(cls, depth_m: NDArray[np.floating], source: str = "the depth prior") -> DepthPrior:
        """A prior from z-depth in metres; infinity is allowed. ImageError for values that are not positive."""
        if depth_m.dtype.kind == "f" and bool((depth_m > 0).all()):
            return cls((1.0 / depth_m).astype(np.float32), "1/m", source)
        wrong = int(np.count_nonzero(~(depth_m > 0)))
        raise ImageError(f"{source}: {wrong} depths are not positive numbers; expected metres above 0: fill the holes")


PriorLike = DepthPrior | NDArray[Any] | str | os.PathLike[str]
PriorSource = PriorLike | Callable[[UInt8Array], PriorLike]


def prior_of(source: PriorSource, pixels: UInt8Array) -> DepthPrior:
    """The prior for a photo: an array of inverse depth, a file, a :class:`DepthPrior`, or a function of the photo.

    ImageError if it cannot be read, or its aspect ratio is not that of the photo.
    """
    found = source(pixels) if callable(source) else source
    if isinstance(found, str | os.PathLike):
        found = read_prior(Path(found))
    prior = found if isinstance(found, DepthPrior) else DepthPrior(np.asarray(found))
    (h, w), (height, width) = prior.inv_depth.shape, pixels.shape[:2]
    if abs(math.log((w * height) / (h * width))) > ASPECT_TOLERANCE:
        raise ImageError(
            f"{prior.source}: {w} x {h} px for a photo of {width} x {height} px; expected its aspect ratio"
        )
    return prior


def read_prior(path: Path) -> DepthPrior:
    """Read a depth map of any tool: NPY, PNG, TIFF, or EXR (extra ``formats``).

    Larger is nearer (inverse depth, any scale), as Depth Anything, ControlNet and Photoshop write it; but metres if the
    name has ``depth_m``, and 1/m for our own ``.inv_depth`` maps only if their unit is known, so relative here.
    ImageError if it cannot be read.
    """
    values = _values(path)
    if values.ndim == 3 and values.shape[2] in (1, 3, 4):
        values = values[:, :, 0]
    if "depth_m" in path.name:
        return DepthPrior.from_depth_m(values.astype(np.float32), str(path))
    return DepthPrior(values.astype(np.float32), source=str(path))


def _values(path: Path) -> NDArray[Any]:
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if suffix in (".tif", ".tiff"):
            return np.asarray(tifffile.imread(path))
        if suffix == ".exr":
            return read_exr_map(path)
        if suffix == ".png":
            with Image.open(path) as image:
                return np.asarray(image)
    except MddnetError:
        raise
    except (OSError, ValueError, UnidentifiedImageError, tifffile.TiffFileError) as error:
        raise ImageError(f"{path}: not a readable depth map ({error}); expected {', '.join(FILE_SUFFIXES)}") from error
    raise ImageError(f"{path}: a depth map of unknown type; expected {', '.join(FILE_SUFFIXES)}")


class Priors(Protocol):
    """Depth priors of many photos."""

    def of(self, photo: Path) -> PriorSource:
        """The prior of a photo; ImageError if there is none."""
        ...

    def name_for(self, photo: Path) -> str:
        """The ``source`` of that prior; ImageError if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class FilePriors:
    """Depth maps in files: one file for every photo, or a folder with a map for each."""

    path: Path

    def of(self, photo: Path) -> Path:
        return _prior_file(self.path, photo) if self.path.is_dir() else self.path

    def name_for(self, photo: Path) -> str:
        return str(self.of(photo))


def _prior_file(folder: Path, photo: Path) -> Path:
    """The map of cup.jpg in a folder, ``cup.depth.png``, ``cup.png`` or with another suffix; ImageError without one."""
    names = [f"{photo.stem}{middle}{suffix}" for middle in (".depth", ".depth_m", "") for suffix in FILE_SUFFIXES]
    for name in names:
        path = folder / name
        if path.is_file() and not (photo.exists() and path.samefile(photo)):
            return path
    raise ImageError(f"{photo}: no depth prior in {folder}; expected {names[0]} or {names[1]}")


def with_prior(network: FusionInput, prior: DepthPrior, lens: Lens) -> tuple[FusionInput, list[str]]:
    """The input of the fusion with the depth of a prior, and notes on its direction.

    A prior may be inverted, depth given as inverse depth. Its order is compared with the sign of the blur by the
    network and the lens, and with our network's own depth. Without blur it cannot be checked.
    """
    height, width = network.photo.shape[:2]
    whole = np.asarray(
        Image.fromarray(prior.inv_depth.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    )
    cells = np.asarray(Image.fromarray(whole).reduce(network.stride))
    error = np.full_like(network.depth, math.log(PRIOR_ERROR))
    given = replace(network, depth=cells, depth_log_sigma=error, fine_depth=whole)
    inverted = replace(given, depth=-cells, fine_depth=-whole)
    plane, other = (evidence_of(answers, lens).plane for answers in (given, inverted))
    if max(plane.gain, other.gain) < LEAST_GAIN:
        return given, [f"{prior.source}: whether it is inverted is not known: there is too little blur."]
    own, theirs = (standardised(values)[0].ravel() for values in (network.depth, cells))
    order = float(np.corrcoef(own, theirs)[0, 1]) if own.any() and theirs.any() else 0.0
    if order < 0 and plane.cost - other.cost > INVERTED_GAIN:
        note = f"{prior.source}: inverted, larger values are farther; it is read as depth, not as inverse depth."
        return inverted, [note]
    return given, []

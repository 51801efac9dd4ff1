"""RGB-D captures: pairs of a colour image and a depth map, listed by a ``manifest.csv``.

Layout: ``manifest.csv`` with the columns source, rgb, depth, depth_unit, licence, note (others are ignored), and the
files that it names, relative to its folder. ``depth_unit`` is ``mm`` (uint16 millimetres along the optical axis, 0
and 65535 are unknown) or ``8bit-relative`` (uint8, brighter is nearer, 0 is unknown; ordinal only).

Manifests of pseudo-labels (:func:`list_pseudo`) and of sparse points by structure from motion (:func:`list_multiview`)
have a column ``place`` as well. The ``depth_unit`` of points is ``ordinal``: uint16, 60000 is the nearest point of the
image, 0 is no point; codes are proportional to inverse depth with an unknown scale per image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mddnet.captures.kind import Kind, ListedCapture
from mddnet.captures.manifest import check_unique, file_inside, manifest_rows
from mddnet.errors import CaptureError, ImageError
from mddnet.io.json_fields import display
from mddnet.photo.image_file import read_stored
from mddnet.photo.reader import photo_header, read_capture_photo, upright
from mddnet.types import Float32Array, InvDepthUnit, UInt8Array

RESTORE = "restore the file or remove its row"
CLEARLY_BETTER = 0.02
LARGEST_CODE = 65535  # of a depth in millimetres: not measured, or farther than can be said


@dataclass(frozen=True, slots=True)
class DepthCodes:
    """Encoding of inverse depth in the integers of a depth file; 0 is unknown."""

    unit: InvDepthUnit
    dtype: Literal["uint8", "uint16"]
    nearest: int | None = None


RGBD_CODES: dict[str, DepthCodes] = {
    "mm": DepthCodes("1/m", "uint16"),
    "8bit-relative": DepthCodes("ordinal", "uint8", 255),
}
RGBD_COLUMNS = ("source", "rgb", "depth", "depth_unit", "licence", "note")
PSEUDO_COLUMNS = (*RGBD_COLUMNS, "place")
PSEUDO_UNIT = "16bit-relative"
"""uint16, larger is nearer, 0 is unknown; linear in inverse depth of unknown scale and shift."""
PSEUDO_CODES = {PSEUDO_UNIT: DepthCodes("relative", "uint16", 65535)}
MULTIVIEW_CODES = {"ordinal": DepthCodes("ordinal", "uint16", 60000)}


@dataclass(frozen=True, slots=True)
class ListedImage(ListedCapture):
    """A listed capture with a colour image."""

    image: Path

    def read_rgb(self, notes: list[str] | None = None) -> UInt8Array:
        """(H, W, 3) uint8, sRGB; ImageError if the file is missing or damaged. ``notes`` gets those of the reader."""
        return read_rgb_file(self.image, notes)

    def focal_px(self, width: int) -> float | None:
        """Focal length in pixels of an image of this width; None if unknown."""
        return None


@dataclass(frozen=True, slots=True)
class RgbdFrame(ListedImage):
    """A colour image and its measured or estimated depth map; ``note`` describes its quality."""

    depth: Path
    codes: DepthCodes
    note: str

    @property
    def unit(self) -> InvDepthUnit:
        return self.codes.unit

    @property
    def files(self) -> tuple[Path, Path]:
        return self.image, self.depth

    @property
    def facts(self) -> dict[str, str]:
        return {"unit": self.unit, "note": self.note}

    def read_inv_depth(self, notes: list[str] | None = None) -> Float32Array:
        """(H, W) float32 in ``unit``, larger is nearer, NaN where unknown; CaptureError if the file is unusable.

        ``notes`` gets a sentence if some values were not used.
        """
        codes = oriented_like(self.image, read_codes(self.depth, self.codes.dtype))
        if self.codes.nearest is None:
            saturated = codes == LARGEST_CODE
            if saturated.any():
                codes[saturated] = 0
                if notes is not None:
                    notes.append(f"{saturated.mean():.1%} of the depth is {LARGEST_CODE}: read as unknown.")
            with np.errstate(divide="ignore"):
                u = 1000.0 / codes
        else:
            largest = codes.max(initial=0.0)
            if largest > self.codes.nearest:
                raise CaptureError(
                    f"{self.depth}: codes up to {largest:g}; expected 0 (unknown) to {self.codes.nearest} (nearest); "
                    "check depth_unit in the manifest"
                )
            u = codes / self.codes.nearest
        return np.where(codes > 0, u, np.nan).astype(np.float32)


def read_rgb_file(path: Path, notes: list[str] | None = None) -> UInt8Array:
    """(H, W, 3) uint8, upright sRGB; ImageError if it is missing or damaged. ``notes`` gets those of the reader."""
    photo = read_capture_photo(path, RESTORE, ImageError)
    if notes is not None:
        notes += photo.notes
    return photo.pixels


def oriented_like(image: Path, depth: NDArray[Any]) -> NDArray[Any]:
    """A depth map, upright like :func:`read_rgb_file` of its colour image.

    A depth map belongs to the stored pixels and is oriented with them, unless it has the upright shape already or, of
    equal shapes, its edges are clearly those of the upright image.
    """
    orientation = photo_header(image, RESTORE, ImageError).orientation
    if orientation == 1:
        return depth
    oriented = upright(depth, orientation)
    rgb = read_rgb_file(image)
    if oriented.shape != rgb.shape[:2]:
        return depth
    is_upright = depth.shape == oriented.shape and (
        _edge_correlation(depth, rgb) > _edge_correlation(oriented, rgb) + CLEARLY_BETTER
    )
    return depth if is_upright else oriented


def _edge_correlation(depth: NDArray[Any], rgb: UInt8Array) -> float:
    """Correlation of the edges of a depth map with those of an image, -1 to 1; 0 without edges."""
    edges = []
    for values in (np.asarray(depth, dtype=np.float64), rgb.mean(axis=2)):
        steps = np.abs(np.diff(values, axis=0))[:, 1:] + np.abs(np.diff(values, axis=1))[1:]
        edges.append(np.sqrt(np.minimum(steps, np.percentile(steps, 99))).ravel())
    if min(np.ptp(edge) for edge in edges) == 0:
        return 0.0
    return float(np.corrcoef(*edges)[0, 1])


def read_codes(path: Path, dtype: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Integer codes of a single-channel depth file as float64; CaptureError unless it is one channel of ``dtype``."""
    codes = read_stored(path, RESTORE, "depth image")
    # Pillow opens some 16-bit files as 32-bit integers.
    if dtype == "uint16" and codes.dtype == np.int32 and codes.size and codes.min() >= 0 and codes.max() <= 65535:
        codes = codes.astype(np.uint16)
    if codes.ndim != 2 or codes.dtype != np.dtype(dtype):
        raise CaptureError(f"{path}: {codes.shape} {codes.dtype}; expected one channel of {dtype}")
    return codes.astype(np.float64)


def list_rgbd(root: Path) -> list[RgbdFrame]:
    """RGB-D captures in the order of ``root/manifest.csv``; CaptureError names the line that is wrong."""
    return _list_frames(root, RGBD_CODES, "rgbd/")


def list_pseudo(root: Path) -> list[RgbdFrame]:
    """Sharp photos with pseudo-labels, as written by ``mddnet label``; the manifest has a column ``place``."""
    return _list_frames(root, PSEUDO_CODES)


def list_multiview(root: Path) -> list[RgbdFrame]:
    """Images with the ordinal inverse depth of sparse points; for losses on points, not for rendering."""
    return _list_frames(root, MULTIVIEW_CODES)


def _list_frames(root: Path, codes: Mapping[str, DepthCodes], locations: str = "") -> list[RgbdFrame]:
    """Frames with these values of ``depth_unit``; the location is ``locations`` and the source, or column ``place``."""
    frames: list[RgbdFrame] = []
    for line, row in manifest_rows(root, RGBD_COLUMNS if locations else PSEUDO_COLUMNS):
        unit, source = row["depth_unit"], row["source"]
        if unit not in codes:
            raise CaptureError(f"{line}: depth_unit {display(unit)}; expected one of {', '.join(codes)}")
        image, depth = file_inside(root, row["rgb"], line), file_inside(root, row["depth"], line)
        location = locations + source if locations else row["place"]
        name = f"{source}_{image.stem}"
        frames.append(RgbdFrame(name, location, source, row["licence"], image, depth, codes[unit], row["note"]))
    return check_unique(root, frames)


KINDS = (
    Kind(
        name="rgbd",
        title="RGB-D",
        capture="rgbd",
        order=3,
        share=0.2,
        builder="mddnet.scenes.rendered_scene:build_rgbd_scene",
        frames_measured=2,
        frames_rendered=4,
        reader=list_rgbd,
        folders=("depth/rgbd",),
    ),
    Kind(
        name="pseudo",
        title="Photos with pseudo-labels",
        capture="pseudo",
        order=8,
        share=0.1,
        builder="mddnet.scenes.rendered_scene:build_pseudo_scene",
        frames_rendered=3,
        reader=list_pseudo,
        folders=("pseudo",),
    ),
    Kind(
        name="multiview",
        title="Multi-view",
        capture="multiview",
        order=9,
        share=0.1,
        builder="mddnet.scenes.sparse_scene:build_multiview_scene",
        frames_measured=1,
        reader=list_multiview,
        folders=("depth/multiview",),
    ),
)

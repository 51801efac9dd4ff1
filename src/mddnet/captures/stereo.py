"""Stereo captures with a measured disparity map, listed by a ``manifest.csv``.

Layout: ``manifest.csv`` with the columns source, scene, files (left image; disparity; others, split by ``;``), kind,
calibration, licence, note. Kind ``stereo_gt``: disparity in pixels of the left image = uint16 / 256, 0 is unknown. Kind
``rgbd_relative``: uint8, brighter is nearer, only the order is known.

Disparity d is an affine inverse depth, u = (d + doffs) / (f B) for a rig of baseline B and focal length f in pixels
(Scharstein et al., "High-Resolution Stereo Datasets", GCPR 2014, section 4). The calibration column gives the numbers
in one of two forms, ``Z_mm=B*F/(k*d+D)`` or ``f=F px, baseline B mm, doffs=D px``; with anything else the map is
``relative``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mddnet.captures.kind import Kind
from mddnet.captures.manifest import check_unique, file_inside, manifest_rows
from mddnet.captures.rgbd import ListedImage, oriented_like, read_codes
from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.errors import CaptureError
from mddnet.io.json_fields import display
from mddnet.types import Float32Array, InvDepthUnit, UInt8Array

_NUMBER = r"(\d+(?:\.\d+)?)"
_FORMULA = re.compile(rf"Z_mm={_NUMBER}\*{_NUMBER}/\({_NUMBER}\*d\+{_NUMBER}\)")
_FACTS = re.compile(rf"f={_NUMBER} px, baseline {_NUMBER} mm, doffs={_NUMBER} px")
BRIGHT_LIGHT = 0.7  # linear light of the 99th percentile of dark images after gain


@dataclass(frozen=True, slots=True)
class StereoCalibration:
    """Metric inverse depth from disparity d: u = scale * d + offset."""

    scale: float  # 1/m per pixel of disparity, > 0
    offset: float  # 1/m at disparity zero
    focal_px: float  # focal length in pixels of the left image


@dataclass(frozen=True, slots=True)
class StereoScene(ListedImage):
    """The left image of a stereo pair with its disparity map."""

    disparity: Path
    unit: InvDepthUnit  # unit of :meth:`read_inv_depth`
    calibration: StereoCalibration | None  # for metric depth; None if incomplete
    dark: bool  # whether the image needs gain
    note: str  # describes the quality of the disparity

    @property
    def files(self) -> tuple[Path, Path]:
        return self.image, self.disparity

    @property
    def facts(self) -> dict[str, Any]:
        return {"unit": self.unit, "note": self.note, "calibration": repr(self.calibration), "dark": self.dark}

    def read_rgb(self, notes: list[str] | None = None) -> UInt8Array:
        """(H, W, 3) uint8, sRGB, dark images brightened; as :meth:`RgbdFrame.read_rgb`."""
        image = ListedImage.read_rgb(self, notes)
        return brightened(image) if self.dark else image

    def focal_px(self, width: int) -> float | None:
        return None if self.calibration is None else self.calibration.focal_px

    def read_inv_depth(self, notes: list[str] | None = None) -> Float32Array:  # as of RgbdFrame
        """(H, W) float32 in ``unit`` (pixels of disparity if relative), NaN where unknown; CaptureError if unusable."""
        codes = oriented_like(self.image, read_codes(self.disparity, "uint8" if self.unit == "ordinal" else "uint16"))
        if self.unit == "ordinal":
            return (codes / 255.0).astype(np.float32)
        u = codes / 256.0
        if self.calibration is not None:
            u = self.calibration.scale * u + self.calibration.offset
        return np.where(codes > 0, u, np.nan).astype(np.float32)


def brightened(srgb8: UInt8Array) -> UInt8Array:
    """Scale linear light so that the 99th percentile of the largest channel is at least 0.7."""
    linear = linear_from_srgb8(srgb8)
    high = float(np.percentile(linear.max(axis=2), 99))
    return srgb8 if high <= 0 or high >= BRIGHT_LIGHT else srgb8_from_linear(linear * (BRIGHT_LIGHT / high))


def parse_calibration(text: str) -> StereoCalibration | None:
    """Parse the calibration of a manifest row; None unless f, baseline and offset are given as numbers.

    For example, ``Z_mm=160*3740/(3*d+200)`` is u = (3 d + 200) / 598.4 per metre, and f = 3740 / 3 px of the image at
    hand.
    """
    if (match := _FORMULA.search(text)) is not None:
        baseline_mm, focal_px, reduction, offset_px = (float(g) for g in match.groups())
    elif (match := _FACTS.search(text)) is not None:
        focal_px, baseline_mm, offset_px = (float(g) for g in match.groups())
        reduction = 1.0
    else:
        return None
    metres = baseline_mm * focal_px / 1000.0
    if not (0 < metres < math.inf and 0 < reduction < math.inf and offset_px < math.inf):
        return None
    return StereoCalibration(reduction / metres, offset_px / metres, focal_px / reduction)


def list_stereo(root: Path) -> list[StereoScene]:
    """Stereo scenes in the order of ``root/manifest.csv``; CaptureError names the line that is wrong."""
    scenes: list[StereoScene] = []
    columns = ("source", "scene", "files", "kind", "calibration", "licence", "note")
    for line, row in manifest_rows(root, columns):
        if row["kind"] not in {"stereo_gt", "rgbd_relative"}:
            raise CaptureError(f"{line}: kind {display(row['kind'])}; expected stereo_gt or rgbd_relative")
        names = row["files"].split(";")
        if len(names) < 2:
            raise CaptureError(f"{line}: files {display(row['files'])}; expected IMAGE;DISPARITY")
        image, disparity = (file_inside(root, name, line) for name in names[:2])
        ordinal = row["kind"] == "rgbd_relative"
        calibration = None if ordinal else parse_calibration(row["calibration"])
        scenes.append(
            StereoScene(
                name=row["scene"],
                location=f"stereo/{row['scene']}",
                source=row["source"],
                licence=row["licence"],
                image=image,
                disparity=disparity,
                unit="ordinal" if ordinal else "relative" if calibration is None else "1/m",
                calibration=calibration,
                dark="dark" in row["note"],
                note=row["note"],
            )
        )
    return check_unique(root, scenes)


KINDS = (
    Kind(
        name="stereo",
        title="Stereo",
        capture="stereo",
        order=4,
        share=0.2,
        builder="mddnet.scenes.rendered_scene:build_stereo_scene",
        frames_measured=3,
        frames_rendered=6,
        reader=list_stereo,
        folders=("depth/stereo",),
    ),
)

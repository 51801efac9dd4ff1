"""Reader of the ALL-in-3D data set (He et al., arXiv:2208.09848): table-top scenes from a focusing rig.

Two layouts are supported. As published:

    all_in_focus/N.tif   depth/N/depth.npy (mm)   depth/N/mask.npy (0..255, 255 is measured)   fd/N/fd.npy
    focus_small/N/       every tenth focused frame; names end in the position's number, counted from 1

and per scene: ``N/AIF/AIF.tif``, ``N/depth/depth.npy``, ``N/depth/mask.npy``, ``N/focus/`` with frames and ``fd.npy``.
``fd.npy`` holds the focus depths D_f of all positions in mm. Frames whose names contain ``simu`` are synthetic and
skipped. An optional file ``all_in_3d.json`` next to the scenes adds facts, see :class:`AllIn3dFacts`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from mddnet.captures.description import Description, Number, Positive, PositiveOrNull, Text, parse
from mddnet.captures.kind import Kind, UnusableCapture, scene_name
from mddnet.captures.rgbd import ListedImage, read_rgb_file
from mddnet.errors import CaptureError
from mddnet.io.json_fields import read_json_object
from mddnet.io.npy_file import read_numbers
from mddnet.types import Float32Array, UInt8Array

FACTS_FILE = "all_in_3d.json"
FOCAL_MM = 50.0
FRAME_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
MEASURED = 255  # value of the mask where depth was measured
NEAREST_MM, FARTHEST_MM = 1e-6, 1e9  # range that float32 metres represent without becoming 0 or infinity
MIN_FRAMES = 3


class AllIn3dFacts(Description):
    """Content of ``all_in_3d.json``."""

    model_config = ConfigDict(extra="forbid")

    source: Text = "ALL-in-3D, He et al., arXiv:2208.09848"  # origin of the data set
    licence: Text = "none stated"  # licence stated there
    focal_mm: Positive = FOCAL_MM  # focal length F
    aperture_px: PositiveOrNull = None  # A of the paper's formula, aperture over pixel pitch, or None to fit it
    offset_change_mm: Number = 0.0  # correction of the offset e with which the focus depths were computed


@dataclass(frozen=True, slots=True)
class AllIn3dScene(ListedImage):
    """The files and the facts of one scene, named after its number or folder.

    The image is the all-in-focus image.
    """

    depth: Path
    mask: Path
    focus_depths: Path
    frames: dict[int, Path]  # by focus position, which counts from 1, in rising order
    focal_mm: float = FOCAL_MM
    aperture_px: float | None = None
    offset_change_mm: float = 0.0

    @property
    def scene(self) -> str:
        return scene_name(f"all_in_3d_{self.name}")

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.image, self.depth, self.mask, self.focus_depths, *self.frames.values())

    @property
    def facts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("focal_mm", "aperture_px", "offset_change_mm")}

    def read_frame(self, index: int, shape: tuple[int, ...], notes: list[str] | None = None) -> UInt8Array:
        """Pixels of the frame number ``index``, (H, W, 3) uint8, sRGB, of the ``shape`` of the all-in-focus image."""
        path = list(self.frames.values())[index]
        pixels = read_rgb_file(path, notes)
        if pixels.shape != shape:
            size = f"{pixels.shape[1]} x {pixels.shape[0]} pixels; expected {shape[1]} x {shape[0]}"
            raise CaptureError(f"{path}: {size} like {self.image}")
        return pixels

    def read_depth_m(self, shape: tuple[int, ...]) -> Float32Array:
        """Depth D, (H, W) float32, metres, NaN where not measured; CaptureError for another size or unit."""
        depth_mm, mask = read_numbers(self.depth), read_numbers(self.mask)
        for path, array in ((self.depth, depth_mm), (self.mask, mask)):
            if array.shape != shape[:2]:
                raise CaptureError(f"{path}: shape {array.shape}; expected {shape[:2]} like {self.image}")
        measured = mask == MEASURED
        if not measured.any():
            raise CaptureError(
                f"{self.mask}: values {float(mask.min()):g} to {float(mask.max()):g}, none is {MEASURED}; "
                f"expected {MEASURED} where depth was measured"
            )
        depth = np.where(measured & (depth_mm > NEAREST_MM) & (depth_mm < FARTHEST_MM), depth_mm, np.nan)
        middle = float(np.nanmedian(depth)) if np.isfinite(depth).any() else math.nan
        if not middle > self.focal_mm:
            raise CaptureError(
                f"{self.depth}: the median depth is {middle:g}; expected millimetres, beyond the focal length of "
                f"{self.focal_mm:g} mm"
            )
        return (depth / 1000.0).astype(np.float32)

    def read_focus_z_m(self) -> NDArray[np.float64]:
        """(N,) focus depth D_f of every frame, metres: 1 / (1/F - 1/(v + e)), with the change of e applied."""
        values = read_numbers(self.focus_depths).ravel()
        positions = np.array(list(self.frames))
        if positions.max() <= len(values):
            chosen = values[positions - 1]
        elif len(values) == len(positions):  # only the depths of the available frames
            chosen = values
        else:
            raise CaptureError(
                f"{self.focus_depths}: {len(values)} focus depths for {len(positions)} frames up to position "
                f"{positions.max()}; expected one per position or one per frame"
            )
        bad = ~(np.isfinite(chosen) & (chosen > self.focal_mm))
        if bad.any():
            name = list(self.frames.values())[int(np.flatnonzero(bad)[0])].name
            raise CaptureError(
                f"{self.focus_depths}: focus depth {chosen[bad][0]:g} of {name}; expected millimetres, "
                f"beyond the focal length of {self.focal_mm:g} mm"
            )
        sensor_mm = 1.0 / (1.0 / self.focal_mm - 1.0 / chosen) + self.offset_change_mm
        z_m = np.asarray(1.0 / (1.0 / self.focal_mm - 1.0 / sensor_mm) / 1000.0)
        if not ((sensor_mm > self.focal_mm) & np.isfinite(z_m) & (z_m > 0)).all():
            raise CaptureError(
                f"{self.focus_depths}: with a lens of {self.focal_mm:g} mm and offset_change_mm "
                f"{self.offset_change_mm:g}, the plane of focus is beyond infinity; expected a smaller change"
            )
        return z_m


def holds_all_in_3d(root: Path) -> bool:
    """Whether a folder has one of the two layouts."""
    return _is_published_layout(root) or next(root.glob("*/AIF"), None) is not None


def _is_published_layout(root: Path) -> bool:
    return all((root / name).is_dir() for name in ("all_in_focus", "depth", "fd"))


def list_all_in_3d(root: Path) -> list[AllIn3dScene | UnusableCapture]:
    """List the scenes of the data set in either layout; incomplete scenes come last."""
    file = root / FACTS_FILE
    facts = parse(AllIn3dFacts, file, read_json_object(file) if file.is_file() else {})
    if _is_published_layout(root):
        found = {path.stem for path in (root / "all_in_focus").glob("*.tif*")}
        for part in ("depth", "fd", "focus_small"):
            found |= {path.name for path in root.glob(f"{part}/*") if path.is_dir()}
    else:
        found = {path.parent.name for path in root.glob("*/AIF")}
    scenes: list[AllIn3dScene] = []
    unusable: list[UnusableCapture] = []
    names = [name for name in found if not name.startswith(".")]
    for name in sorted(names, key=lambda name: (float(name) if name.isdecimal() else math.inf, name)):
        try:
            scenes.append(_one_scene(root, name, facts))
        except CaptureError as error:
            unusable.append(UnusableCapture(name, f"all_in_3d/{name}", str(error)))
    return [*scenes, *unusable]


def _one_scene(root: Path, name: str, facts: AllIn3dFacts) -> AllIn3dScene:
    if _is_published_layout(root):
        sharp, depth, fd = root / "all_in_focus" / f"{name}.tif", root / "depth" / name, root / "fd" / name
        focus = root / "focus_small" / name
    else:
        sharp, depth, focus = root / name / "AIF" / "AIF.tif", root / name / "depth", root / name / "focus"
        fd = focus
    if not sharp.is_file() and sharp.with_suffix(".tiff").is_file():
        sharp = sharp.with_suffix(".tiff")
    parts = (sharp, depth / "depth.npy", depth / "mask.npy", fd / "fd.npy")
    for path in parts:
        if not path.is_file():
            raise CaptureError(
                f"{path}: no such file; expected this part of scene {name}: copy it, or remove the scene"
            )
    stated = facts.model_dump()
    about = (name, f"all_in_3d/{name}", stated.pop("source"), stated.pop("licence"))
    return AllIn3dScene(*about, *parts, _frames(focus), **stated)


def _frames(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        raise CaptureError(f"{folder}: no such folder; expected the focused frames of the scene")
    by_position: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in FRAME_SUFFIXES or "simu" in path.name.lower() or path.name.startswith("."):
            continue
        ending = re.search(r"([0-9]{1,9})$", path.stem)
        if ending is None or int(ending[1]) < 1:
            raise CaptureError(f"{path}: the name does not end in a position number from 1; rename or remove it")
        position = int(ending[1])
        if position in by_position:
            raise CaptureError(f"{path}: same position {position} as {by_position[position].name}; remove one")
        by_position[position] = path
    if len(by_position) < MIN_FRAMES:
        raise CaptureError(f"{folder}: {len(by_position)} focused frame(s); expected at least {MIN_FRAMES}")
    return dict(sorted(by_position.items()))


KINDS = (
    Kind(
        name="all_in_3d",
        title="ALL-in-3D",
        capture="all_in_3d",
        order=5,
        share=0.4,
        frames_measured=6,
        builder="mddnet.scenes.all_in_3d_scene:build_all_in_3d_scene",
        reader=list_all_in_3d,
        folders=("", "all_in_3d"),
        found_in=holds_all_in_3d,
        listing=FACTS_FILE,
    ),
)

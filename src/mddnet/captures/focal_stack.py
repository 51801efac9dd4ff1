"""Focal stacks described by ``capture.json``: frames of one scene with the plane of focus moving through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args, overload

import numpy as np
from PIL import ImageOps

from mddnet.errors import CaptureError
from mddnet.io.json_fields import (
    capture_flag,
    capture_text,
    named_file,
    named_files,
    numbers,
    plain_scene_name,
    positive_number,
    read_capture_json,
    shown,
    whole_number,
)
from mddnet.photo.image_file import opened_image, read_stored
from mddnet.types import Float32Array, Lens, UInt8Array

FocusUnit = Literal["1/m", "relative"]
FocusOrder = Literal["near_to_far", "far_to_near", "unknown"]
MIN_FRAMES = 3
RESTORE = "restore it or remove its name"
TURNED_ON_SIDE = frozenset({5, 6, 7, 8})
"""EXIF orientations of an image that lies on its side."""


@dataclass(frozen=True, slots=True)
class FocalStack:
    """A focal stack as captured; pixels stay on disk until :meth:`read_frame`.

    Attributes:
        folder: folder that holds everything.
        scene: name of the scene.
        place: scenes of one place go to one side of a split.
        source: where the capture comes from.
        licence: licence found there.
        frame_files: the frames, in capture order.
        height: rows of every frame.
        width: columns of every frame.
        focus_unit: unit of the focus: ``"1/m"`` with ``focus_values``, or ``"relative"`` with only ``order``.
        focus_values: inverse depth of the plane of focus of every frame in 1/m, or None.
        order: direction of the sweep.
        lens: what is known of the lens; the pitch is that of the frames here.
        aligned: whether the frames already lie on one another.
        index_map: file with somebody's depth from focus as frame numbers, or None.
        index_map_first_frame: the number that this file gives to the first frame.
    """

    folder: Path
    scene: str
    place: str
    source: str
    licence: str
    frame_files: tuple[Path, ...]
    height: int
    width: int
    focus_unit: FocusUnit
    focus_values: tuple[float, ...] | None
    order: FocusOrder
    lens: Lens
    aligned: bool
    index_map: Path | None = None
    index_map_first_frame: int = 1

    def read_frame(self, index: int) -> UInt8Array:
        """Pixels of frame ``index`` (0-based) as (H, W, 3) uint8, sRGB.

        Raises:
            CaptureError: if the file is damaged or its size differs from that of the first frame.
        """
        return _read_rgb(self.frame_files[index], (self.width, self.height))

    def read_index_map(self) -> Float32Array | None:
        """The index map as (H, W) float32, 0-based frame numbers, or None where the capture has none.

        Raises:
            CaptureError: if it is damaged or has another size than the frames.
        """
        if self.index_map is None:
            return None
        codes = read_stored(self.index_map, "remove index_map", what="index map")
        if codes.shape != (self.height, self.width):
            raise CaptureError(
                f"{self.index_map}: shape {codes.shape}; expected {self.height, self.width}, like the frames"
            )
        if codes.dtype.kind not in "uif":
            raise CaptureError(f"{self.index_map}: {codes.dtype}; expected frame numbers")
        return codes.astype(np.float32) - np.float32(self.index_map_first_frame)


class FramesOnDisk(Sequence[UInt8Array]):
    """The frames of a stack as a sequence that reads a frame each time it is asked for: none is kept in memory."""

    def __init__(self, stack: FocalStack) -> None:
        """Nothing is read yet."""
        self._stack = stack

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._stack.frame_files)

    @overload
    def __getitem__(self, index: int) -> UInt8Array: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[UInt8Array]: ...
    def __getitem__(self, index: int | slice) -> UInt8Array | Sequence[UInt8Array]:
        """One frame, or a list of some."""
        if isinstance(index, slice):
            return [self._stack.read_frame(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._stack.read_frame(index % len(self))


def read_focal_stack(folder: Path) -> FocalStack:
    """Read and check ``capture.json`` of a focal stack.

    Args:
        folder: folder with ``capture.json`` and the frames it names.

    Raises:
        CaptureError: naming the file, the value received, the value expected and the fix.
    """
    path, data = read_capture_json(folder, "focal_stack")
    frame_files = _frame_files(path, data)
    focus_unit, values, order = _focus(path, data, len(frame_files))
    width, height = common_size(frame_files)
    index_map, first = _index_map(path, data)
    return FocalStack(
        folder=folder,
        scene=plain_scene_name(path, data),
        place=capture_text(path, data, "place"),
        source=capture_text(path, data, "source"),
        licence=capture_text(path, data, "licence"),
        frame_files=frame_files,
        height=height,
        width=width,
        focus_unit=focus_unit,
        focus_values=values,
        order=order,
        lens=_lens(path, data),
        aligned=capture_flag(path, data, "aligned"),
        index_map=index_map,
        index_map_first_frame=first,
    )


def _frame_files(path: Path, data: dict[str, Any]) -> tuple[Path, ...]:
    names = data.get("frames")
    if isinstance(names, list) and len(names) < MIN_FRAMES:
        raise CaptureError(f"{path}: {len(names)} frame(s); expected at least {MIN_FRAMES} to compare their focus")
    return named_files(path, names, "frames")


def _focus(
    path: Path, data: dict[str, Any], frame_count: int
) -> tuple[FocusUnit, tuple[float, ...] | None, FocusOrder]:
    focus = data.get("focus")
    if not isinstance(focus, dict):
        raise CaptureError(f"{path}: focus is {shown(focus)}; expected an object with unit and values or order")
    unit, order, values = focus.get("unit"), focus.get("order", "unknown"), focus.get("values")
    if unit not in get_args(FocusUnit):
        raise CaptureError(f"{path}: focus.unit is {shown(unit)}; expected one of {', '.join(get_args(FocusUnit))}")
    if order not in get_args(FocusOrder):
        raise CaptureError(f"{path}: focus.order is {shown(order)}; expected one of {', '.join(get_args(FocusOrder))}")
    if unit == "relative":
        return "relative", None, cast(FocusOrder, order)
    if not isinstance(values, list) or len(values) != frame_count:
        count = len(values) if isinstance(values, list) else 0
        raise CaptureError(f"{path}: focus.values has {count} value(s); expected {frame_count}, one per frame, in 1/m")
    dioptres = numbers(path, "focus.values", values)
    if min(dioptres) < 0:
        raise CaptureError(f"{path}: focus.values holds {min(dioptres):g}; expected dioptres, >= 0")
    steps = np.diff(np.asarray(dioptres))
    if not ((steps > 0).all() or (steps < 0).all()):
        raise CaptureError(f"{path}: focus.values neither rise nor fall throughout; put the frames in order of focus")
    measured: FocusOrder = "far_to_near" if steps[0] > 0 else "near_to_far"
    if order not in {"unknown", measured}:
        raise CaptureError(f"{path}: focus.order is {order!r} but the values run {measured}; correct one of the two")
    return "1/m", dioptres, measured


def _lens(path: Path, data: dict[str, Any]) -> Lens:
    facts = data.get("lens")
    if facts is None:
        return Lens()
    if not isinstance(facts, dict):
        raise CaptureError(
            f"{path}: lens is {shown(facts)}; expected an object with focal_mm, f_number, pixel_um, or null"
        )
    known = {f"lens.{key}": facts.get(key) for key in ("focal_mm", "f_number", "pixel_um")}
    return Lens(*(positive_number(path, known, key, needed=False) for key in known))


def _index_map(path: Path, data: dict[str, Any]) -> tuple[Path | None, int]:
    entry = data.get("index_map")
    if entry is None:
        return None, 1
    if not isinstance(entry, dict):
        raise CaptureError(f"{path}: index_map is {shown(entry)}; expected file and first_frame (a whole number)")
    what = "number that the map gives to the first frame"
    first = whole_number(path, "index_map.first_frame", entry.get("first_frame"), -65_535, 65_535, what)
    return named_file(path, entry.get("file"), "index_map.file"), first


def common_size(frame_files: tuple[Path, ...]) -> tuple[int, int]:
    """(width, height) of all frames, from the headers alone."""
    size: tuple[int, int] | None = None
    for file in frame_files:
        with opened_image(file, RESTORE) as image:
            turned = image.getexif().get(0x0112, 1) in TURNED_ON_SIDE
            here = (image.height, image.width) if turned else (image.width, image.height)
        if size is None:
            size = here
        elif here != size:
            raise CaptureError(
                f"{file}: {here[0]} x {here[1]} pixels; expected {size[0]} x {size[1]} like {frame_files[0].name}: "
                "export all frames at one size"
            )
    assert size is not None  # at least MIN_FRAMES files were checked
    return size


def _read_rgb(file: Path, size: tuple[int, int]) -> UInt8Array:
    with opened_image(file, RESTORE) as image:
        pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    if pixels.shape[:2] != (size[1], size[0]):
        raise CaptureError(f"{file}: {pixels.shape[1]} x {pixels.shape[0]} pixels; expected {size[0]} x {size[1]}")
    return pixels

"""Focal stacks described by ``capture.json``: frames of one scene at different focus distances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from mddnet.captures.description import (
    CaptureDescription,
    Description,
    File,
    Files,
    Flag,
    NumbersOrNull,
    PositiveOrNull,
    read_capture,
    whole_number,
)
from mddnet.captures.kind import Kind
from mddnet.captures.rgbd import oriented_like
from mddnet.errors import CaptureError
from mddnet.photo.image_file import read_stored
from mddnet.photo.reader import photo_header, photo_white
from mddnet.types import Float32Array, Lens, UInt8Array

FocusOrder = Literal["near_to_far", "far_to_near", "unknown"]
MIN_FRAMES = 3
RESTORE = "restore it or remove its name"


class Focus(Description):
    """Focus of the frames: ``values`` in 1/m, one per frame, or only the ``order`` for the unit ``relative``."""

    unit: Literal["1/m", "relative"]
    order: FocusOrder = "unknown"
    values: NumbersOrNull = None

    @model_validator(mode="after")
    def _in_order(self) -> Focus:
        if self.unit == "relative":
            return self
        steps = np.diff(self.values or ())
        if self.values is None or min(self.values, default=0.0) < 0:
            raise ValueError("values of every frame in 1/m, 0 or more")
        if not ((steps > 0).all() or (steps < 0).all()):
            raise ValueError("values that rise or fall throughout: put the frames in order of focus")
        if self.order not in ("unknown", self.direction):
            raise ValueError(f"order {self.direction}, according to the values: correct one of the two")
        return self

    @property
    def direction(self) -> FocusOrder:
        """Direction of the sweep: from the values if given, otherwise as stated."""
        if self.unit == "relative" or not self.values:
            return self.order
        return "far_to_near" if self.values[-1] > self.values[0] else "near_to_far"


class IndexMap(Description):
    """Depth from focus by other authors: an image of frame numbers, and the number of its first frame."""

    file: File
    first_frame: Annotated[int, whole_number(-65_535, 65_535, "the number of the first frame in the map")]


class StackLens(Description):
    """Known lens facts; ``pixel_um`` is the pixel pitch of the frames."""

    focal_mm: PositiveOrNull = None
    f_number: PositiveOrNull = None
    pixel_um: PositiveOrNull = None


class FocalStack(CaptureDescription):
    """A focal stack as captured, with frames in capture order; :meth:`read_frame` reads pixels."""

    frame_files: Files = Field(alias="frames")
    focus: Focus
    stated_lens: StackLens | None = Field(None, alias="lens")
    aligned: Flag
    index_map: IndexMap | None = None

    @model_validator(mode="after")
    def _one_focus_per_frame(self) -> FocalStack:
        count = len(self.frame_files)
        if count < MIN_FRAMES:
            raise ValueError(f"{count} frame(s); expected at least {MIN_FRAMES} to compare their focus")
        if self.focus_values is not None and len(self.focus_values) != count:
            raise ValueError(f"focus.values has {len(self.focus_values)} value(s); expected {count}, one per frame")
        return self

    @property
    def focus_values(self) -> tuple[float, ...] | None:
        """Inverse depth of the plane of focus of every frame in 1/m; None if unknown."""
        return self.focus.values if self.focus.unit == "1/m" else None

    @property
    def lens(self) -> Lens:
        return Lens() if self.stated_lens is None else Lens(**self.stated_lens.model_dump())

    @cached_property
    def size(self) -> tuple[int, int]:
        return common_size(self.frame_files)

    @cached_property
    def white(self) -> float | None:
        return common_white(self.frame_files)

    def read_frame(self, index: int) -> UInt8Array:
        """Pixels of a frame, (H, W, 3) uint8, sRGB; CaptureError if it is damaged or of another size than the first."""
        file = self.frame_files[index]
        pixels = self.read_pixels(file, RESTORE, white=self.white)
        width, height = self.size
        if pixels.shape[:2] != (height, width):
            raise CaptureError(f"{file}: {pixels.shape[1]} x {pixels.shape[0]} pixels; expected {width} x {height}")
        return pixels

    def read_index_map(self) -> Float32Array | None:
        """The index map as (H, W) float32, 0-based frame numbers, or None without one; CaptureError if unusable."""
        if self.index_map is None:
            return None
        file = self.index_map.file
        codes = oriented_like(self.frame_files[0], read_stored(file, "remove index_map", "index map"))
        if codes.shape != self.size[::-1]:
            raise CaptureError(f"{file}: shape {codes.shape}; expected {self.size[::-1]}, like the frames")
        if codes.dtype.kind not in "uif":
            raise CaptureError(f"{file}: {codes.dtype}; expected frame numbers")
        return codes.astype(np.float32) - np.float32(self.index_map.first_frame)


class FramesOnDisk(Sequence[UInt8Array]):
    """The frames of a stack as a sequence that reads each frame on access and keeps none in memory."""

    def __init__(self, stack: FocalStack) -> None:
        self._stack = stack

    def __len__(self) -> int:
        return len(self._stack.frame_files)

    def __getitem__(self, index: Any) -> Any:
        numbers = range(len(self))[index]
        return self._stack.read_frame(numbers) if isinstance(numbers, int) else [self[i] for i in numbers]


def read_focal_stack(folder: Path) -> FocalStack:
    """Read and validate ``capture.json`` of a focal stack and the headers of its frames; CaptureError if invalid."""
    return read_capture(FocalStack, folder, "focal_stack")


def common_size(frame_files: tuple[Path, ...]) -> tuple[int, int]:
    """(width, height) of upright images, read from the headers; CaptureError names one that is damaged or differs."""
    first: tuple[int, int] | None = None
    for file in frame_files:
        header = photo_header(file, RESTORE)
        size = (header.width, header.height)
        first = first or size
        if size != first:
            raise CaptureError(
                f"{file}: {size[0]} x {size[1]} pixels; expected {first[0]} x {first[1]} like {frame_files[0].name}: "
                "export all frames at one size"
            )
    assert first is not None
    return first


def common_white(files: Iterable[Path], linear: bool = False) -> float | None:
    """White of all of these photos, so that they have one exposure; None if it needs no choice."""
    whites = (photo_white(file, RESTORE, linear) for file in files)
    return max((white for white in whites if white is not None), default=None)


KINDS = (
    Kind(
        name="focal_stacks",
        title="Focal stacks",
        capture="focal_stack",
        order=1,
        share=0.4,
        frames_measured=6,
        builder="mddnet.scenes.focal_stack_scene:build_focal_stack_scene",
        calibrator="mddnet.scenes.capture_calibration:calibrate_stack",
    ),
)

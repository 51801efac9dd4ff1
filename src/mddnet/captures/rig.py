"""Captures of a focusing rig with structured light: ``capture.json`` of kind ``rig``.

A rig capture is a focal stack at maximum aperture with the sensor position of every frame, fringe images at minimum
aperture, and the calibration of camera and projector (the rig of He et al., arXiv:2208.09848). ``docs/rig.md``
describes the layout and the procedure.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from mddnet.captures.description import (
    CaptureDescription,
    FilesBelow,
    Flag,
    NumberOrNull,
    Numbers,
    Positive,
    PositiveOrNull,
    parse,
    read_capture,
)
from mddnet.captures.focal_stack import RESTORE, common_size, common_white
from mddnet.captures.kind import Kind
from mddnet.captures.structured_light import FringeImages, ProjectorGeometry
from mddnet.color import linear_from_srgb, linear_from_srgb8
from mddnet.errors import CaptureError
from mddnet.io.json_fields import display, is_plain_name, read_json_object
from mddnet.photo.image_file import opened_image
from mddnet.photo.reader import photo_header, read_capture_photo, upright
from mddnet.types import Float32Array, UInt8Array

Response = Literal["linear", "srgb"]
MIN_FRAMES = 4
MIN_FOCUS_TRAVEL = 0.005
"""Minimum movement of the plane of focus over a sweep, dioptres; sensor positions in metres give far less."""


class RigCapture(CaptureDescription):
    """A rig capture; pixels are read on demand."""

    unit: Literal["mm"]  # of sensor positions, focal length and translation
    response: Response  # whether pixel values are linear in light or sRGB-encoded
    focal_mm: Positive  # focal length F, mm
    f_number: PositiveOrNull = None  # at maximum aperture, or None
    pixel_um: PositiveOrNull = None  # pixel pitch, micrometres, or None
    frames: FilesBelow  # the focal stack, in order of the sensor positions
    sensor_mm: Numbers = Field(alias="sensor")  # (N,) readings of the sensor position v, rising or falling
    aligned: Flag = False  # whether focus breathing is already removed from the frames
    fringes: FringeImages  # the fringe images
    calibration: object  # camera and projector, or the name of the file with them, in the folder or its parent
    aperture_px: PositiveOrNull = None  # A, aperture diameter over pixel pitch, if known
    offset_mm: NumberOrNull = None  # e, sensor distance minus reading, if known

    @model_validator(mode="after")
    def _sweep(self) -> RigCapture:
        sensor, frames = self.sensor_mm, self.frames
        if len(frames) < MIN_FRAMES:
            raise ValueError(f"{len(frames)} frame(s); expected at least {MIN_FRAMES} sensor positions")
        if len(sensor) != len(frames):
            raise ValueError(f"sensor is {len(sensor)} value(s); expected a list of {len(frames)} numbers")
        steps = np.diff(sensor)
        if not ((steps > 0).all() or (steps < 0).all()):
            wrong = int(np.flatnonzero(np.sign(steps) != np.sign(sensor[-1] - sensor[0]))[0]) + 1
            raise ValueError(
                f"sensor is not monotone: {sensor[wrong]:g} follows {sensor[wrong - 1]:g} at "
                f"{frames[wrong].name}; sort frames and sensor by position"
            )
        travel = abs(sensor[-1] - sensor[0])
        dioptres = 1000.0 * travel / self.focal_mm / self.focal_mm
        if travel >= self.focal_mm or dioptres < MIN_FOCUS_TRAVEL:
            raise ValueError(
                f"sensor spans {travel:g}, which moves the plane of focus of an F = {self.focal_mm:g} mm lens by "
                f"{dioptres:.3g} dioptres; expected millimetres"
            )
        most = self.geometry.lines(self.fringes.axis) / 4
        if self.fringes.periods[-1] > most:
            raise ValueError(
                f"fringes.periods reaches {self.fringes.periods[-1]:g}; expected at most {most:g}, at least 4 pixels "
                "per period"
            )
        return self

    @cached_property
    def geometry(self) -> ProjectorGeometry:
        name = self.calibration
        if not isinstance(name, str):
            return parse(ProjectorGeometry, self.path, name, "calibration")
        if not is_plain_name(name):
            raise CaptureError(f"{self.path}: calibration is {display(name)}; expected a plain file name")
        for folder in (self.folder, self.folder.parent):
            if (path := folder / name).is_file():
                return parse(ProjectorGeometry, path, read_json_object(path))
        raise CaptureError(f"{self.path}: calibration {name!r} is neither in {self.folder} nor in its parent")

    @cached_property
    def size(self) -> tuple[int, int]:
        return common_size(self.images)

    @property
    def images(self) -> tuple[Path, ...]:
        return (*self.frames, *(file for row in self.fringes.files for file in row))

    @cached_property
    def white(self) -> float | None:
        return common_white(self.images, self.response == "linear")

    def read_frame(self, index: int) -> UInt8Array:
        """A frame of the stack, (H, W, 3) uint8, sRGB-encoded for either response; ImageError if it is damaged."""
        linear = self.response == "linear"
        return self.read_pixels(self.frames[index], RESTORE, linear=linear, white=self.white)

    def read_fringe(self, frequency: int, step: int) -> Float32Array:
        """A fringe image, (H, W) float32 linear light, 1 is full scale; CaptureError if it is damaged."""
        return read_light(self.fringes.files[frequency][step], self.response, self.white)


def read_light(path: Path, response: Response, white: float | None = None) -> Float32Array:
    """Linear light of a grey or colour image, upright, (H, W) float32 in 0..1; CaptureError if damaged.

    16 bits are kept; ``white`` is the share of their range that is full scale, by default 1.
    """
    with opened_image(path, RESTORE) as image:
        grey = image.mode == "L" or image.mode.startswith("I;16")
        codes = np.asarray(image) if grey else None
    if codes is None:
        # the brightest channel saturates first
        pixels = read_capture_photo(path, RESTORE, linear=response == "linear", white=white).pixels
        linear = linear_from_srgb8(pixels)
        return np.asarray(linear.max(axis=2), dtype=np.float32)
    codes = upright(codes, photo_header(path, RESTORE).orientation)
    light = codes.astype(np.float32) / np.float32(255 if codes.dtype == np.uint8 else 65535 * (white or 1.0))
    return light if response == "linear" else linear_from_srgb(light)


def read_rig(folder: Path) -> RigCapture:
    """Read and validate ``capture.json`` of a rig and the headers of its images; CaptureError if invalid."""
    return read_capture(RigCapture, folder, "rig")


def rig_files(folder: Path) -> tuple[Path, ...]:
    """All files of a rig capture: those of its folder, and a calibration in the parent folder."""
    files = [p for p in folder.rglob("*") if p.is_file() and not any(part.startswith(".") for part in p.parts[-2:])]
    try:
        calibration = read_json_object(folder / "capture.json").get("calibration")
    except CaptureError:
        calibration = None
    if isinstance(calibration, str) and is_plain_name(calibration) and (folder.parent / calibration).is_file():
        files.append(folder.parent / calibration)
    return tuple(sorted(files))


KINDS = (
    Kind(
        name="rigs",
        title="Rigs",
        capture="rig",
        order=6,
        share=0.4,
        frames_measured=6,
        builder="mddnet.scenes.rig_scene:build_rig_scene",
        calibrator="mddnet.scenes.capture_calibration:calibrate_rig",
        files_of=rig_files,
    ),
)

"""Captures of a focusing rig with structured light: ``capture.json`` of kind ``rig``, untouched.

A rig capture is a focal stack at maximum aperture with the sensor position of every frame, fringe images at minimum
aperture, and the calibration of camera and projector (the rig of He et al., arXiv:2208.09848). ``docs/rig.md`` has the
layout and says how to shoot one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np

from mddnet.captures.focal_stack import RESTORE, common_size
from mddnet.captures.structured_light import (
    MIN_STEPS,
    FringeAxis,
    FringeImages,
    ProjectorGeometry,
    parse_geometry,
    parse_periods,
)
from mddnet.color import linear_from_srgb, linear_from_srgb8
from mddnet.errors import CaptureError
from mddnet.io.json_fields import (
    capture_flag,
    capture_text,
    is_number,
    is_plain_name,
    named_files,
    numbers,
    plain_scene_name,
    positive_number,
    read_capture_json,
    read_json_object,
    shown,
)
from mddnet.photo.image_file import opened_image
from mddnet.photo.reader import read_photo
from mddnet.types import Float32Array, UInt8Array

Response = Literal["linear", "srgb"]
MIN_FRAMES = 4
MIN_FOCUS_TRAVEL = 0.005
"""Dioptres by which a sweep must move the plane of focus; sensor positions in metres fall far below."""


@dataclass(frozen=True, slots=True, eq=False)
class RigCapture:
    """A rig capture; pixels stay on disk until they are asked for.

    Attributes:
        folder: folder that holds everything.
        scene: name of the scene.
        place: scenes of one place go to one side of a split.
        source: where the capture comes from.
        licence: licence found there.
        response: whether pixel values are linear in light or sRGB-encoded.
        focal_mm: focal length F, mm.
        f_number: at maximum aperture, or None.
        pixel_um: pixel pitch, micrometres, or None.
        frames: the focal stack, in order of the sensor positions.
        sensor_mm: (N,) readings of the sensor position v, mm, rising or falling throughout.
        aligned: whether breathing has been undone already, so that the frames lie on the fringe images.
        fringes: the fringe images.
        geometry: calibration of camera and projector.
        height: rows of every image.
        width: columns of every image.
        aperture_px: A, aperture diameter over pixel pitch, where it is known from elsewhere.
        offset_mm: e, what the readings lack of the sensor distance, where it is known from elsewhere.
    """

    folder: Path
    scene: str
    place: str
    source: str
    licence: str
    response: Response
    focal_mm: float
    f_number: float | None
    pixel_um: float | None
    frames: tuple[Path, ...]
    sensor_mm: tuple[float, ...]
    aligned: bool
    fringes: FringeImages
    geometry: ProjectorGeometry
    height: int
    width: int
    aperture_px: float | None = None
    offset_mm: float | None = None

    def read_frame(self, index: int) -> UInt8Array:
        """A frame of the stack as (H, W, 3) uint8, sRGB-encoded whatever the camera's response.

        Raises:
            ImageError: if the file is damaged.
        """
        return read_photo(self.frames[index], linear=self.response == "linear").pixels

    def read_fringe(self, frequency: int, step: int) -> Float32Array:
        """A fringe image as (H, W) float32, linear light, 1 is the largest value that the file can hold.

        Raises:
            CaptureError: if the file is damaged.
        """
        return read_light(self.fringes.files[frequency][step], self.response)


def read_light(path: Path, response: Response) -> Float32Array:
    """Linear light of a grey or colour image, (H, W) float32 in 0..1; 16 bits are kept.

    Raises:
        CaptureError: if the file is damaged.
    """
    with opened_image(path, RESTORE) as image:
        grey = image.mode == "L" or image.mode.startswith("I;16")
        codes = np.asarray(image) if grey else None
    if codes is None:
        # the brightest channel saturates first
        linear = linear_from_srgb8(read_photo(path, linear=response == "linear").pixels)
        return np.asarray(linear.max(axis=2), dtype=np.float32)
    light = codes.astype(np.float32) / np.float32(255 if codes.dtype == np.uint8 else 65535)
    return light if response == "linear" else linear_from_srgb(light)


def read_rig(folder: Path) -> RigCapture:
    """Read and check ``capture.json`` of a rig capture, and the sizes of its images.

    Args:
        folder: folder with ``capture.json`` and the images it names.

    Raises:
        CaptureError: naming the file, the value received, the value expected and the fix.
    """
    path, data = read_capture_json(folder, "rig")
    if data.get("unit") != "mm":
        raise CaptureError(
            f'{path}: unit is {shown(data.get("unit"))}; expected "mm": sensor positions, focal length and '
            "translation in millimetres"
        )
    response = data.get("response")
    if response not in get_args(Response):
        raise CaptureError(f"{path}: response is {shown(response)}; expected one of {', '.join(get_args(Response))}")
    focal_mm = positive_number(path, data, "focal_mm")
    assert focal_mm is not None
    frames = named_files(path, data.get("frames"), "frames", folders=1)
    if len(frames) < MIN_FRAMES:
        raise CaptureError(f"{path}: {len(frames)} frame(s); expected at least {MIN_FRAMES} sensor positions")
    sensor = _sensor(path, data, frames, focal_mm)
    geometry = parse_geometry(*_calibration(path, data))
    fringes = _fringes(path, data, geometry)
    width, height = common_size((*frames, *(file for row in fringes.files for file in row)))
    offset = data.get("offset_mm")
    if offset is not None and not is_number(offset):
        raise CaptureError(f"{path}: offset_mm is {shown(offset)}; expected a number of millimetres, or null")
    return RigCapture(
        folder=folder,
        scene=plain_scene_name(path, data),
        place=capture_text(path, data, "place"),
        source=capture_text(path, data, "source"),
        licence=capture_text(path, data, "licence"),
        response=cast(Response, response),
        focal_mm=focal_mm,
        f_number=positive_number(path, data, "f_number", needed=False),
        pixel_um=positive_number(path, data, "pixel_um", needed=False),
        frames=frames,
        sensor_mm=sensor,
        aligned=capture_flag(path, data, "aligned", default=False),
        fringes=fringes,
        geometry=geometry,
        height=height,
        width=width,
        aperture_px=positive_number(path, data, "aperture_px", needed=False),
        offset_mm=None if offset is None else float(offset),
    )


def rig_files(folder: Path) -> tuple[Path, ...]:
    """Every file that a rig capture can be made from: those of its folder and a calibration beside it."""
    files = [p for p in folder.rglob("*") if p.is_file() and not any(part.startswith(".") for part in p.parts[-2:])]
    try:
        calibration = read_json_object(folder / "capture.json").get("calibration")
    except CaptureError:
        calibration = None
    if isinstance(calibration, str) and is_plain_name(calibration) and (folder.parent / calibration).is_file():
        files.append(folder.parent / calibration)
    return tuple(sorted(files))


def _sensor(path: Path, data: dict[str, Any], frames: tuple[Path, ...], focal_mm: float) -> tuple[float, ...]:
    sensor = numbers(path, "sensor", data.get("sensor"), len(frames))
    steps = np.diff(sensor)
    if not ((steps > 0).all() or (steps < 0).all()):
        wrong = int(np.flatnonzero(np.sign(steps) != np.sign(sensor[-1] - sensor[0]))[0]) + 1
        raise CaptureError(
            f"{path}: sensor neither rises nor falls throughout: {sensor[wrong]:g} follows {sensor[wrong - 1]:g} at "
            f"{frames[wrong].name}; put frames and sensor in the order of the stage"
        )
    travel = abs(sensor[-1] - sensor[0])
    dioptres = 1000.0 * travel / focal_mm / focal_mm
    if travel >= focal_mm or dioptres < MIN_FOCUS_TRAVEL:
        raise CaptureError(
            f"{path}: sensor spans {travel:g}, which moves the plane of focus of an F = {focal_mm:g} mm lens by "
            f"{dioptres:.3g} dioptres; expected millimetres"
        )
    return sensor


def _calibration(path: Path, data: dict[str, Any]) -> tuple[Path, object]:
    """The calibration and the file it stands in: ``capture.json``, or a file in or beside the capture folder."""
    calibration = data.get("calibration")
    if not isinstance(calibration, str):
        return path, calibration
    if not is_plain_name(calibration):
        raise CaptureError(f"{path}: calibration is {shown(calibration)}; expected a plain file name")
    for folder in (path.parent, path.parent.parent):
        if (folder / calibration).is_file():
            return folder / calibration, read_json_object(folder / calibration)
    raise CaptureError(f"{path}: calibration {calibration!r} lies neither in {path.parent} nor beside it")


def _fringes(path: Path, data: dict[str, Any], geometry: ProjectorGeometry) -> FringeImages:
    fringes = data.get("fringes")
    if not isinstance(fringes, dict):
        raise CaptureError(
            f"{path}: fringes is {shown(fringes)}; expected an object with axis, periods, frames and sensor"
        )
    axis = fringes.get("axis")
    if axis not in get_args(FringeAxis):
        raise CaptureError(
            f"{path}: fringes.axis is {shown(axis)}; expected x (vertical stripes) or y (horizontal ones)"
        )
    periods = parse_periods(path, fringes.get("periods"), geometry.lines(cast(FringeAxis, axis)))
    rows = fringes.get("frames")
    if not isinstance(rows, list) or len(rows) != len(periods):
        count = len(rows) if isinstance(rows, list) else 0
        raise CaptureError(f"{path}: fringes.frames has {count} list(s); expected {len(periods)}, one per frequency")
    files = tuple(named_files(path, row, f"fringes.frames[{k}]", folders=1) for k, row in enumerate(rows))
    for periods_here, row in zip(periods, files, strict=True):
        if len(row) < MIN_STEPS:
            raise CaptureError(
                f"{path}: {len(row)} fringe image(s) with {periods_here:g} periods; expected at least {MIN_STEPS} steps"
            )
    sensor = fringes.get("sensor")
    if not is_number(sensor):
        raise CaptureError(
            f"{path}: fringes.sensor is {shown(sensor)}; expected the sensor position of the fringe images"
        )
    return FringeImages(cast(FringeAxis, axis), periods, files, float(cast(float, sensor)))

"""Sensors of common cameras by EXIF model, for photos whose EXIF lacks the focal plane resolution.

Sizes are from the makers' published specifications; the Canon rows agree with openMVG's CameraSensorSizeDatabase.
Phone entries follow the published pixel pitch and apply to the phone's camera with this focal length.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources

from mddnet.errors import MddnetError

SIDE_TOLERANCE = 0.02  # depending on the software, a file has a few pixels more or less than specified
FOCAL_TOLERANCE = 0.08


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor and the size of the camera's largest photo."""

    model: str  # name of the camera
    long_mm: float  # imaged area, millimetres
    short_mm: float
    long_px: int  # size of the largest photo
    short_px: int
    focal_mm: float | None = None  # focal length of the phone camera with this sensor; None for interchangeable lenses

    @property
    def pixel_um(self) -> float:
        """Pitch of the camera's own pixels, micrometres."""
        return 1000.0 * self.long_mm / self.long_px

    def cropped(self, zoom: float) -> Sensor:
        """The part of the sensor that a digital zoom enlarges to the size of the camera's photos."""
        return replace(self, long_mm=self.long_mm / zoom, short_mm=self.short_mm / zoom)

    def pitch(self, width: int, height: int) -> PhotoPitch:
        """Pixel pitch of a photo of ``width`` x ``height`` pixels from this camera.

        If one edge has the full length, the photo is original, or cropped along the other edge. If it is smaller but
        has the shape of the sensor, it was resized. Any other shape means cropped and perhaps resized: unknown pitch.
        """
        long_px, short_px = max(width, height), min(width, height)
        longer, shorter = long_px / self.long_px, short_px / self.short_px
        size = f"{self.model} takes {self.long_px} x {self.short_px} px, the photo has {long_px} x {short_px}"
        if max(longer, shorter) > 1.0 + SIDE_TOLERANCE:
            return PhotoPitch(None, f"{size}: enlarged or stitched.")
        if abs(longer - 1.0) <= SIDE_TOLERANCE or abs(shorter - 1.0) <= SIDE_TOLERANCE:
            whole = abs(longer - shorter) <= SIDE_TOLERANCE
            return PhotoPitch(self.pixel_um, "" if whole else f"{size}: assumed to be cropped, not resized.")
        if abs(longer / shorter - 1.0) <= SIDE_TOLERANCE:
            return PhotoPitch(self.pixel_um / longer, f"{size}: assumed to be resized, not cropped.")
        return PhotoPitch(None, f"{size}: cropped, and perhaps resized.")


@dataclass(frozen=True, slots=True)
class PhotoPitch:
    """Pixel pitch of a photo."""

    pixel_um: float | None  # pitch of the pixels as given, micrometres; None if unknown
    note: str  # the assumption made, or why it is unknown; '' for an original photo


def _key(model: str) -> str:
    return " ".join(model.replace("\0", " ").split()).casefold()


def _listed() -> Iterator[Sensor]:
    """The sensors of ``sensors.csv``; a camera has several EXIF names in some countries."""
    text = resources.files("mddnet.photo").joinpath("sensors.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        size = float(row["long_mm"]), float(row["short_mm"]), int(row["long_px"]), int(row["short_px"])
        for model in row["models"].split("; "):
            yield Sensor(model, *size, float(row["focal_mm"]) if row["focal_mm"] else None)


SENSORS = {_key(sensor.model): sensor for sensor in _listed()}  # sensors by model, in lower case and with single spaces


def sensor_of(model: object, focal_mm: float | None) -> Sensor | None:
    """The sensor by EXIF's Model and the focal length; None if unknown, or for another camera of a phone."""
    sensor = SENSORS.get(_key(model)) if isinstance(model, str) else None
    if sensor is None or sensor.focal_mm is None:
        return sensor
    return sensor if focal_mm is not None and abs(focal_mm / sensor.focal_mm - 1.0) <= FOCAL_TOLERANCE else None


SENSOR_WIDTH_MM = {
    "full frame, 36 mm": 36.0,
    "APS-C, 23.5 mm": 23.5,
    "APS-C (Canon), 22.3 mm": 22.3,
    "Micro Four Thirds, 17.3 mm": 17.3,
    "1 inch, 13.2 mm": 13.2,
    "phone, 1/1.3 inch, 9.8 mm": 9.8,
    "phone, 1/2.55 inch, 5.6 mm": 5.6,
}
"""Common sensor formats and their width, which gives the pixel pitch of an uncropped photo."""
CAMERAS: dict[str, Sensor] = {sensor.model: sensor for sensor in SENSORS.values()}
"""Cameras with a known sensor, by their EXIF name."""
SENSOR_CHOICES = (*SENSOR_WIDTH_MM, *sorted(CAMERAS, key=str.casefold))
_SIZE = re.compile(r"([0-9]+(?:[.][0-9]+)?) ?[xX×] ?([0-9]+(?:[.][0-9]+)?)(?: ?mm)?")


def pitch_of_sensor(choice: str, width_px: int, height_px: int, focal_mm: float | None = None) -> PhotoPitch:
    """Pixel pitch of a photo by its camera, the size of its sensor or, if it is not cropped, its sensor format.

    ``choice`` is one of ``SENSOR_CHOICES``, in any case, or a size in millimetres such as ``36x24``; the focal length
    identifies one of several cameras of a phone, None is the listed one. MddnetError for a sensor that is not listed.
    """
    if choice in SENSOR_WIDTH_MM:
        return PhotoPitch(1000.0 * SENSOR_WIDTH_MM[choice] / max(width_px, height_px), "")
    if (size := _SIZE.fullmatch(choice.strip())) is not None:
        return _pitch_of_size(sorted((float(size[1]), float(size[2])), reverse=True), width_px, height_px, choice)
    camera = camera_of(choice)
    if camera is None:
        near = difflib.get_close_matches(choice, CAMERAS, n=3)
        raise MddnetError(
            f"camera or sensor {choice!r}: expected {' or '.join(near) or 'one of the listed cameras'}, a size in mm "
            f"such as 36x24, or one of {', '.join(SENSOR_WIDTH_MM)}; {len(CAMERAS)} cameras are listed"
        )
    if sensor_of(choice, camera.focal_mm if focal_mm is None else focal_mm) is None:
        note = f"{choice}: the known sensor has a lens of {camera.focal_mm:g} mm, not of {focal_mm:g} mm."
        return PhotoPitch(None, note)
    return camera.pitch(width_px, height_px)


def camera_of(name: str) -> Sensor | None:
    """The camera with this name, in any case."""
    return SENSORS.get(_key(name))


def _pitch_of_size(size_mm: list[float], width_px: int, height_px: int, choice: str) -> PhotoPitch:
    """The edge that is not cropped has the smaller pitch."""
    if not 1.0 <= size_mm[1] <= size_mm[0] <= 1000.0:
        raise MddnetError(f"sensor {choice!r}: expected 1 to 1000 mm, such as 36x24")
    by_long, by_short = size_mm[0] / max(width_px, height_px), size_mm[1] / min(width_px, height_px)
    cropped = f"The photo has another shape than a sensor of {choice}: assumed to be cropped, not resized."
    whole = abs(by_long / by_short - 1.0) <= SIDE_TOLERANCE
    return PhotoPitch(1000.0 * min(by_long, by_short), "" if whole else cropped)

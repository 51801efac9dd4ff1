"""Conversion between the form of lens facts and a lens."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from mddnet.errors import MddnetError
from mddnet.io.json_fields import display, is_number
from mddnet.photo.reader import replaced_lens
from mddnet.photo.sensor_table import SENSORS, PhotoPitch, Sensor, sensor_of
from mddnet.types import Lens, Photo

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
CAMERAS: dict[str, Sensor] = {sensor.model: sensor for sensor in SENSORS.values()}  # by their EXIF name
SENSOR_CHOICES = (*SENSOR_WIDTH_MM, *sorted(CAMERAS, key=str.casefold))
FIELDS = ("focal length, mm", "f-number", "pixel pitch, µm", "focus distance, m")


@dataclass(frozen=True, slots=True)
class TypedLens:
    """Typed lens facts; missing ones are read from EXIF."""

    lens: Lens = field(default_factory=Lens)
    sensor: str | None = None  # one of ``SENSOR_CHOICES``, which sets the pixel pitch unless it is typed

    def added_to(self, photo: Photo) -> Photo:
        """The photo with the typed facts instead of those of EXIF; MddnetError for a sensor that is not listed."""
        lens = replaced_lens(photo.lens, self.lens)
        if self.sensor is None or self.lens.pixel_um is not None:
            return replace(photo, lens=lens)
        height, width = photo.pixels.shape[:2]
        pitch = pitch_of_sensor(self.sensor, width, height, lens.focal_mm)
        camera = CAMERAS.get(self.sensor)
        if lens.focal_mm is None and camera is not None and pitch.pixel_um is not None:
            lens = replace(lens, focal_mm=camera.focal_mm)
        # The selection replaces EXIF, even if it leaves the pitch unknown.
        lens = replace(lens, pixel_um=pitch.pixel_um)
        return replace(photo, lens=lens, notes=(*photo.notes, pitch.note) if pitch.note else photo.notes)


NO_LENS_FACTS = TypedLens()


def pitch_of_sensor(choice: str, width_px: int, height_px: int, focal_mm: float | None = None) -> PhotoPitch:
    """Pixel pitch of a photo by its camera or, if it is not cropped, by its sensor format.

    ``focal_mm`` identifies one of several cameras of a phone; None is the listed one. MddnetError for a choice that is
    not one of ``SENSOR_CHOICES``.
    """
    if choice in SENSOR_WIDTH_MM:
        return PhotoPitch(1000.0 * SENSOR_WIDTH_MM[choice] / max(width_px, height_px), "")
    camera = CAMERAS.get(choice)
    if camera is None:
        raise MddnetError(f"sensor {choice!r}: expected one of {', '.join(SENSOR_WIDTH_MM)}, or a listed camera")
    if sensor_of(choice, camera.focal_mm if focal_mm is None else focal_mm) is None:
        note = f"{choice}: the known sensor has a lens of {camera.focal_mm:g} mm, not of {focal_mm:g} mm."
        return PhotoPitch(None, note)
    return camera.pitch(width_px, height_px)


def lens_of_form(
    focal_mm: float | None, f_number: float | None, pixel_um: float | None, focus_m: float | None, at_infinity: bool
) -> Lens:
    """The lens described by the fields; empty or 0 is unknown. MddnetError for a negative or infinite number."""
    values = dict(zip(FIELDS, (focal_mm, f_number, pixel_um, focus_m), strict=True))
    for name, value in values.items():
        if value and not (is_number(value) and value > 0):
            raise MddnetError(f"{name}: {display(value)}; expected a positive number, or an empty field if unknown")
    f, n, pitch, distance = (float(value) if value else None for value in values.values())
    return Lens(f, n, pitch, math.inf if at_infinity else distance)


def form_of_lens(lens: Lens) -> tuple[float | None, float | None, float | None, float | None, bool]:
    """The fields that describe a lens: f, N, pixel pitch, focus distance, and whether that is infinite."""
    values = (lens.focal_mm, lens.f_number, lens.pixel_um, lens.focus_m)
    f, n, pitch, m = (None if value is None or value == math.inf else float(f"{value:.5g}") for value in values)
    return f, n, pitch, m, lens.focus_m == math.inf

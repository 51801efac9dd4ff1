"""The lens facts as a form: what a visitor typed, turned into a lens, and back."""

from __future__ import annotations

import math

from mddnet.errors import MddnetError
from mddnet.types import Lens

SENSOR_WIDTH_MM = {
    "full frame, 36 mm": 36.0,
    "APS-C, 23.5 mm": 23.5,
    "APS-C (Canon), 22.3 mm": 22.3,
    "Micro Four Thirds, 17.3 mm": 17.3,
    "1 inch, 13.2 mm": 13.2,
    "phone, 1/1.3 inch, 9.8 mm": 9.8,
    "phone, 1/2.55 inch, 5.6 mm": 5.6,
}
"""Usual sensors and the length of their long side, which gives the pixel pitch of a photo that was not cropped."""


def pixel_um_of_sensor(sensor: str, width_px: int, height_px: int) -> float:
    """Pitch of the pixels of an uncropped photo by the sensor's long side, micrometres.

    Raises:
        MddnetError: for a sensor that is not listed.
    """
    if sensor not in SENSOR_WIDTH_MM:
        raise MddnetError(f"sensor {sensor!r}: expected one of {', '.join(SENSOR_WIDTH_MM)}")
    return 1000.0 * SENSOR_WIDTH_MM[sensor] / max(width_px, height_px)


def lens_of_form(
    focal_mm: float | None, f_number: float | None, pixel_um: float | None, focus_m: float | None, at_infinity: bool
) -> Lens:
    """The lens that the fields describe; an empty field is unknown, and so is a zero.

    Raises:
        MddnetError: for a negative number or one that is not finite, naming the field.
    """
    fields = {
        "focal length, mm": focal_mm,
        "f-number": f_number,
        "pixel pitch, µm": pixel_um,
        "focus distance, m": focus_m,
    }
    numbers: list[float | None] = []
    for name, value in fields.items():
        if value is None or value == 0:
            numbers.append(None)
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise MddnetError(f"{name}: {value!r}; expected a positive number, or nothing for unknown")
        numbers.append(float(value))
    return Lens(numbers[0], numbers[1], numbers[2], math.inf if at_infinity else numbers[3])


def form_of_lens(lens: Lens) -> tuple[float | None, float | None, float | None, float | None, bool]:
    """The fields that describe a lens: f, N, pixel pitch, focus distance, and whether that is infinite."""
    at_infinity = lens.focus_m == math.inf

    def shown(value: float | None) -> float | None:
        return None if value is None else float(f"{value:.5g}")

    return (
        shown(lens.focal_mm),
        shown(lens.f_number),
        shown(lens.pixel_um),
        None if at_infinity else shown(lens.focus_m),
        at_infinity,
    )

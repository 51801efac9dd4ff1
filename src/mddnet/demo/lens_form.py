"""Conversion between the form of lens facts and a lens."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace

from mddnet.errors import MddnetError
from mddnet.io.json_fields import display, is_number
from mddnet.photo.lens_facts import CameraLens
from mddnet.types import Lens, Photo

FIELDS = ("focal length, mm", "f-number", "pixel pitch, µm", "focus distance, m")


@dataclass(frozen=True, slots=True)
class TypedLens:
    """Typed lens facts; missing ones are read from EXIF."""

    lens: Lens = field(default_factory=Lens)
    sensor: str | None = None  # one of ``SENSOR_CHOICES``, which sets the pixel pitch unless it is typed

    @property
    def for_any_photo(self) -> CameraLens:
        """The typed facts, with the pixel pitch by the size of the photo."""
        return CameraLens(**asdict(self.lens), camera=self.sensor)

    def added_to(self, photo: Photo) -> Photo:
        """The photo with the typed facts instead of those of EXIF; MddnetError for a sensor that is not listed."""
        height, width = photo.pixels.shape[:2]
        notes = list(photo.notes)
        lens = self.for_any_photo.added_to(photo.lens, width, height, notes)
        return replace(photo, lens=lens, notes=tuple(notes))


NO_LENS_FACTS = TypedLens()


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

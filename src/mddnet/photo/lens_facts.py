"""Lens and sensor facts from EXIF, checked for plausibility.

Tags and units follow Exif 3.0 (CIPA DC-008, 2023), section 4.6.6. Implausible values are ignored, with a note.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from PIL import Image
from PIL.ExifTags import IFD, Base

from mddnet.optics import focus_z_from_sensor_plane_m
from mddnet.photo.sensor_table import Sensor, camera_of, pitch_of_sensor, sensor_of
from mddnet.types import Lens

UNIT_UM = {2: 25400.0, 3: 10000.0, 4: 1000.0, 5: 1.0}
"""Micrometres per FocalPlaneResolutionUnit: inch, centimetre, and the non-standard millimetre and micrometre."""
DISTANCE_INFINITY = 0xFFFFFFFF
DIAGONAL_35MM_MM = math.hypot(36.0, 24.0)
ASPECT_TOLERANCE = 0.02
PITCH_DISAGREEMENT = 1.5
"""The 35 mm equivalent focal length is rounded and may include a digital crop; beyond this factor, EXIF is wrong."""
MOST_ZOOM = 100.0  # a digital zoom beyond this is no plausible value
MAX_DISPLAY_CHARACTERS = 60
TABLE_DISAGREEMENT = 1.25
"""Factor between the pitch by the sensor table and another pitch; an in-camera crop gives 1.3 or more."""


def tags_of_exif(exif: Image.Exif) -> dict[int, object]:
    """The tags of the EXIF IFD, with the camera's model and the orientation."""
    tags: dict[int, object] = {**exif.get_ifd(IFD.Exif)}
    return tags | {tag: exif[tag] for tag in (Base.Model, Base.Orientation) if tag in exif}


def lens_of_tags(tags: Mapping[int, object], width: int, height: int, given: Lens | None, notes: list[str]) -> Lens:
    """Plausible f, N, focus distance and pixel pitch of an image, by the tags of its EXIF IFD and the camera's model.

    The facts ``given`` by the caller replace those of the tags, field by field. ``notes`` gets a sentence for each fact
    of the tags that was ignored or assumed.
    """
    lens = given or Lens()
    focal_mm, f_number, pixel_um, focus_m = lens.focal_mm, lens.f_number, lens.pixel_um, lens.focus_m
    if focal_mm is None:
        focal_mm = _plausible(tags, Base.FocalLength, "focal length", 0.5, 5000.0, "mm", notes)
    if f_number is None:
        f_number = _plausible(tags, Base.FNumber, "f-number", 0.5, 128.0, "", notes)
    if focus_m is None:
        focus_m = _focus_m(tags, focal_mm, notes)
    camera = given if isinstance(given, CameraLens) and given.camera is not None else None
    if pixel_um is None and camera is None:
        # The camera's own focal length belongs to its sensor and to its 35 mm equivalent.
        own_mm = _plausible(tags, Base.FocalLength, "focal length", 0.5, 5000.0, "mm", [])
        own_mm = focal_mm if own_mm is None else own_mm
        pixel_um = _pixel_um(tags, sensor_of(tags.get(Base.Model), own_mm), own_mm, width, height, notes)
    known = Lens(focal_mm, f_number, pixel_um, focus_m)
    return known if camera is None else camera.added_to(known, width, height, notes)


@dataclass(frozen=True, slots=True)
class CameraLens(Lens):
    """Lens facts given by the caller, and the camera or sensor size that determines the pixel pitch of any photo."""

    camera: str | None = None  # see :func:`mddnet.photo.sensor_table.pitch_of_sensor`

    def added_to(self, lens: Lens, width: int, height: int, notes: list[str]) -> Lens:
        """``lens`` with these facts instead; MddnetError for a camera that is not listed.

        The camera replaces the pitch of EXIF, even if it leaves it unknown.
        """
        known = replaced_lens(lens, self)
        if self.camera is None or self.pixel_um is not None:
            return known
        pitch = pitch_of_sensor(self.camera, width, height, known.focal_mm)
        if pitch.note:
            notes.append(pitch.note)
        listed = camera_of(self.camera)
        if known.focal_mm is None and listed is not None and pitch.pixel_um is not None:
            known = replace(known, focal_mm=listed.focal_mm)
        return replace(known, pixel_um=pitch.pixel_um)


def replaced_lens(lens: Lens, given: Lens | None) -> Lens:
    """``lens``, with its fields replaced by the known fields of ``given``."""
    values = {field.name: getattr(given, field.name, None) for field in fields(Lens)}
    return replace(lens, **{name: value for name, value in values.items() if value is not None})


def missing_scale(lens: Lens, given: Lens | None) -> tuple[str, ...]:
    """A note on what is missing for metric depth, if the caller gave some lens facts but these are not enough."""
    if given is None or given in (Lens(), CameraLens()) or (lens.has_blur_scale and lens.focus_m is not None):
        return ()
    names = {
        "focal_mm": "the focal length (--focal-mm)",
        "f_number": "the f-number (--f-number)",
        "pixel_um": "the pixel pitch (--pixel-um, --camera or --sensor)",
        "focus_m": "the focus distance (--focus-m)",
    }
    missing = [words for field, words in names.items() if getattr(lens, field) is None]
    return (f"Not enough lens facts for depth in metres: {' and '.join(missing)} unknown.",)


def display_tag(value: object) -> str:
    """A tag's value for a note, shortened: a damaged tag may be a text of any length."""
    text = "".join(letter if letter.isprintable() else "?" for letter in str(value))
    return text if len(text) <= MAX_DISPLAY_CHARACTERS else f"{text[:MAX_DISPLAY_CHARACTERS]}..."


def _number(value: object) -> float:
    """A tag's value as a float; NaN for a zero denominator and for anything that is not a number."""
    try:
        if isinstance(value, tuple) and len(value) == 2:
            return float(value[0]) / float(value[1]) if value[1] else math.nan
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return math.nan


def _plausible(
    tags: Mapping[int, object], tag: int, name: str, low: float, high: float, unit: str, notes: list[str]
) -> float | None:
    """The tag's value if it is in [low, high]; otherwise None, with a note unless the tag is absent."""
    if tag not in tags:
        return None
    value = _number(tags[tag])
    if low <= value <= high:
        return value
    notes.append(f"EXIF {name} {display_tag(tags[tag])} ignored: expected {low:g} to {high:g} {unit}".rstrip() + ".")
    return None


def _focus_m(tags: Mapping[int, object], focal_mm: float | None, notes: list[str]) -> float | None:
    raw = tags.get(Base.SubjectDistance)
    value = _number(raw)
    # a numerator of FFFFFFFF means infinity, also if the fraction was reduced
    numerator = raw[0] if isinstance(raw, tuple) and raw else getattr(raw, "numerator", None)
    if numerator == DISTANCE_INFINITY or any(value == DISTANCE_INFINITY / 10**power for power in range(1, 5)):
        return math.inf
    if value == 0:
        return None  # zero is "unknown" by the standard
    focus_m = _plausible(tags, Base.SubjectDistance, "subject distance", 0.005, 1e5, "m", notes)
    if focus_m is not None and focal_mm is not None:
        try:
            focus_z_from_sensor_plane_m(focus_m, focal_mm)
        except ValueError as error:
            notes.append(f"EXIF subject distance ignored: {error}.")
            return None
    return focus_m


def _pixel_um(
    tags: Mapping[int, object], sensor: Sensor | None, focal_mm: float | None, width: int, height: int, notes: list[str]
) -> float | None:
    """Pitch of the pixels as given: from the focal plane resolution, the sensor table or the 35 mm equivalent.

    The table also checks the resolution: EXIF's pixel dimensions may be those of a smaller copy.
    """
    resolution = _plausible(
        tags, Base.FocalPlaneXResolution, "focal plane resolution", 1e-3, 1e6, "pixels per unit", notes
    )
    focal_35mm = None
    if tags.get(Base.FocalLengthIn35mmFilm) != 0:  # zero is "unknown" by the standard
        focal_35mm = _plausible(tags, Base.FocalLengthIn35mmFilm, "35 mm focal length", 1.0, 10000.0, "mm", notes)
    if resolution is None and (focal_35mm is None or focal_mm is None) and sensor is None:
        return None

    reduction = _reduction(tags, width, height)
    from_plane = from_35mm = None
    if resolution is not None and reduction is not None:
        unit = tags.get(Base.FocalPlaneResolutionUnit, 2)
        from_plane = UNIT_UM.get(unit if isinstance(unit, int) else 2, UNIT_UM[2]) / resolution * reduction
    if focal_35mm is not None and focal_mm is not None and reduction is not None:
        from_35mm = 1000.0 * DIAGONAL_35MM_MM * focal_mm / focal_35mm / math.hypot(width, height)

    zoom = _number(tags.get(Base.DigitalZoomRatio))
    if 1.0 < zoom <= MOST_ZOOM:
        whole = from_plane if from_plane is not None or sensor is None else sensor.pitch(width, height).pixel_um
        # divided by the zoom if that is nearer to the pitch without it: cameras count the zoom or do not
        if from_35mm is not None and whole is not None and from_35mm * math.sqrt(zoom) > whole:
            from_35mm /= zoom
        from_plane = from_plane / zoom if from_plane is not None else None
        sensor = sensor.cropped(zoom) if sensor is not None else None
        counted = "counted in the 35 mm focal length" if whole is None else "the pixel pitch is smaller by this factor"
        notes.append(f"Digital zoom of {zoom:g}x: {counted}.")

    if sensor is not None:
        pitch = _pitch_from_table(sensor, from_plane, from_35mm, width, height, notes)
        if pitch is not None:
            return pitch
    if reduction is None:
        notes.append("The image was cropped after EXIF was written: its pixel pitch is unknown.")
        return None
    if from_plane is not None and from_35mm is not None and _factor(from_plane, from_35mm) > PITCH_DISAGREEMENT:
        notes.append(
            f"EXIF contradicts itself on the pixel pitch: {from_plane:.3g} um from the focal plane resolution, "
            f"{from_35mm:.3g} um from the 35 mm focal length; both ignored."
        )
        return None
    pitch = from_plane if from_plane is not None else from_35mm
    if pitch is None:
        assert sensor is not None
        notes.append(f"{sensor.pitch(width, height).note} Its pixel pitch is unknown.")
        return None
    if not 0.2 <= pitch <= 1000.0:
        notes.append(f"EXIF pixel pitch of {pitch:.3g} um ignored: expected 0.2 to 1000 um.")
        return None
    if sensor is not None and from_plane is not None:
        notes.append(f"{sensor.pitch(width, height).note} EXIF's pixel pitch of {pitch:.3g} um is assumed.")
    if from_plane is None:
        notes.append(
            f"Pixel pitch of {pitch:.3g} um assumed from the 35 mm equivalent focal length ({focal_35mm:g} mm)."
        )
    else:
        notes += _assumed_size(tags, max(width, height), reduction)
    return pitch


def _assumed_size(tags: Mapping[int, object], longest: int, reduction: float) -> list[str]:
    """What is assumed of the size of a photo whose pitch is that of the focal plane resolution."""
    if Base.ExifImageWidth not in tags:
        return ["EXIF lacks the pixel dimensions: the photo is assumed to have its original size."]
    if abs(reduction - 1.0) <= ASPECT_TOLERANCE:
        return []
    was = longest * reduction
    return [f"The photo is {longest} px long, EXIF says {was:.0f} px: assumed to be resized, not cropped."]


def _pitch_from_table(
    sensor: Sensor, from_plane: float | None, from_35mm: float | None, width: int, height: int, notes: list[str]
) -> float | None:
    """Pitch by the sensor table; None if it lacks the camera's pitch or the photo is an in-camera crop."""
    known = sensor.pitch(width, height)
    pitch_um = known.pixel_um
    if pitch_um is None or (from_35mm is not None and _factor(pitch_um, from_35mm) > TABLE_DISAGREEMENT):
        return None  # the 35 mm focal length includes an in-camera crop
    if from_plane is not None and _factor(from_plane, pitch_um) > TABLE_DISAGREEMENT:
        notes.append(
            f"EXIF pixel pitch of {from_plane:.3g} um ignored: the sensor of the {sensor.model} has {pitch_um:.3g} um."
        )
    elif from_plane is not None:
        pitch_um = from_plane
    else:
        notes.append(f"Pixel pitch of {pitch_um:.3g} um from the sensor of the {sensor.model}.")
    if known.note:
        notes.append(known.note)
    return pitch_um


def _factor(one: float, other: float) -> float:
    return max(one / other, other / one)


def _reduction(tags: Mapping[int, object], width: int, height: int) -> float | None:
    """Camera pixels per pixel of the image, along an edge; None if it was cropped, 1 without pixel dimensions.

    Long and short edges are compared, since some software rotates the pixels but not the tags.
    """
    camera = [_number(tags.get(tag)) for tag in (Base.ExifImageWidth, Base.ExifImageHeight)]
    if not all(size >= 1 for size in camera):
        return 1.0
    aspect = max(width, height) / min(width, height)
    if abs(max(camera) / min(camera) / aspect - 1.0) > ASPECT_TOLERANCE:
        return None
    return max(camera) / max(width, height)

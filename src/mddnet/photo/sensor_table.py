"""Sensors of common cameras by EXIF model, for photos whose EXIF lacks the focal plane resolution.

Sizes are from the makers' published specifications; the Canon rows agree with openMVG's CameraSensorSizeDatabase.
Phone entries follow the published pixel pitch and apply to the phone's camera with this focal length.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace

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


# EXIF names (some cameras have several), long and short edge in mm and in px, focal length of a phone camera.
_ROWS: tuple[tuple[str | tuple[str, ...], float, float, int, int] | tuple[str, float, float, int, int, float], ...] = (
    ("Canon EOS 5D", 35.8, 23.9, 4368, 2912),
    ("Canon EOS 5D Mark II", 36.0, 24.0, 5616, 3744),
    ("Canon EOS 5D Mark III", 36.0, 24.0, 5760, 3840),
    ("Canon EOS 5D Mark IV", 36.0, 24.0, 6720, 4480),
    (("Canon EOS 5DS", "Canon EOS 5DS R"), 36.0, 24.0, 8688, 5792),
    ("Canon EOS 6D", 35.8, 23.9, 5472, 3648),
    ("Canon EOS 6D Mark II", 35.9, 24.0, 6240, 4160),
    ("Canon EOS 7D", 22.3, 14.9, 5184, 3456),
    ("Canon EOS 7D Mark II", 22.4, 15.0, 5472, 3648),
    ("Canon EOS 60D", 22.3, 14.9, 5184, 3456),
    ("Canon EOS 70D", 22.5, 15.0, 5472, 3648),
    ("Canon EOS 80D", 22.3, 14.9, 6000, 4000),
    ("Canon EOS 90D", 22.3, 14.8, 6960, 4640),
    (("Canon EOS 550D", "Canon EOS REBEL T2i", "Canon EOS Kiss X4"), 22.3, 14.9, 5184, 3456),
    (("Canon EOS 600D", "Canon EOS REBEL T3i", "Canon EOS Kiss X5"), 22.3, 14.9, 5184, 3456),
    (("Canon EOS 650D", "Canon EOS REBEL T4i", "Canon EOS Kiss X6i"), 22.3, 14.9, 5184, 3456),
    (("Canon EOS 700D", "Canon EOS REBEL T5i", "Canon EOS Kiss X7i"), 22.3, 14.9, 5184, 3456),
    (("Canon EOS 750D", "Canon EOS Rebel T6i", "Canon EOS Kiss X8i"), 22.3, 14.9, 6000, 4000),
    (("Canon EOS 200D", "Canon EOS Rebel SL2", "Canon EOS Kiss X9"), 22.3, 14.9, 6000, 4000),
    (("Canon EOS M50", "Canon EOS Kiss M"), 22.3, 14.9, 6000, 4000),
    ("Canon EOS R", 36.0, 24.0, 6720, 4480),
    ("Canon EOS RP", 35.9, 24.0, 6240, 4160),
    ("Canon EOS R5", 36.0, 24.0, 8192, 5464),
    ("Canon EOS R6", 35.9, 23.9, 5472, 3648),
    ("NIKON D90", 23.6, 15.8, 4288, 2848),
    ("NIKON D700", 36.0, 23.9, 4256, 2832),
    ("NIKON D3200", 23.2, 15.4, 6016, 4000),
    ("NIKON D3300", 23.5, 15.6, 6000, 4000),
    ("NIKON D5300", 23.5, 15.6, 6000, 4000),
    ("NIKON D5600", 23.5, 15.6, 6000, 4000),
    ("NIKON D7000", 23.6, 15.6, 4928, 3264),
    ("NIKON D7100", 23.5, 15.6, 6000, 4000),
    ("NIKON D7200", 23.5, 15.6, 6000, 4000),
    (("NIKON D7500", "NIKON D500"), 23.5, 15.7, 5568, 3712),
    (("NIKON D610", "NIKON D750"), 35.9, 24.0, 6016, 4016),
    (("NIKON D800", "NIKON D800E", "NIKON D810"), 35.9, 24.0, 7360, 4912),
    ("NIKON D850", 35.9, 23.9, 8256, 5504),
    (("NIKON Z 6", "NIKON Z 6_2"), 35.9, 23.9, 6048, 4024),
    (("NIKON Z 7", "NIKON Z 7_2"), 35.9, 23.9, 8256, 5504),
    ("NIKON Z 50", 23.5, 15.7, 5568, 3712),
    (("ILCE-7", "ILCE-7M2"), 35.8, 23.9, 6000, 4000),
    ("ILCE-7M3", 35.6, 23.8, 6000, 4000),
    ("ILCE-7R", 35.9, 24.0, 7360, 4912),
    (("ILCE-7RM2", "ILCE-7RM3"), 35.9, 24.0, 7952, 5304),
    ("ILCE-7RM4", 35.7, 23.8, 9504, 6336),
    (("ILCE-5100", "ILCE-6000", "ILCE-6300", "ILCE-6400", "ILCE-6500"), 23.5, 15.6, 6000, 4000),
    ("NEX-7", 23.5, 15.6, 6000, 4000),
    ("DSC-RX1", 35.8, 23.9, 6000, 4000),
    (("DSC-RX100", "DSC-RX100M2", "DSC-RX100M3"), 13.2, 8.8, 5472, 3648),
    (("X-E1", "X-T1", "X100S", "X100T"), 23.6, 15.6, 4896, 3264),
    (("X-T2", "X-Pro2", "X100F"), 23.6, 15.6, 6000, 4000),
    (("X-T3", "X-T4"), 23.5, 15.6, 6240, 4160),
    ("GFX 50S", 43.8, 32.9, 8256, 6192),
    (("E-M1", "E-M5", "E-M10", "E-M5MarkII", "E-M10MarkII", "E-PL7"), 17.3, 13.0, 4608, 3456),
    ("E-M1MarkII", 17.4, 13.0, 5184, 3888),
    ("DMC-GH4", 17.3, 13.0, 4608, 3456),
    (("DMC-G7", "DMC-GX7", "DMC-GX80", "DMC-GX85"), 17.3, 13.0, 4592, 3448),
    (("DC-G9", "DC-GH5"), 17.3, 13.0, 5184, 3888),
    ("DC-S1", 35.6, 23.8, 6000, 4000),
    ("DMC-FZ1000", 13.2, 8.8, 5472, 3648),
    ("PENTAX K-1", 35.9, 24.0, 7360, 4912),
    ("PENTAX K-3", 23.5, 15.6, 6016, 4000),
    ("PENTAX K-5", 23.7, 15.7, 4928, 3264),
    ("PENTAX K-70", 23.5, 15.6, 6000, 4000),
    ("RICOH GR III", 23.5, 15.6, 6000, 4000),
    ("LEICA Q2", 36.0, 24.0, 8368, 5584),
    ("NX300", 23.5, 15.7, 5472, 3648),
    ("NX1", 23.5, 15.7, 6480, 4320),
    ("iPhone 5s", 4.90, 3.67, 3264, 2448, 4.15),
    ("iPhone 6", 4.90, 3.67, 3264, 2448, 4.15),
    ("iPhone 6s", 4.92, 3.69, 4032, 3024, 4.15),
    ("iPhone 7", 4.92, 3.69, 4032, 3024, 3.99),
    ("iPhone XS", 5.64, 4.23, 4032, 3024, 4.25),
    ("iPhone 11", 5.64, 4.23, 4032, 3024, 4.25),
    ("Pixel", 6.27, 4.71, 4048, 3036, 4.67),
    ("Pixel 2", 5.64, 4.23, 4032, 3024, 4.46),
    ("Pixel 3", 5.64, 4.23, 4032, 3024, 4.44),
    ("SM-G920F", 5.95, 3.35, 5312, 2988, 4.3),
    ("SM-G930F", 5.64, 4.23, 4032, 3024, 4.2),
)


def _key(model: str) -> str:
    return " ".join(model.replace("\0", " ").split()).casefold()


SENSORS = {
    _key(name): Sensor(name, *numbers)  # type: ignore[arg-type]
    for names, *numbers in _ROWS
    for name in ((names,) if isinstance(names, str) else names)
}
"""Sensors by model, in lower case and with single spaces."""


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

    Args:
        choice: one of ``SENSOR_CHOICES``, in any case, or a size in millimetres such as ``36x24``.
        width_px: of the photo.
        height_px: of the photo.
        focal_mm: focal length, millimetres, which identifies one of several cameras of a phone; None is the listed one.

    Raises:
        MddnetError: for a sensor that is not listed.
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
    whole = abs(by_long / by_short - 1.0) <= SIDE_TOLERANCE
    note = (
        "" if whole else f"The photo has another shape than a sensor of {choice}: assumed to be cropped, not resized."
    )
    return PhotoPitch(1000.0 * min(by_long, by_short), note)

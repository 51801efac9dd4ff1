"""OpenEXR images: linear light, with lens facts from the standard attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mddnet.color import linear_from_srgb8
from mddnet.errors import ImageError
from mddnet.photo.image_file import formats_module
from mddnet.photo.lens_facts import CameraLens, replaced_lens
from mddnet.photo.samples import check_size, scaled_to_white, srgb8_from_linear_samples, white_of
from mddnet.types import Lens, Photo

KIND = "an OpenEXR image"
EXR_MAGIC = b"\x76\x2f\x31\x01"
LENS_ATTRIBUTES = {
    "focal_mm": "nominalFocalLength",
    "f_number": "aperture",
    "pixel_um": "sensorPhotositePitch",
    "focus_m": "focus",
}
"""Standard attributes (OpenEXR 3, "Standard Optional Attributes"), in millimetres, f-stops, micrometres and metres."""
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
MID_GREY_LIGHT = float(linear_from_srgb8(np.array(128, dtype=np.uint8)))


def exr_header(path: Path) -> tuple[int, int]:
    """Width and height of an EXR image by its header; OpenEXR raises anything for a damaged file."""
    with formats_module("OpenEXR", path, KIND).File(str(path), header_only=True) as file:
        low, high = file.header()["dataWindow"]
        width, height = (int(value) for value in high - low + 1)
    return width, height


def exr_white(path: Path) -> float | None:
    """As :func:`mddnet.photo.samples.white_of`."""
    return white_of(_read_light(path, None, [])[0], True, str(path))


def read_exr(path: Path, given: Lens | None, max_pixels: int | None, white: float | None = None) -> Photo:
    """Read the first part of an EXR file: R, G, B (of any layer) or Y, as linear light with sRGB primaries.

    Its exposure is lowered to show all of it, or so that ``white`` is white.
    """
    notes = ["Read as linear light, as the EXR standard defines."]
    light, header = _read_light(path, max_pixels, notes)
    height, width = light.shape[:2]
    lens = _lens(header, notes)
    lens = given.added_to(lens, width, height, notes) if isinstance(given, CameraLens) else replaced_lens(lens, given)
    pixels = srgb8_from_linear_samples(scaled_to_white(light, white, notes), str(path), notes)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return Photo(pixels, lens, path, tuple(notes))


def _read_light(path: Path, max_pixels: int | None, notes: list[str]) -> tuple[NDArray[Any], dict[str, Any]]:
    """The light of the first part, and its header."""
    openexr = formats_module("OpenEXR", path, KIND)
    try:
        with openexr.File(str(path), header_only=True) as file:
            header = dict(file.header())  # closing the file clears its header
            low, high = header["dataWindow"]
        width, height = (int(value) for value in high - low + 1)
        check_size(height, width, str(path), max_pixels)
        with openexr.File(str(path)) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ImageError(f"{path}: not a readable EXR image ({error}); copy it again from its source") from error
    primaries = header.get("chromaticities")
    if primaries is not None and np.abs(np.asarray(primaries, dtype=np.float64).ravel() - REC709).max() > 0.01:
        notes.append("The primaries are not those of sRGB: colours are approximate.")
    light = exr_light(channels, path, notes)
    if light.shape[:2] != (height, width):
        raise ImageError(f"{path}: channels of {light.shape[:2]} in a window of {(height, width)}; expected one size")
    return light, header


def read_exr_map(path: Path) -> NDArray[np.float32]:
    """(H, W) of one channel of an EXR file, such as depth: Z, V, Y or R if there is one, else the first."""
    openexr = formats_module("OpenEXR", path, KIND)
    try:
        with openexr.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ImageError(f"{path}: not a readable EXR image ({error}); copy it again from its source") from error
    last = {name.rpartition(".")[2]: name for name in channels}
    name = next((last[wanted] for wanted in ("Z", "V", "Y", "R") if wanted in last), min(channels))
    return np.asarray(channels[name], dtype=np.float32)


def exr_light(channels: Mapping[str, NDArray[np.generic]], path: Path, notes: list[str]) -> NDArray[np.float32]:
    """Linear light, (H, W, 3) or (H, W); RGBA, which is premultiplied, is composited over mid grey."""
    for ending in ("RGBA", "RGB", "Y"):
        name = next((name for name in channels if name == ending or name.endswith(f".{ending}")), None)
        if name is None:
            continue
        light = channels[name].astype(np.float32)
        if ending != "RGBA":
            return light
        alpha = np.clip(light[:, :, 3:], 0.0, 1.0)
        if alpha.min() < 1.0:
            notes.append("Transparent parts were composited over mid grey.")
        return light[:, :, :3] + (1.0 - alpha) * np.float32(MID_GREY_LIGHT)
    raise ImageError(f"{path}: channels {', '.join(sorted(channels)) or 'none'}; expected R, G and B, or Y")


def _lens(header: Mapping[str, object], notes: list[str]) -> Lens:
    facts = {}
    for field, attribute in LENS_ATTRIBUTES.items():
        value = header.get(attribute)
        if not isinstance(value, int | float):
            continue
        if value > 0 and (math.isfinite(value) or field == "focus_m"):
            facts[field] = float(value)
        else:
            notes.append(f"EXR attribute {attribute} {value!r} ignored: expected a positive number.")
    return Lens(**facts)

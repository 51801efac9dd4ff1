"""Refocusing: a photo as another aperture or another plane of focus would have shown it. Needs OpenCV and SciPy.

With the lens law, an aperture that is s times as wide has s times the CoC of every point, and another plane of focus u'
gives a CoC of s kappa (u' - u). Blur is added where that is more than the photo has. It is removed for a narrower
aperture only, at most half of it and none above 12 px: one photo lacks the detail of an all-in-focus picture.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image

from mddnet.color import linear_from_srgb8, srgb8_from_linear, srgb_from_linear
from mddnet.errors import MddnetError, install_hint
from mddnet.io.atomic import atomic_write
from mddnet.optics import signed_defocus_px
from mddnet.photo.light import read_light
from mddnet.types import Float32Array, Lens, LensLawFit, UInt8Array
from mddnet.version import __version__

if TYPE_CHECKING:
    from mddnet.predict.prediction import Prediction
    from mddnet.scenes.render import Aperture

PICTURE_FORMATS = ("png", "jpg", "tiff")
STRENGTHS = (0.05, 20.0)
SWEEP_SIDE_PX = 1280
LARGEST_SHARE = 0.12  # largest CoC over the long side
SHARP_PHOTO_SHARE = 0.01  # largest CoC over the long side at strength 1, for a photo without a plane of focus
POINT_SHARE = 0.01  # side of the window of a point over the long side; the depth of a point is its median
NO_DETAIL = "An all-in-focus picture is not possible from one photo, which lacks the detail of its blurred parts: "
SHARPENED_NOTE = NO_DETAIL + "blur was reduced to half at most, and not where it exceeds 12 px."
MOVED_NOTE = NO_DETAIL + "they stay as blurred as they are, in focus or not."


@dataclass(frozen=True, slots=True)
class RefocusSettings:
    """How to refocus; MddnetError for values out of range.

    Attributes:
        aperture: f-number of the result, > 0; the photo's own must be known.
        strength: CoC of the result over that of the photo, 0.05 to 20, instead of ``aperture``; 1 without both.
        focus: point (x, y) to focus on, as fractions of width and height; None keeps the plane of focus.
        blades: number of straight aperture blades, at least 4; 0 is a disc.
        cat_eye: shift of the rim that clips the aperture in the corners, in aperture radii in [0, 1); 0 is none.
    """

    aperture: float | None = None
    strength: float | None = None
    focus: tuple[float, float] | None = None
    blades: int = 0
    cat_eye: float = 0.0

    def __post_init__(self) -> None:
        if self.aperture is not None and self.strength is not None:
            raise MddnetError("aperture and strength: expected one of them")
        if self.aperture is not None and not 0 < self.aperture < math.inf:
            raise MddnetError(f"aperture {self.aperture:g}: expected an f-number above 0")
        _check_strength(1.0 if self.strength is None else self.strength)
        if self.focus is not None and not (len(self.focus) == 2 and all(0 <= share <= 1 for share in self.focus)):
            point = ",".join(f"{share:g}" for share in self.focus)
            raise MddnetError(f"focus {point}: expected x,y as fractions of width and height, 0 to 1")
        if self.blades and self.blades < 4:
            raise MddnetError(f"blades {self.blades}: expected 0 (a disc) or at least 4")
        if not 0 <= self.cat_eye < 1:
            raise MddnetError(f"cat_eye {self.cat_eye:g}: expected 0 (none) to below 1")

    def strength_for(self, lens: Lens) -> float:
        """CoC of the result over that of a photo with this lens; MddnetError for an unknown f-number."""
        if self.aperture is None:
            return 1.0 if self.strength is None else self.strength
        if lens.f_number is None:
            raise MddnetError(
                f"aperture {self.aperture:g}: the photo's own f-number is unknown; give it (--f-number, "
                "Lens(f_number=...)), or a strength instead"
            )
        return _check_strength(lens.f_number / self.aperture)

    @property
    def shape(self) -> Aperture:
        """The shape of the blur."""
        from mddnet.scenes.render import Aperture

        return Aperture(blades=self.blades, cat_eye=self.cat_eye)


def _check_strength(strength: float) -> float:
    if not STRENGTHS[0] <= strength <= STRENGTHS[1]:
        raise MddnetError(f"blur times {strength:g}: expected {STRENGTHS[0]:g} to {STRENGTHS[1]:g}")
    return strength


@dataclass(frozen=True, slots=True)
class BlurMaps:
    """The maps of a photo at the size of the picture to refocus, (h, w)."""

    inv_depth: Float32Array  # (h, w), inverse depth, larger is nearer
    signed_defocus_px: Float32Array  # (h, w), signed CoC diameter in pixels of the *photo*
    focus: LensLawFit  # the lens law in the unit of ``inv_depth`` and pixels of the photo
    scale: float = 1.0  # pixels of this picture per pixel of the photo


@dataclass(frozen=True, eq=False)
class Refocused:
    """A refocused photo.

    Attributes:
        light: (H, W, 3) float32, linear light with sRGB primaries, 1 is white; more for highlights of EXR and raw.
        strength: CoC of this picture over that of the photo, at one plane of focus.
        u_focus: inverse depth of the plane of focus, in the unit of the prediction; NaN if it is unknown.
        notes: assumptions and limitations.
    """

    light: Float32Array
    strength: float
    u_focus: float
    notes: tuple[str, ...] = ()

    @cached_property
    def pixels(self) -> UInt8Array:
        """(H, W, 3) uint8, sRGB."""
        return srgb8_from_linear(self.light)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture as sRGB by the suffix: .png and .jpg with 8 bits, .tiff with 16.

        Raises:
            MddnetError: for another suffix.
            OutputError: if the file cannot be written.
        """
        path = Path(path)
        if path.suffix not in {f".{name}" for name in PICTURE_FORMATS}:
            raise MddnetError(f"{path}: expected a name that ends in .{', .'.join(PICTURE_FORMATS)}")
        if path.suffix == ".tiff":
            deep = (srgb_from_linear(self.light) * np.float32(65535) + np.float32(0.5)).astype(np.uint16)
            software = f"mddnet {__version__}"
            atomic_write(path, lambda stream: tifffile.imwrite(stream, deep, photometric="rgb", software=software))
        else:
            kind, options = ("JPEG", {"quality": 95}) if path.suffix == ".jpg" else ("PNG", {"compress_level": 3})
            atomic_write(path, lambda stream: Image.fromarray(self.pixels).save(stream, format=kind, **options))


def refocus(prediction: Prediction, settings: RefocusSettings) -> Refocused:
    """Refocus the photo of a prediction at its full size; a 16-bit, raw or EXR file is read again, for its highlights.

    Raises:
        MddnetError: for an unknown f-number of the photo, no plane of focus to keep, or without OpenCV and SciPy.
    """
    require_renderer()
    strength, focus = settings.strength_for(prediction.lens), settings.focus
    height, width = prediction.size
    maps, notes = _maps_of(prediction, settings, (width, height))
    u_focus = None if focus is None else inv_depth_at(maps.inv_depth, focus)
    light = read_light(prediction.photo)
    if light is None:
        light = linear_from_srgb8(prediction.photo.pixels)
    result = refocused_light(light, maps, strength, u_focus, settings.shape)
    if strength < 1:
        notes.append(SHARPENED_NOTE)
    elif focus is not None:
        notes.append(MOVED_NOTE)
    return Refocused(result, strength, maps.focus.u_focus if u_focus is None else u_focus, tuple(notes))


def focus_sweep(
    prediction: Prediction, settings: RefocusSettings, frames: int, long_side_px: int = SWEEP_SIDE_PX
) -> Iterator[UInt8Array]:
    """Pictures focused from the nearest to the farthest part of the photo, (h, w, 3) uint8 sRGB with even sides.

    They are at most ``long_side_px`` long; the point of the settings has no effect. Errors as for :func:`refocus`.
    """
    require_renderer()
    strength = settings.strength_for(prediction.lens)
    height, width = prediction.size
    scale = min(1.0, long_side_px / max(height, width))
    size = max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2)
    maps, _ = _maps_of(prediction, replace(settings, focus=(0.5, 0.5)), size)
    light = linear_from_srgb8(
        np.asarray(Image.fromarray(prediction.photo.pixels).resize(size, Image.Resampling.LANCZOS))
    )
    far, near = (float(value) for value in np.percentile(maps.inv_depth, [2, 98]))
    for share in np.linspace(0.0, 1.0, frames):
        u_focus = near + (far - near) * (0.5 - 0.5 * math.cos(math.pi * share))
        yield srgb8_from_linear(refocused_light(light, maps, strength, u_focus, settings.shape))


def refocused_light(
    light: Float32Array,
    maps: BlurMaps,
    strength: float,
    u_focus: float | None = None,
    shape: Aperture | None = None,
) -> Float32Array:
    """Refocus (h, w, 3) linear light by its maps; ``u_focus`` is another plane of focus, in the unit of the maps.

    Blur is removed for a strength below 1 only. MddnetError for another plane where no lens law was found.
    """
    from mddnet.scenes.reblur import reblurred
    from mddnet.scenes.render import DISC

    scale, most_px = np.float32(maps.scale), LARGEST_SHARE * max(light.shape)
    existing = significant_defocus_px(maps) * scale
    wanted = np.clip(wanted_defocus_px(maps, strength, u_focus) * scale, -most_px, most_px)
    return reblurred(light, existing, wanted, shape or DISC, strength < 1)


def significant_defocus_px(maps: BlurMaps) -> Float32Array:
    """Signed CoC (h, w) in pixels of the photo, reduced by the residual of the lens law.

    The estimate for points in focus is never exactly 0 px; magnified, it would blur what should stay sharp.
    """
    residual_px = np.float32(maps.focus.residual_px if maps.focus.found else 0.0)
    size = np.maximum(np.abs(maps.signed_defocus_px) - residual_px, np.float32(0))
    return np.copysign(size, maps.signed_defocus_px).astype(np.float32)


def wanted_defocus_px(maps: BlurMaps, strength: float, u_focus: float | None = None) -> Float32Array:
    """Signed CoC (h, w) of the result in pixels of the photo; see :func:`refocused_light`."""
    if u_focus is None:
        return np.asarray(significant_defocus_px(maps) * np.float32(strength))
    if not maps.focus.found:
        raise MddnetError(f"another plane of focus needs the lens law, which was not found: {maps.focus.reason}")
    return signed_defocus_px(maps.inv_depth, u_focus, maps.focus.kappa_px * strength).astype(np.float32)


def inv_depth_at(inv_depth: Float32Array, point: tuple[float, float]) -> float:
    """Median inverse depth around a point (x, y), given as fractions of width and height."""
    height, width = inv_depth.shape
    half = max(1, round(POINT_SHARE * max(height, width) / 2))
    column, row = min(int(point[0] * width), width - 1), min(int(point[1] * height), height - 1)
    return float(np.median(inv_depth[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]))


def require_renderer() -> None:
    """MddnetError if a package of the renderer is missing."""
    missing = [name for name in ("cv2", "scipy") if find_spec(name) is None]
    if missing:
        raise MddnetError(f"refocusing needs {' and '.join(missing)}; {install_hint('build')}")


def _maps_of(prediction: Prediction, settings: RefocusSettings, size: tuple[int, int]) -> tuple[BlurMaps, list[str]]:
    """The maps at (width, height) ``size``, with an assumed law for a photo without a plane of focus, and notes."""
    inv_depth, signed = prediction.sampled("inv_depth", size), prediction.sampled("signed_defocus_px", size)
    maps = BlurMaps(inv_depth, signed, prediction.focus, size[0] / prediction.size[1])
    if prediction.focus.found:
        return maps, []
    reason = f"no plane of focus was found ({prediction.focus.reason})"
    if settings.focus is None:
        raise MddnetError(f"{reason}; expected a point to focus on: --focus x,y or focus=(x, y)")
    if settings.aperture is not None:
        raise MddnetError(f"{reason}, so that an f-number has no meaning; give a strength instead")
    most_px = SHARP_PHOTO_SHARE * max(prediction.size)
    note = f"As {reason}, blur is by depth alone: strength 1 is {most_px:.3g} px from near to far."
    return by_depth_alone(maps, settings.focus, most_px), [note]


def by_depth_alone(maps: BlurMaps, point: tuple[float, float], most_px: float) -> BlurMaps:
    """A sharp photo focused at a point (x, y), given as fractions; ``most_px`` is the CoC from near to far."""
    far, near = (float(value) for value in np.percentile(maps.inv_depth, [2, 98]))
    assumed = LensLawFit(True, inv_depth_at(maps.inv_depth, point), most_px / max(near - far, 1e-6), 0.0)
    return replace(maps, signed_defocus_px=np.zeros_like(maps.signed_defocus_px), focus=assumed)

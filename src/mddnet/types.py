"""Records that are shared between the stages. Every array field states its shape, unit and range.

Legend: H, W are the height and width of the image at hand, in pixels.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Float32Array = NDArray[np.float32]
UInt8Array = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]

InvDepthUnit = Literal["1/m", "1/m from focus", "relative", "ordinal"]
"""Unit of an inverse depth map; in each of them a larger value is nearer.

``"1/m"`` is metric (0 is infinity); ``"1/m from focus"`` has a known scale and its origin at the plane of focus;
``"relative"`` has an unknown positive scale and shift; of ``"ordinal"`` only the order is known.
"""
INV_DEPTH_UNITS: tuple[str, ...] = get_args(InvDepthUnit)

Split = Literal["train", "dev", "calib"]
"""Use of the captures of a location: training, evaluation, calibration of the confidence."""
SPLITS: tuple[Split, ...] = get_args(Split)

MAP_STRIDE = 4
"""Pixels of the network's image per pixel of its maps."""


@dataclass(frozen=True, slots=True)
class Lens:
    """Lens and sensor of an image; ``None`` is unknown.

    Attributes:
        focal_mm: focal length in millimetres, > 0.
        f_number: focal length over aperture diameter, > 0.
        pixel_um: pitch of the pixels *of the image as given*, in micrometres, > 0.
        focus_m: distance of the plane of focus in metres, measured from the sensor as on a lens barrel, > 0;
            ``math.inf`` is focused at infinity.
    """

    focal_mm: float | None = None
    f_number: float | None = None
    pixel_um: float | None = None
    focus_m: float | None = None

    def __post_init__(self) -> None:
        for name in (fact.name for fact in fields(Lens)):
            value = getattr(self, name)
            # NaN fails the comparison too.
            if value is not None and not (value > 0 and (math.isfinite(value) or name == "focus_m")):
                raise ValueError(f"Lens.{name} is {value!r}; expected a positive number, or None for unknown")

    @property
    def has_blur_scale(self) -> bool:
        """Whether f, N and pixel pitch are known, so that blur in pixels can be converted to dioptres."""
        return self.focal_mm is not None and self.f_number is not None and self.pixel_um is not None

    def to_json(self) -> dict[str, float | str | None]:
        """The fields as JSON values; infinity is the string ``"inf"``."""
        return {name: "inf" if value == math.inf else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, float | str | None]) -> Lens:
        """The lens of :meth:`to_json`.

        Raises:
            TypeError: for an unknown field.
            ValueError: for a value that is not a number, or not positive.
        """
        return cls(**{name: None if value is None else float(value) for name, value in data.items()})


@dataclass(frozen=True, slots=True)
class Photo:
    """An upright photo and its lens.

    Attributes:
        pixels: (H, W, 3) uint8, sRGB-encoded, upright.
        lens: lens facts from EXIF or from the caller.
        path: file of the photo, if any.
        notes: assumptions and repairs made while reading, one sentence each.
        orientation: EXIF orientation of the stored pixels, which was undone.
        computed_bokeh: what in the metadata says that the blur was computed, such as a portrait mode; "" if nothing.
    """

    pixels: UInt8Array
    lens: Lens = field(default_factory=Lens)
    path: Path | None = None
    notes: tuple[str, ...] = ()
    orientation: int = 1
    computed_bokeh: str = ""


@dataclass(frozen=True, slots=True)
class LensLawFit:
    """The lens law ``signed_defocus_px = kappa * (u_focus - u)`` fitted to a predicted pair of maps."""

    found: bool  # whether a plane of focus was found; if not, u_focus and kappa_px are NaN
    u_focus: float  # inverse depth of the plane of focus, in the unit of the inverse depth map
    kappa_px: float  # CoC diameter in pixels per unit of inverse depth, > 0
    residual_px: float  # mean absolute difference between the defocus map and the law
    reason: str = ""  # why no plane of focus was found


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One focused frame of a scene, with the two parameters of the lens law."""

    file: str  # name of the image file in the scene folder
    u_focus: float  # inverse depth of the plane of focus, in the scene's unit
    kappa_px: float  # CoC diameter in pixels of that image per unit of inverse depth, >= 0 (0: everything sharp)


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """Content of ``scene.json``. Arrays are read by :mod:`mddnet.scenes.store`."""

    name: str  # of the folder
    location: str  # scenes of one location are in one part of the split
    capture: str  # kind of capture, for example "focal_stack"
    source: str  # origin of the capture
    licence: str  # licence stated there
    provenance: Literal["real", "rendered", "pseudo"]  # pseudo: rendered with pseudo-depth of a teacher model
    unit: InvDepthUnit
    frames: Sequence[FrameRecord]
    sharp: str  # file name of the all-in-focus image
    inv_depth: str  # file name of the 16-bit inverse depth map
    confidence: str | None = None  # file name of the 8-bit confidence of the inverse depth
    lens: Lens = field(default_factory=Lens)
    measures: dict[str, float] = field(default_factory=dict)  # measured while building, such as the re-rendering error
    remarks: tuple[str, ...] = ()  # likely mistakes in the capture, and notes of the photo reader; one sentence each

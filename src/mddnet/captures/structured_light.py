"""Structured light beside a camera: the fringe images of a capture and the calibrated geometry behind them.

Convention of the patterns. Step n of N at frequency f (periods across the projector) is, at projector pixel j of W,

    I_n(j) = a + b cos(2 pi (f (j + 0.5) / W - n / N))

with W the width of the projector for ``axis`` ``"x"`` (vertical stripes) and its height for ``"y"``. A point X of the
camera's frame (z forward, origin in the lens) lies at R X + t in the projector's frame, as in OpenCV.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from mddnet.errors import CaptureError
from mddnet.io.json_fields import is_number, numbers, shown, whole_number

FringeAxis = Literal["x", "y"]
MIN_STEPS = 3
MIN_ORDER_DISTANCE_RAD = 0.4
"""Two fringe orders must differ by this much in the phases of the lower frequencies, or noise confuses them."""
MAX_PROJECTOR_PX = 65_536
MAX_FREQUENCIES = 32
BASELINE_MM = (5.0, 10_000.0)
"""What a baseline in millimetres can be; in metres or micrometres it is outside."""


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """A pinhole with the distortion of its lens, as OpenCV has it.

    Attributes:
        fx: focal length along x, pixels.
        fy: focal length along y, pixels.
        cx: column of the principal point; the centre of the first pixel is 0.
        cy: row of the principal point.
        distortion: k1, k2, p1, p2, k3.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(3, 3) camera matrix."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True, eq=False)
class ProjectorGeometry:
    """Camera and projector, calibrated.

    Attributes:
        camera: of the fringe images.
        projector: read backwards, as if it were a camera.
        width: columns of the projector.
        height: rows of the projector.
        rotation: (3, 3) R of X_projector = R X_camera + t.
        translation_mm: (3,) t, millimetres.
    """

    camera: Intrinsics
    projector: Intrinsics
    width: int
    height: int
    rotation: NDArray[np.float64]
    translation_mm: NDArray[np.float64]

    @property
    def baseline_mm(self) -> float:
        """Distance of the two lenses."""
        return float(np.linalg.norm(self.translation_mm))

    def lines(self, axis: FringeAxis) -> int:
        """Projector pixels along the axis that the fringes vary over."""
        return self.width if axis == "x" else self.height


@dataclass(frozen=True, slots=True)
class FringeImages:
    """The fringe images of a capture, not read yet.

    Attributes:
        axis: what the fringes vary along: ``"x"`` (vertical stripes) or ``"y"`` (horizontal ones).
        periods: periods across the projector, rising, one number per frequency.
        files: per frequency the N steps, in order.
        sensor_mm: reading of the sensor position at which all of them were taken.
    """

    axis: FringeAxis
    periods: tuple[float, ...]
    files: tuple[tuple[Path, ...], ...]
    sensor_mm: float


def order_distance_rad(periods: tuple[float, ...]) -> float:
    """How far apart the phases of two fringe orders of the highest frequency are at least, radians.

    Infinite where the highest frequency has a single order.
    """
    highest = periods[-1]
    steps = np.arange(1, math.ceil(highest - 1e-9))
    if not len(steps):
        return math.inf
    turns = np.outer(steps, np.array(periods[:-1])) / highest
    off = 2 * np.pi * (turns - np.rint(turns))
    return float(np.sqrt((off**2).sum(axis=1)).min()) if len(periods) > 1 else 0.0


def parse_geometry(path: Path, data: object) -> ProjectorGeometry:
    """The calibration of a rig.

    Args:
        path: file that it stands in, for messages.
        data: ``camera`` and ``projector`` (``fx``, ``fy``, ``cx``, ``cy``, ``distortion``; the projector also ``width``
            and ``height``), ``rotation`` (3 rows of 3) and ``translation`` (3 numbers, mm).

    Raises:
        CaptureError: for a value that is missing, no number, or impossible.
    """
    if not isinstance(data, dict):
        raise CaptureError(
            f"{path}: calibration is {shown(data)}; expected camera, projector, rotation and translation"
        )
    camera, projector = (_intrinsics(path, data.get(name), name) for name in ("camera", "projector"))
    size = []
    for side in ("width", "height"):
        value = cast(Mapping[str, Any], data["projector"]).get(side)
        size.append(whole_number(path, f"projector.{side}", value, 2, MAX_PROJECTOR_PX, "its number of pixels"))
    rows = data.get("rotation")
    if not isinstance(rows, list) or len(rows) != 3:
        raise CaptureError(f"{path}: rotation is {shown(rows)}; expected 3 rows of 3 numbers")
    rotation = np.array([numbers(path, "rotation", row, 3) for row in rows])
    # The entries are looked at first: products of huge ones are no numbers.
    orthogonal = np.abs(rotation).max() < 2 and np.abs(rotation @ rotation.T - np.eye(3)).max() <= 1e-3
    if not orthogonal or np.linalg.det(rotation) < 0:
        raise CaptureError(f"{path}: rotation {shown(rows)} is no rotation; expected R with R R^T = 1 and det R = 1")
    translation = np.array(numbers(path, "translation", data.get("translation"), 3))
    baseline = math.hypot(*translation)
    if not BASELINE_MM[0] <= baseline <= BASELINE_MM[1]:
        raise CaptureError(
            f"{path}: translation has length {baseline:g}; expected millimetres, {BASELINE_MM[0]:g} to "
            f"{BASELINE_MM[1]:g} between camera and projector"
        )
    return ProjectorGeometry(camera, projector, size[0], size[1], rotation, translation)


def _intrinsics(path: Path, data: object, name: str) -> Intrinsics:
    if not isinstance(data, dict):
        raise CaptureError(
            f"{path}: calibration.{name} is {shown(data)}; expected an object with fx, fy, cx, cy, distortion"
        )
    for key in ("fx", "fy", "cx", "cy"):
        value = data.get(key)
        if not is_number(value) or (key[0] == "f" and not cast(float, value) > 0):
            raise CaptureError(f"{path}: calibration.{name}.{key} is {shown(value)}; expected a number of pixels")
    given = numbers(path, f"calibration.{name}.distortion", data.get("distortion", [0.0] * 5))
    if len(given) > 5:
        raise CaptureError(
            f"{path}: calibration.{name}.distortion has {len(given)} numbers; expected at most 5: k1, k2, p1, p2, k3"
        )
    fx, fy, cx, cy = (float(data[key]) for key in ("fx", "fy", "cx", "cy"))
    return Intrinsics(fx, fy, cx, cy, (*given, *[0.0] * (5 - len(given))))


def parse_periods(path: Path, value: object, lines: int) -> tuple[float, ...]:
    """The frequencies of the fringes, which must rise and tell every fringe order from every other.

    Raises:
        CaptureError: where they do not.
    """
    periods = numbers(path, "fringes.periods", value)
    if not periods or min(periods) <= 0 or any(b <= a for a, b in itertools.pairwise(periods)):
        raise CaptureError(f"{path}: fringes.periods is {shown(list(periods))}; expected rising numbers above 0")
    if len(periods) > MAX_FREQUENCIES:
        raise CaptureError(
            f"{path}: fringes.periods has {len(periods)} frequencies; expected at most {MAX_FREQUENCIES}"
        )
    if periods[-1] > lines / 4:
        raise CaptureError(
            f"{path}: fringes.periods reaches {periods[-1]:g} on {lines} projector pixels; expected at least 4 pixels "
            "per period"
        )
    distance = order_distance_rad(periods)
    if distance < MIN_ORDER_DISTANCE_RAD:
        raise CaptureError(
            f"{path}: fringes.periods {shown(list(periods))} leave the fringe order open: two orders differ by "
            f"{distance:.2f} rad, expected {MIN_ORDER_DISTANCE_RAD}; add a lower frequency, such as 1"
        )
    return periods

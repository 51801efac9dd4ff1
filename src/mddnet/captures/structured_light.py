"""Structured light: the fringe images of a capture, and the calibrated geometry of camera and projector.

Convention of the patterns: step n of N at frequency f (periods across the projector) is, at projector pixel j of W,

    I_n(j) = a + b cos(2 pi (f (j + 0.5) / W - n / N))

with W the width of the projector for ``axis`` ``"x"`` (vertical stripes) and its height for ``"y"``. A point X of the
camera's frame (z forward, origin in the lens) is at R X + t in the projector's frame, as in OpenCV.
"""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PlainValidator, field_validator, model_validator

from mddnet.captures.description import Description, FilesBelow, Numbers, number, numbers, whole_number

FringeAxis = Literal["x", "y"]
MIN_STEPS = 3
MIN_ORDER_DISTANCE_RAD = 0.4
"""Two fringe orders must differ by this much in the phases of the lower frequencies to be robust to noise."""
MAX_PROJECTOR_PX = 65_536
MAX_FREQUENCIES = 32
BASELINE_MM = (5.0, 10_000.0)  # plausible baselines in millimetres; a value in metres or micrometres is outside


class Intrinsics(Description):
    """OpenCV's camera model, in pixels; the centre of the first pixel is 0; ``distortion`` is k1, k2, p1, p2, k3."""

    fx: Annotated[float, number("a number of pixels above 0", above=0)]
    fy: Annotated[float, number("a number of pixels above 0", above=0)]
    cx: Annotated[float, number("a number of pixels")]
    cy: Annotated[float, number("a number of pixels")]
    distortion: Numbers = (0.0,) * 5

    @field_validator("distortion")
    @classmethod
    def _known_terms(cls, given: tuple[float, ...]) -> tuple[float, ...]:
        if len(given) > 5:
            raise ValueError("at most 5 numbers: k1, k2, p1, p2, k3")
        return (*given, *[0.0] * (5 - len(given)))

    @property
    def matrix(self) -> NDArray[np.float64]:
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


class Projector(Intrinsics):
    """A projector, modelled as a camera."""

    width: Annotated[int, whole_number(2, MAX_PROJECTOR_PX, "a number of pixels")]
    height: Annotated[int, whole_number(2, MAX_PROJECTOR_PX, "a number of pixels")]


def _rotation(value: object) -> NDArray[np.float64]:
    rows = [numbers(row) for row in value] if isinstance(value, list) else []
    # Check the entries first: products of huge values overflow.
    matrix = np.array(rows) if [len(row) for row in rows] == [3, 3, 3] else np.full((3, 3), np.inf)
    orthogonal = np.abs(matrix).max() < 2 and np.abs(matrix @ matrix.T - np.eye(3)).max() <= 1e-3
    if not orthogonal or np.linalg.det(matrix) < 0:
        raise ValueError("3 rows of 3 numbers, a rotation R with R R^T = 1 and det R = 1")
    return matrix


def _translation_mm(value: object) -> NDArray[np.float64]:
    given = numbers(value)
    if len(given) != 3 or not BASELINE_MM[0] <= math.hypot(*given) <= BASELINE_MM[1]:
        raise ValueError(
            f"3 numbers in millimetres, {BASELINE_MM[0]:g} to {BASELINE_MM[1]:g} between camera and projector"
        )
    return np.array(given)


class ProjectorGeometry(Description):
    """Calibrated camera and projector, as in the calibration file of a rig."""

    camera: Intrinsics
    projector: Projector
    rotation: Annotated[NDArray[np.float64], PlainValidator(_rotation)]  # (3, 3) R of X_projector = R X_camera + t
    # (3,) t, millimetres
    translation_mm: Annotated[NDArray[np.float64], PlainValidator(_translation_mm)] = Field(alias="translation")

    @property
    def baseline_mm(self) -> float:
        """Distance between the two lenses."""
        return float(np.linalg.norm(self.translation_mm))

    def lines(self, axis: FringeAxis) -> int:
        """Projector pixels along the axis of the fringes."""
        return self.projector.width if axis == "x" else self.projector.height


class FringeImages(Description):
    """The fringe images of a capture."""

    axis: FringeAxis  # the axis along which the fringes vary: "x" (vertical stripes) or "y" (horizontal ones)
    periods: Numbers  # periods across the projector, rising, one per frequency
    files: tuple[FilesBelow, ...] = Field(alias="frames")  # the N steps of each frequency, in order
    # Sensor reading at which all of them were taken
    sensor_mm: Annotated[float, number("the sensor position of the fringe images")] = Field(alias="sensor")

    @model_validator(mode="after")
    def _usable(self) -> FringeImages:
        periods = self.periods
        if not 1 <= len(periods) <= MAX_FREQUENCIES:
            raise ValueError(f"1 to {MAX_FREQUENCIES} periods, not {len(periods)}")
        if periods[0] <= 0 or any(b <= a for a, b in itertools.pairwise(periods)):
            raise ValueError("periods of rising numbers above 0")
        if periods[-1] > MAX_PROJECTOR_PX / 4:
            raise ValueError(f"periods up to {MAX_PROJECTOR_PX // 4}, with at least 4 projector pixels each")
        if len(self.files) != len(periods):
            raise ValueError(f"frames of {len(periods)} lists, one per frequency, not {len(self.files)}")
        if fewest := next((row for row in self.files if len(row) < MIN_STEPS), None):
            raise ValueError(f"at least {MIN_STEPS} steps per frequency, not {len(fewest)}")
        distance = order_distance_rad(periods)
        if distance < MIN_ORDER_DISTANCE_RAD:
            raise ValueError(
                "periods that separate all fringe orders: two orders differ by "
                f"{distance:.2f} rad, at least {MIN_ORDER_DISTANCE_RAD} are needed; add a lower frequency, such as 1"
            )
        return self


def order_distance_rad(periods: tuple[float, ...]) -> float:
    """Smallest phase distance of two fringe orders of the highest frequency, radians; inf if it has a single order."""
    highest = periods[-1]
    steps = np.arange(1, math.ceil(highest - 1e-9))
    if not len(steps):
        return math.inf
    turns = np.outer(steps, np.array(periods[:-1])) / highest
    off = 2 * np.pi * (turns - np.rint(turns))
    return float(np.sqrt((off**2).sum(axis=1)).min()) if len(periods) > 1 else 0.0

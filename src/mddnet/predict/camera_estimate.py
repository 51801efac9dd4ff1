"""What the scene says about the camera: the field of view and the median depth, each with an error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CameraEstimate:
    """Field of view and median depth by the network. Errors are standard errors of the logarithm: 0.1 is 10 %.

    Attributes:
        tan_half_fov: tangent of half the field of view along the long side of the photo.
        tan_half_fov_error: its error.
        median_depth_m: median z-depth in metres.
        median_depth_error: its error.
    """

    tan_half_fov: float
    tan_half_fov_error: float
    median_depth_m: float
    median_depth_error: float

    @classmethod
    def from_network(cls, output: Sequence[float], factors: tuple[float, float] = (1.0, 1.0)) -> CameraEstimate:
        """From the four values of the network: two logarithms and the log scales of their Laplace errors.

        The standard deviation of a Laplace distribution is sqrt(2) times its scale. ``factors`` of the errors of the
        field of view and of the median depth come from the calibration of the model: a network knows its errors on
        scenes like those of its training only.
        """
        fov, depth, fov_log_scale, depth_log_scale = (min(max(float(value), -20.0), 20.0) for value in output)
        fov_error, depth_error = (
            math.sqrt(2) * math.exp(min(value, 3.0)) * factor
            for value, factor in zip((fov_log_scale, depth_log_scale), factors, strict=True)
        )
        return cls(math.exp(fov), fov_error, math.exp(depth), depth_error)

    @property
    def field_of_view_deg(self) -> float:
        """Field of view along the long side, degrees."""
        return math.degrees(2 * math.atan(self.tan_half_fov))

    def to_json(self) -> dict[str, float]:
        """The values as JSON numbers, with the field of view in degrees."""
        return {
            "field_of_view_deg": self.field_of_view_deg,
            "field_of_view_log_error": self.tan_half_fov_error,
            "median_depth_m": self.median_depth_m,
            "median_depth_log_error": self.median_depth_error,
        }

"""Inverse depth in 1/m (dioptres), metres, and the depth of field."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from mddnet.optics import focus_z_from_sensor_plane_m, lens_kappa_px
from mddnet.types import Float32Array, Lens, LensLawFit

MAX_DEPTH_M = 1e4  # farther points are at infinity: no photo distinguishes 10 km from 20 km
BEYOND = 0.1  # 1/m beyond infinity, at half the inverse depth of 10 km
SHARP_DIAGONALS = 1500.0  # a point is sharp if its CoC is at most the diagonal over 1500, as usual in photography


@dataclass(frozen=True, slots=True)
class DepthOfField:
    """The range of distances in which a photo is sharp, metres from the principal plane; they may be infinite."""

    focus_m: float  # the plane of focus
    near_m: float
    far_m: float
    sharp_px: float  # largest CoC diameter of a sharp point, pixels of the photo

    def to_json(self) -> dict[str, float | str]:
        """The fields as JSON values; infinity is the string ``"inf"``."""
        return {name: "inf" if math.isinf(value) else value for name, value in asdict(self).items()}


def depth_of_field(focus: LensLawFit, height: int, width: int) -> DepthOfField:
    """Depth of field of a photo of that height and width: u_focus -+ c / kappa, c the diagonal over 1500.

    ``focus`` is a found law in 1/m and pixels of the photo.
    """
    sharp_px = math.hypot(height, width) / SHARP_DIAGONALS
    half = sharp_px / focus.kappa_px
    focus_m, near_m, far_m = (1.0 / u if u > 0 else math.inf for u in (focus.u_focus + d for d in (0.0, half, -half)))
    return DepthOfField(focus_m, near_m, far_m, sharp_px)


@dataclass(frozen=True, slots=True)
class MetricLaw:
    """The lens law of a lens whose facts are all known."""

    u_focus: float  # plane of focus, 1/m
    kappa_px: float  # CoC diameter in pixels per 1/m

    @property
    def infinity_px(self) -> float:
        """CoC diameter of infinity, kappa u_focus: the largest one behind the plane of focus."""
        return self.kappa_px * self.u_focus


def metric_law(lens: Lens, pixel_scale: float = 1.0) -> MetricLaw | None:
    """The lens law in 1/m; None if the lens facts are not sufficient, or its focus distance is impossible.

    CoCs are counted in pixels of ``pixel_scale`` pixels of the photo.
    """
    if lens.focus_m is None or lens.focal_mm is None or not lens.has_blur_scale:
        return None
    try:
        focus_z_m = focus_z_from_sensor_plane_m(lens.focus_m, lens.focal_mm)
    except ValueError:
        return None
    return MetricLaw(1.0 / focus_z_m, lens_kappa_px(lens, focus_z_m) / pixel_scale)


def before_infinity(inv_depth: Float32Array) -> Float32Array:
    """Metric inverse depth > 0, in the same order: below m = 1/(10 km), x becomes m / (1 + (m - x) / BEYOND).

    Points beyond infinity are where ``depth_m`` is infinite, and still have an order.
    """
    least = np.float32(1.0 / MAX_DEPTH_M)
    beyond = least / (1 + np.maximum(least - inv_depth, 0) / np.float32(BEYOND))
    return np.where(inv_depth < least, beyond, inv_depth).astype(np.float32)


def depth_m_of(inv_depth: Float32Array) -> Float32Array:
    """Metres from metric inverse depth; infinite beyond 10 km."""
    far = inv_depth < np.float32(1.0 / MAX_DEPTH_M)
    return np.where(far, np.float32(np.inf), 1.0 / np.where(far, np.float32(1), inv_depth)).astype(np.float32)


def depth_error_m(inv_depth: Float32Array, inv_depth_error: Float32Array) -> Float32Array:
    """Error of metres from that of metric inverse depth: half the distance from 1/(u + error) to 1/(u - error).

    It is infinite where infinity is within the error.
    """
    far, near = depth_m_of(inv_depth - inv_depth_error), depth_m_of(inv_depth + inv_depth_error)
    return np.where(np.isinf(far), far, (far - np.where(np.isinf(near), np.float32(0), near)) / 2).astype(np.float32)

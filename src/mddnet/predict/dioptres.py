"""Inverse depth in 1/m (dioptres), metres, and the depth of field."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from mddnet.optics import focus_z_from_sensor_plane_m, lens_kappa_px
from mddnet.types import Float32Array, Lens, LensLawFit

MAX_DEPTH_M = 1e4
"""Predictions are finite: what lies at infinity is put here."""
SHARP_DIAGONALS = 1500.0
"""What photographers count as sharp: a CoC of at most the diagonal over 1500."""


@dataclass(frozen=True, slots=True)
class DepthOfField:
    """Between which distances a photo is sharp.

    Attributes:
        focus_m: distance of the plane of focus from the principal plane, metres; may be infinite.
        near_m: nearest distance that is sharp, metres from the principal plane.
        far_m: farthest distance that is sharp; may be infinite.
        sharp_px: the CoC diameter up to which it counts as sharp, pixels of the photo.
    """

    focus_m: float
    near_m: float
    far_m: float
    sharp_px: float

    def to_json(self) -> dict[str, float | str]:
        """The fields as JSON values; infinity, which JSON lacks, is the string ``"inf"``."""
        return {name: "inf" if math.isinf(value) else value for name, value in asdict(self).items()}


def depth_of_field(focus: LensLawFit, height: int, width: int) -> DepthOfField:
    """The limits of what counts as sharp in a photo: u_focus -+ c / kappa, c the diagonal of the photo over 1500.

    Args:
        focus: a law that was found, in 1/m and pixels of the photo.
        height: of the photo, pixels.
        width: of the photo, pixels.
    """
    sharp_px = math.hypot(height, width) / SHARP_DIAGONALS
    half = sharp_px / focus.kappa_px
    focus_m, near_m, far_m = (1.0 / u if u > 0 else math.inf for u in (focus.u_focus + d for d in (0.0, half, -half)))
    return DepthOfField(focus_m, near_m, far_m, sharp_px)


def coc_of_infinity_px(lens: Lens) -> float:
    """CoC diameter of infinity in pixels of the photo, kappa u_focus: the largest one behind the plane of focus.

    Infinite where the lens facts do not give it.
    """
    if lens.focus_m is None or lens.focal_mm is None or not lens.has_blur_scale:
        return math.inf
    try:
        focus_z_m = focus_z_from_sensor_plane_m(lens.focus_m, lens.focal_mm)
    except ValueError:
        return math.inf
    return lens_kappa_px(lens, focus_z_m) / focus_z_m


def finite_depth_m(inv_depth: Float32Array) -> Float32Array:
    """Metres from metric inverse depth >= 0; beyond 10 km, infinity included, it is 10 km."""
    return (1.0 / np.maximum(inv_depth, np.float32(1.0 / MAX_DEPTH_M))).astype(np.float32)


def depth_error_m(inv_depth: Float32Array, inv_depth_error: Float32Array) -> Float32Array:
    """Error of metres from that of metric inverse depth: half of the way from 1/(u + error) to 1/(u - error).

    It is 10 km where infinity is within the error.
    """
    far = finite_depth_m(np.maximum(inv_depth - inv_depth_error, np.float32(0)))
    near = finite_depth_m(inv_depth + inv_depth_error)
    return np.where(far < MAX_DEPTH_M, (far - near) / 2, np.float32(MAX_DEPTH_M)).astype(np.float32)

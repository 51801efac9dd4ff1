"""What a scene says about the camera of its image."""

from __future__ import annotations

import math

from mddnet.types import SceneRecord

FARTHEST_U = 1e-3  # 1/m; a median depth beyond 1 km is not known


def true_camera(record: SceneRecord, long_side_px: float, median_inv_depth: float) -> tuple[float, float]:
    """Log tangent of half the field of view along the long side, and log median depth in metres; NaN where unknown.

    Args:
        record: its lens is that of the image; real frames, which are scaled and cropped for alignment, have none.
        long_side_px: of the image, or of the part of it that is meant.
        median_inv_depth: in the unit of the scene.
    """
    lens = record.lens
    field = depth = math.nan
    if lens.focal_mm is not None and lens.pixel_um is not None and record.provenance == "rendered":
        field = math.log(long_side_px * lens.pixel_um / (2000.0 * lens.focal_mm))
    if record.unit == "1/m" and median_inv_depth > FARTHEST_U:
        depth = -math.log(median_inv_depth)
    return field, depth

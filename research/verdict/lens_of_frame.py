"""The lens facts that a camera would record of a frame of a scene with metric depth."""

from __future__ import annotations

import math

from mddnet.optics import sensor_distance_m
from mddnet.types import FrameRecord, Lens, SceneRecord


def lens_of_frame(record: SceneRecord, frame: FrameRecord, scale: float = 1.0) -> Lens | None:
    """The lens of a frame with a metric depth, as a camera records it: its focus is measured from the sensor.

    Frames that were rendered have no f-number of their own: N = f v / (p kappa), with the pitch p.

    Args:
        record: of the scene.
        frame: one of its frames.
        scale: pixels of the scene's images per pixel of the photo.

    Returns:
        The lens, with the pitch of the photo; None where depth is not metric, or a fact is missing.
    """
    lens = record.lens
    if record.unit != "1/m" or lens.focal_mm is None or lens.pixel_um is None or not frame.kappa_px > 0:
        return None
    if frame.u_focus < 0:
        return None
    z = 1.0 / frame.u_focus if frame.u_focus > 0 else math.inf
    v = sensor_distance_m(lens.focal_mm, z)
    f_number = lens.f_number or lens.focal_mm * v * 1e3 / (lens.pixel_um * frame.kappa_px)
    return Lens(lens.focal_mm, f_number, lens.pixel_um * scale, z + v)

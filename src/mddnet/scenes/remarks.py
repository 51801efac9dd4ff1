"""Likely mistakes in captures that can be built nevertheless: one sentence each, for the table of a build."""

from __future__ import annotations

import math

import numpy as np

from mddnet.captures.focal_stack import FocusOrder
from mddnet.scenes.align import Alignment
from mddnet.types import Float32Array

MAGNIFICATION = 0.025  # least change of magnification that contradicts the stated order: hand-held stacks reach 0.016
MAGNIFICATION_TREND = 0.8  # least correlation of the magnification with the frame numbers
MIN_SPAN = 1.02  # factor between the far and the near end of a scene, 98th and 2nd percentile
FARTHEST_MM = 15_000  # 99th percentile; most depth cameras reach 10 m
NEAREST_MM = 100  # 99th percentile: no depth camera measures so near
TUM_FACTOR = 5  # depth maps of TUM RGB-D hold 5000ths of a metre
MIN_LEVELS = 20  # depth of fewer levels has a coarse step of its own
HOLE_SHARE = 0.01  # of the pixels with one code that is far beyond all others
HOLE_FACTOR = 1.25


def order_remarks(stated: FocusOrder, alignment: Alignment) -> tuple[str, ...]:
    """A remark if the magnification changes against the stated order: focusing nearer magnifies, by most lenses."""
    logs = alignment.log_magnifications
    change = float(logs[-1] - logs[0])
    if stated == "unknown" or abs(change) < MAGNIFICATION:
        return ()
    measured = "far_to_near" if change > 0 else "near_to_far"
    trend = abs(float(np.corrcoef(np.arange(len(logs)), logs)[0, 1]))
    if measured == stated or trend < MAGNIFICATION_TREND:
        return ()
    return (
        f"The order is stated as {stated}, but the magnification changes by {math.exp(change) - 1:+.1%} from the first "
        f"frame to the last, as from {measured.replace('_', ' ')}: check the focus in capture.json; only a lens with "
        "internal focusing may do so.",
    )


def depth_remarks(inv_depth: Float32Array, stated_mm: bool) -> tuple[str, ...]:
    """Remarks on metric inverse depth, (H, W) in 1/m; ``stated_mm`` for integers that were stated to be millimetres."""
    depth_mm = 1000.0 / inv_depth[inv_depth > 0].astype(np.float64)
    if not depth_mm.size:
        return ()
    near, far, farthest = (float(value) for value in np.percentile(depth_mm, (2, 98, 99)))
    span = far / near
    remarks = [f"The depth spans a factor of {span:.3f} only: check the depth map."] if span < MIN_SPAN else []
    return (*remarks, *(_unit_remarks(np.rint(depth_mm).astype(int), farthest) if stated_mm else ()))


def _unit_remarks(codes: np.ndarray, farthest: float) -> list[str]:
    """Remarks on the known codes of a depth map in millimetres, and their 99th percentile."""
    if farthest < NEAREST_MM:
        return [f"The depth is {farthest:.0f} mm at most: it looks like metres or centimetres; expected millimetres."]
    levels, counts = np.unique(codes, return_counts=True)
    if len(levels) > 1 and counts[-1] > HOLE_SHARE * codes.size and levels[-1] > HOLE_FACTOR * levels[-2]:
        hole = f"{counts[-1] / codes.size:.0%} of the depth is {levels[-1]}, the next value is {levels[-2]}"
        return [f"{hole}: if it means unknown, it must be 0."]
    by_step = len(levels) >= MIN_LEVELS and np.gcd.reduce(levels) == TUM_FACTOR
    if by_step or farthest > FARTHEST_MM:
        seen = f"holds multiples of {TUM_FACTOR} only" if by_step else f"reaches {farthest / 1000:.1f} m"
        return [f"The depth {seen}: it looks like 5000ths of a metre (TUM RGB-D); expected millimetres."]
    return []

"""The unit of the depth of a stack: from focus distances and lens facts to the inverse depth of every frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mddnet.optics import focus_z_from_sensor_plane_m, lens_kappa_px
from mddnet.types import InvDepthUnit, Lens

MIN_FIT = 0.9  # correlation of stated focus distances with the blur of the frames below which they are not believed
KAPPA_DISAGREEMENT = 1.5  # factor between the blur of the frames and that of the lens which is worth a note


@dataclass(frozen=True, slots=True)
class StackScale:
    """Inverse depth of the planes of focus."""

    unit: InvDepthUnit
    u_focus: NDArray[np.float64]  # (N,) in ``unit``, falling
    kappa_px: float  # pixels of CoC per unit
    notes: tuple[str, ...]


def stated_inv_depths(lenses: Sequence[Lens]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """(N,) inverse depth of the stated planes of focus in 1/m, NaN where unknown; notes on those that are ignored.

    If all distances are equal, a camera states one that it does not know, and none counts.
    """
    values, notes = np.full(len(lenses), np.nan), list[str]()
    for i, lens in enumerate(lenses):
        if lens.focus_m is None:
            continue
        try:
            z = lens.focus_m if lens.focal_mm is None else focus_z_from_sensor_plane_m(lens.focus_m, lens.focal_mm)
            values[i] = 1.0 / z
        except ValueError as error:
            notes = [f"Focus distances ignored: {error}."]
    known = values[np.isfinite(values)]
    if len(known) > 1 and np.ptp(known) < 1e-6:
        values[:] = np.nan
        notes.append("Focus distances ignored: all frames state the same.")
    elif len(known) and any(lens.focal_mm is None for lens in lenses):
        notes.append("Focal length unknown: focus distances are taken as measured from the lens, not from the sensor.")
    return values, tuple(notes)


def are_in_order(values: NDArray[np.float64]) -> bool:
    """Whether all planes of focus are known and go from near to far."""
    return bool(np.isfinite(values).all() and (np.diff(values) < 0).all())


def scale_of(positions_px: NDArray[np.float64], values: NDArray[np.float64], lens: Lens) -> StackScale:
    """The scale of a sweep from near to far.

    The CoC between two planes of focus is the difference of their positions: position = kappa (u_0 - u). Known inverse
    depths (two or more) give kappa and u by least squares; one of them with f, N and pixel pitch does, too; the lens
    alone gives the scale; otherwise u runs from 1 (nearest frame) to 0. Positions, (N,), rise, in pixels of the frames;
    ``values``, (N,), are the stated inverse depths in 1/m, NaN where unknown.
    """
    x = positions_px - positions_px[0]
    known = np.isfinite(values)
    notes: list[str] = []
    kappa_lens = math.nan
    if lens.has_blur_scale:
        nearest = float(np.nanmax(values)) if known.any() else 0.0
        kappa_lens = lens_kappa_px(lens, 1.0 / nearest if nearest > 0 else math.inf)
    if known.sum() >= 2:
        if are_in_order(values):
            kappa = float(x[-1] / (values[0] - values[-1]))
            return StackScale("1/m", values, kappa, _checked(kappa, kappa_lens))
        fit = float(-np.corrcoef(x[known], values[known])[0, 1])
        if fit >= MIN_FIT:
            slope, start = np.polyfit(x[known], values[known], 1)
            u = np.maximum(start + slope * x, 0.0)
            notes.append(f"Focus distances of {known.sum()} of {len(x)} frames; the others follow from the blur.")
            return StackScale("1/m", u, float(-1 / slope), (*notes, *_checked(float(-1 / slope), kappa_lens)))
        notes.append(f"Focus distances ignored: they do not fit the blur of the frames (correlation {fit:.2f}).")
        known[:] = False
    if math.isfinite(kappa_lens):
        if known.any():
            i = int(np.flatnonzero(known)[0])
            u = np.maximum(values[i] - (x - x[i]) / kappa_lens, 0.0)
            notes.append("The focus distance of one frame is known; those of the others follow from lens and blur.")
            return StackScale("1/m", u, kappa_lens, tuple(notes))
        notes.append("No focus distance is known (--focus-m): depth is measured from the farthest plane of focus.")
        return StackScale("1/m from focus", (x[-1] - x) / kappa_lens, kappa_lens, tuple(notes))
    notes.append(
        "Depth is relative: for metres, state the focus distance of every frame (--focus-m), or that of one frame and "
        "the lens (--focal-mm, --f-number and --pixel-um or --camera)."
    )
    return StackScale("relative", 1 - x / x[-1], float(x[-1]), tuple(notes))


def _checked(kappa: float, kappa_lens: float) -> tuple[str, ...]:
    factor = kappa / kappa_lens
    if not math.isfinite(factor) or 1 / KAPPA_DISAGREEMENT < factor < KAPPA_DISAGREEMENT:
        return ()
    return (
        f"The frames are blurred {factor:.2g} times as much as f, f-number, pixel pitch and focus distances say: check "
        "these.",
    )

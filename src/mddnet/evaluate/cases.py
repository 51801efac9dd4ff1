"""Example photos of a report: those with the best and the worst numbers, with their maps as small pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mddnet.color_maps import DEPTH_COLOURS, SIGN_COLOURS
from mddnet.metrics import METRICS, Estimate, Truth
from mddnet.scenes.small_pictures import SmallPicture, coloured, fitted_size, picture, shrunk, shrunk_map
from mddnet.types import UInt8Array

CASES_PER_END = 3  # number of best photos and of worst photos that are kept for each metric
LEADING_METRICS = ("depth_ordinal", "defocus_ordinal", "blur_f")  # by which photos are ranked


@dataclass(frozen=True, slots=True)
class Case:
    """A photo with its pictures."""

    name: str  # scene and file
    location: str
    pictures: tuple[SmallPicture, ...]  # the photo, its truths, and the maps of every method


Cases = dict[str, tuple[tuple[Case, ...], tuple[Case, ...]]]
"""By leading metric: the worst cases, worst first, and the best, best first."""


@dataclass(slots=True)
class CaseKeeper:
    """Keeps the best and worst cases; pictures are made only for cases that may be among them."""

    _kept: dict[str, list[tuple[float, str, Case]]] = field(default_factory=dict)

    def offer(
        self, name: str, location: str, measures: Mapping[str, float], pictures: Callable[[], tuple[SmallPicture, ...]]
    ) -> None:
        """Keep a photo if it is among the best or the worst so far."""
        made: Case | None = None
        for measure in LEADING_METRICS:
            value = measures.get(measure, float("nan"))
            if not np.isfinite(value):
                continue
            kept = self._kept.setdefault(measure, [])
            if len(kept) >= 2 * CASES_PER_END and kept[CASES_PER_END - 1][0] <= value <= kept[-CASES_PER_END][0]:
                continue
            made = made or Case(name, location, pictures())
            kept.append((value, name, made))
            kept.sort(key=lambda entry: entry[:2])
            if len(kept) > 2 * CASES_PER_END:
                del kept[CASES_PER_END]

    def worst_and_best(self) -> Cases:
        """The kept cases; none is both among the worst and among the best."""
        result = {}
        for measure in LEADING_METRICS:
            cases = [case for _, _, case in self._kept.get(measure, [])]
            if METRICS[measure].better == "lower":
                cases.reverse()
            worst = cases[: min(CASES_PER_END, (len(cases) + 1) // 2)]
            best = cases[len(worst) :][::-1][:CASES_PER_END]
            if cases:
                result[measure] = (tuple(worst), tuple(best))
        return result


def case_pictures(truth: Truth, estimates: Mapping[str, Estimate]) -> tuple[SmallPicture, ...]:
    """The photo, its truths, and the estimates of each method; all CoC maps have one colour scale."""
    photo, inv_depth, defocus_px = truth.photo, truth.inv_depth, truth.defocus_px
    size = fitted_size(photo.shape[1], photo.shape[0])
    sizes = [m for m in (defocus_px, *(a.defocus_px for a in estimates.values())) if m is not None]
    known = next((values for values in sizes if np.isfinite(values).any()), None)
    top = 1.0 if known is None else max(1.0, float(np.nanquantile(known, 0.98)))
    scale = f"CoC, 0 to {top:.3g} px"
    shown = {"photo": shrunk(photo, size)}
    if inv_depth is not None and np.isfinite(inv_depth).any():
        shown["true inverse depth, bright is near"] = _depth(inv_depth, size)
    if defocus_px is not None and np.isfinite(defocus_px).any():
        shown[f"true {scale}"] = _blur(defocus_px, size, 0.0, top)
    for name, estimate in estimates.items():
        if estimate.inv_depth is not None:
            shown[f"{name}: inverse depth"] = _depth(estimate.inv_depth, size)
        if estimate.defocus_px is not None:
            shown[f"{name}: {scale}"] = _blur(estimate.defocus_px, size, 0.0, top)
        elif estimate.blur_score is not None:
            shown[f"{name}: blur, own scale"] = _blur(estimate.blur_score, size, *_range(estimate.blur_score))
    return tuple(picture(title, pixels) for title, pixels in shown.items())


def _range(values: NDArray[np.floating]) -> tuple[float, float]:
    low, high = np.nanquantile(values, (0.02, 0.98))
    return float(low), float(high)


def _depth(values: NDArray[np.floating], size: tuple[int, int]) -> UInt8Array:
    return coloured(shrunk_map(np.asarray(values, dtype=np.float32), size), *_range(values), DEPTH_COLOURS)


def _blur(values: NDArray[np.floating], size: tuple[int, int], low: float, high: float) -> UInt8Array:
    # the upper half of the table of signs runs from white (sharp) to orange
    small = np.maximum(shrunk_map(np.asarray(values, dtype=np.float32), size), np.float32(low))
    return coloured(small, 2 * low - high, high, SIGN_COLOURS)

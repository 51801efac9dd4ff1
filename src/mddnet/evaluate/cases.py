"""The photos that a report shows: those with the best and the worst number, each with its maps as small pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mddnet.color_maps import DEPTH_COLOURS, SIGN_COLOURS
from mddnet.evaluate.peers.peer import PeerAnswer, blur_of, inv_depth_of
from mddnet.scenes.small_pictures import SmallPicture, coloured, fitted_size, picture, shrunk, shrunk_map
from mddnet.types import Float32Array, UInt8Array

CASES_PER_END = 3
"""Photos that are kept of the best ones, of the worst ones, per measure."""
LEADING_MEASURES = (
    ("depth_ordinal", True),
    ("defocus_ordinal", True),
    ("blur_f", True),
    ("sharp_pair", True),
)
"""By which photos are called good or bad, and whether larger is better; a measure that no photo has is left out."""


@dataclass(frozen=True, slots=True)
class Case:
    """A photo with its pictures.

    Attributes:
        name: scene and file.
        place: where it is from.
        measures: all its numbers.
        pictures: the photo, truths, the model's maps, and those of other methods.
    """

    name: str
    place: str
    measures: Mapping[str, float]
    pictures: tuple[SmallPicture, ...]


@dataclass(slots=True)
class CaseKeeper:
    """Keeps the best and worst cases; pictures are made of those alone that may be among them."""

    _kept: dict[str, list[tuple[float, str, Case]]] = field(default_factory=dict)

    def offer(
        self, name: str, place: str, measures: Mapping[str, float], pictures: Callable[[], tuple[SmallPicture, ...]]
    ) -> None:
        """Keep a photo if it is among the best or the worst so far."""
        made: Case | None = None
        for measure, _ in LEADING_MEASURES:
            value = measures.get(measure, float("nan"))
            if not np.isfinite(value):
                continue
            kept = self._kept.setdefault(measure, [])
            if len(kept) >= 2 * CASES_PER_END and kept[CASES_PER_END - 1][0] <= value <= kept[-CASES_PER_END][0]:
                continue
            made = made or Case(name, place, dict(measures), pictures())
            kept.append((value, name, made))
            kept.sort(key=lambda entry: entry[:2])
            if len(kept) > 2 * CASES_PER_END:
                del kept[CASES_PER_END]

    def worst_and_best(self) -> dict[str, tuple[tuple[Case, ...], tuple[Case, ...]]]:
        """By measure: the worst cases, worst first, and the best ones, best first; few photos are in one list only."""
        result = {}
        for measure, larger_is_better in LEADING_MEASURES:
            cases = [case for _, _, case in self._kept.get(measure, [])]
            if not larger_is_better:
                cases.reverse()
            worst = cases[: min(CASES_PER_END, (len(cases) + 1) // 2)]
            best = cases[len(worst) :][::-1][:CASES_PER_END]
            if cases:
                result[measure] = (tuple(worst), tuple(best))
        return result


def case_pictures(
    photo: UInt8Array,
    model: PeerAnswer,
    peers: Mapping[str, PeerAnswer],
    *,
    inv_depth: Float32Array | None = None,
    defocus_px: NDArray[np.floating] | None = None,
    blurred: NDArray[np.bool_] | None = None,
    sharp: UInt8Array | None = None,
) -> tuple[SmallPicture, ...]:
    """The photo, its truths, and what each method says, one scale of defocus for all that state a size.

    Args:
        photo: (H, W, 3) uint8.
        model: the model's maps by quantity.
        peers: those of other methods, by name.
        inv_depth: (H, W), true, NaN where unknown, or None.
        defocus_px: (H, W), true CoC, NaN where unknown, or None.
        blurred: (H, W) bool, marked blur, or None.
        sharp: (H, W, 3) uint8, or None.
    """
    size = fitted_size(photo.shape[1], photo.shape[0])
    pictures = [picture("photo", shrunk(photo, size))]
    if sharp is not None:
        pictures.append(picture("the same, sharp", shrunk(sharp, size)))
    if inv_depth is not None and np.isfinite(inv_depth).any():
        pictures.append(picture("true inverse depth, bright is near", _depth(inv_depth, size)))
    top = _top(defocus_px, model)
    if defocus_px is not None and np.isfinite(defocus_px).any():
        pictures.append(picture(f"true CoC, 0 to {top:.3g} px", _blur(np.asarray(defocus_px), size, 0.0, top)))
    if blurred is not None:
        pictures.append(picture("marked as blurred: orange", _blur(blurred.astype(np.float32), size, 0.0, 1.0)))
    for name, answer in (("model", model), *peers.items()):
        pictures += _answer_pictures(name, answer, size, top)
    return tuple(pictures)


def _answer_pictures(name: str, answer: PeerAnswer, size: tuple[int, int], top: float) -> Sequence[SmallPicture]:
    pictures = []
    inv_depth, blur = inv_depth_of(answer), blur_of(answer)
    if inv_depth is not None:
        pictures.append(picture(f"{name}: inverse depth", _depth(inv_depth, size)))
    if blur is not None and blur.defocus_px is not None:
        pictures.append(picture(f"{name}: CoC, 0 to {top:.3g} px", _blur(blur.defocus_px, size, 0.0, top)))
    elif blur is not None:
        low, high = _range(blur.score)
        pictures.append(picture(f"{name}: blur, own scale", _blur(blur.score, size, low, high)))
    return pictures


def _top(defocus_px: NDArray[np.floating] | None, model: PeerAnswer) -> float:
    maps = [defocus_px] if defocus_px is not None and np.isfinite(defocus_px).any() else []
    if not maps and "defocus_px" in model:
        maps = [model["defocus_px"]]
    return max(1.0, float(np.nanquantile(maps[0], 0.98))) if maps else 1.0


def _range(values: NDArray[np.floating]) -> tuple[float, float]:
    low, high = np.nanquantile(values, (0.02, 0.98))
    return float(low), float(high)


def _depth(values: NDArray[np.floating], size: tuple[int, int]) -> UInt8Array:
    return coloured(shrunk_map(np.asarray(values, dtype=np.float32), size), *_range(values), DEPTH_COLOURS)


def _blur(values: NDArray[np.floating], size: tuple[int, int], low: float, high: float) -> UInt8Array:
    # the upper half of the table of signs runs from white (sharp) to orange
    small = np.maximum(shrunk_map(np.asarray(values, dtype=np.float32), size), np.float32(low))
    return coloured(small, 2 * low - high, high, SIGN_COLOURS)

"""Whether a model's confidence knows where its errors are: sparsification of three errors, photo by photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mddnet.evaluate.alignment import fit_alignment
from mddnet.evaluate.scenes import SceneTruth
from mddnet.metrics import OrdinalPairs, Sparsification, falling_steps, sparsification
from mddnet.types import Float32Array

ERRORS = ("coc", "inv_depth", "order")
"""|CoC error| in px; |inverse depth error| after robust scale-and-shift alignment, as a share of the scene's range; and
the share of wrong pairs of the depth order, a pair being as sure as the less sure of its pixels."""
REMOVED_PERCENT = tuple(range(0, 100, 10))
"""Where the curves are reported, in per cent of the pixels (pairs) removed."""

MACRO = "macro"


@dataclass(frozen=True, slots=True)
class PhotoCurves:
    """Sparsification curves of one photo, by name of the error, of :data:`ERRORS`."""

    scene: str
    place: str
    curves: Mapping[str, Sparsification]


@dataclass(frozen=True, slots=True)
class MeanCurve:
    """A sparsification curve averaged over photos, at each of :data:`REMOVED_PERCENT`.

    Attributes:
        error: mean error of what is left, the least confident removed first, in the unit of the error.
        oracle: the same with the largest errors removed first.
        falling_steps: how many of the nine steps of 10 % lower the error; 9 is a curve that falls everywhere.
    """

    error: tuple[float, ...]
    oracle: tuple[float, ...]
    falling_steps: int


def confidence_curves(
    confidence: Float32Array,
    inv_depth: Float32Array,
    defocus_px: Float32Array,
    truth: SceneTruth,
    true_defocus_px: Float32Array | None,
    depth_pairs: OrdinalPairs,
    drawn: NDArray[np.int64],
    *,
    depth_errors: NDArray[np.floating] | None,
) -> dict[str, Sparsification]:
    """Sparsification curves of one photo; an error that does not apply is absent.

    Args:
        confidence: (H, W), larger is surer.
        inv_depth: (H, W) predicted inverse depth, any scale and shift.
        defocus_px: (H, W) predicted CoC.
        truth: the scene.
        true_defocus_px: (H, W) true CoC, or None where it is not known.
        depth_pairs: pairs of pixels of the scene whose depths differ clearly.
        drawn: flat indices of pixels whose inverse depth is known: see :func:`~mddnet.evaluate.scenes.draw_known`.
        depth_errors: :func:`inv_depth_errors` at the drawn pixels, or None where only the order of the truth is known.
    """
    sure = confidence.ravel()[drawn]
    curves: dict[str, Sparsification] = {}
    if true_defocus_px is not None and len(drawn):
        error_px = np.abs(defocus_px.ravel()[drawn] - true_defocus_px.ravel()[drawn])
        curves["coc"] = sparsification(error_px, sure)
    if depth_errors is not None:
        curves["inv_depth"] = sparsification(depth_errors, sure)
    if len(depth_pairs):
        flat, everywhere = inv_depth.ravel(), confidence.ravel()
        nearer, farther = flat[depth_pairs.nearer], flat[depth_pairs.farther]
        wrong = (nearer < farther) + 0.5 * (nearer == farther)
        sure_of_both = np.minimum(everywhere[depth_pairs.nearer], everywhere[depth_pairs.farther])
        curves["order"] = sparsification(wrong, sure_of_both)
    return curves


def inv_depth_errors(inv_depth: Float32Array, truth: SceneTruth, drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) errors at drawn pixels, after robust scale-and-shift alignment to these, over the scene's range.

    Raises:
        ValueError: without a drawn pixel.
    """
    u, p = truth.inv_depth.ravel()[drawn], inv_depth.ravel()[drawn]
    aligned = fit_alignment(p, u, kind="scale_and_shift", method="robust").apply(p)
    return np.abs(aligned - u) / truth.range


def curve_measures(curves: Mapping[str, Sparsification]) -> dict[str, float]:
    """``ause_ERROR`` of the confidence and ``ause_ERROR_constant`` of one that says nothing."""
    measures = {}
    for name, curve in curves.items():
        measures[f"ause_{name}"] = curve.ause
        measures[f"ause_{name}_constant"] = curve.constant
    return measures


def mean_curves(photos: Sequence[PhotoCurves]) -> dict[str, dict[str, MeanCurve]]:
    """Curves by error and place, over photos and then scenes; ``"macro"`` is the mean over the places."""
    result: dict[str, dict[str, MeanCurve]] = {}
    for name in ERRORS:
        by_place: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
        for photo in photos:
            if name in photo.curves:
                curve = photo.curves[name]
                both = np.stack([curve.error, curve.oracle])[:, list(REMOVED_PERCENT)]
                by_place.setdefault(photo.place, {}).setdefault(photo.scene, []).append(both)
        if not by_place:
            continue
        places = {
            place: np.mean([np.mean(rows, axis=0) for rows in scenes.values()], axis=0)
            for place, scenes in by_place.items()
        }
        whole = {**places, MACRO: np.mean(list(places.values()), axis=0)}
        result[name] = {
            place: MeanCurve(tuple(error.tolist()), tuple(oracle.tolist()), falling_steps(error))
            for place, (error, oracle) in whole.items()
        }
    return result

"""References that need no network, for comparison with a method's numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics.blur_detection import average_precision
from mddnet.metrics.order import OrdinalPairs
from mddnet.metrics.registry import Group, Measures, Metric, register
from mddnet.metrics.texture import gaussian_smoothed, smoothed_laplacian
from mddnet.types import BoolArray, Float32Array

if TYPE_CHECKING:
    from mddnet.metrics.comparison import Truth

SHARPNESS_SCALES = (0.005, 0.01, 0.02, 0.04)  # smoothings, sigma over the long side; the best one is reported


def vertical_position(height: int, width: int) -> Float32Array:
    """The vertical-position prior, (H, W): 0 in the top row, 1 (nearest) in the bottom row."""
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(rows[:, None], (height, width)))


def negative_sharpness(photo: NDArray[np.generic], *scales: float) -> list[Float32Array]:
    """Defocus as lack of sharpness: minus the smoothed Laplacian of the photo; only its order has a meaning.

    An (H, W) map per scale, which is sigma of the smoothing over the long side.
    """
    sharpness = smoothed_laplacian(photo, 0.0)
    return [-gaussian_smoothed(sharpness, scale * max(sharpness.shape)) for scale in scales]


def _ordinal(scale: float, truth: Truth, pairs: OrdinalPairs, _: object) -> float:
    return pairs.accuracy(truth.blurriness[scale])


def _precision(scale: float, truth: Truth, pairs: OrdinalPairs, blurred: BoolArray) -> float:
    return average_precision(truth.blurriness[scale].ravel()[truth.defocus_indices], blurred)


def _best(key: str, means: Measures) -> float | None:
    found = [means.get(f"{key}_{scale}", np.nan) for scale in SHARPNESS_SCALES]
    return float(np.nanmax(found)) if np.isfinite(found).any() else None


def _sharpness(key: str, title: str, group: Group, of: str, score: Callable[..., float]) -> list[Metric]:
    """The score of the blurriness at each scale, and the best of them."""
    inputs = ("truth", "truth.defocus_pairs", of)
    scales = [
        Metric(f"{key}_{scale}", "", group, partial(score, scale), inputs, reference=True) for scale in SHARPNESS_SCALES
    ]
    note = "Negative sharpness: with the best smoothing per location."
    return [*scales, Metric(key, title, group, from_means=partial(_best, key), note=note)]


register(
    Metric(
        "vertical_position_prior", "vertical position", "depth",
        lambda pairs, photo: pairs.accuracy(vertical_position(*photo.shape[:2])), ("truth.depth_pairs", "truth.photo"),
        reference=True, note="Vertical position: the prior that lower in the picture is nearer.",
    ),
    *_sharpness("defocus_ordinal_sharpness", "neg. sharpness", "defocus order", "truth.defocus_px", _ordinal),
    *_sharpness("blur_ap_sharpness", "AP of sharpness", "blur detection", "blurred", _precision),
)  # fmt: skip

"""Reliability curves: predicted CoC by true CoC, and errors by confidence, in bins."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

TRUE_COC_EDGES_PX = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)
"""Bin edges of the true CoC; larger values are left out."""
_FINE_EDGES_PX = np.concatenate([np.arange(0.0, 32.0, 0.125), np.geomspace(32.0, 256.0, 97)])
CONFIDENCE_BINS = 10
QUARTILES = (0.25, 0.5, 0.75)
MIN_PIXELS = 200  # bins with fewer sampled pixels are left out


@dataclass(frozen=True, slots=True)
class CocBin:
    """Predicted CoCs of the pixels in a bin of the true CoC."""

    low_px: float
    high_px: float
    pixels: int  # number of sampled pixels
    quartiles_px: tuple[float, float, float]  # of the predicted CoC


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Mean errors of the pixels in a bin of confidence; NaN where no error is known."""

    low: float
    high: float
    pixels: int  # number of sampled pixels
    coc_error_px: float
    inv_depth_error: float  # over the scene's range, after robust scale-and-shift alignment


@dataclass(frozen=True, slots=True)
class Reliability:
    """Both tables, without bins of few pixels."""

    coc: tuple[CocBin, ...]
    confidence: tuple[ConfidenceBin, ...]


@dataclass(slots=True)
class ReliabilityCounts:
    """Accumulates the sampled pixels of all photos, (N,) each."""

    _coc: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(TRUE_COC_EDGES_PX) - 1, len(_FINE_EDGES_PX)), dtype=np.int64)
    )
    _confidence: NDArray[np.float64] = field(default_factory=lambda: np.zeros((5, CONFIDENCE_BINS)))

    def add_coc(self, predicted_px: NDArray[np.floating], true_px: NDArray[np.floating]) -> None:
        """Count pixels; those without a truth are left out."""
        known = np.isfinite(true_px)
        edges = TRUE_COC_EDGES_PX, np.append(_FINE_EDGES_PX, np.inf)
        self._coc += np.histogram2d(true_px[known], np.maximum(predicted_px[known], 0), edges)[0].astype(np.int64)

    def add_confidence(
        self,
        confidence: NDArray[np.floating],
        coc_error_px: NDArray[np.floating] | None,
        inv_depth_error: NDArray[np.floating] | None,
    ) -> None:
        """Count pixels; an error that is None or NaN is unknown."""
        bins = np.clip((confidence * CONFIDENCE_BINS).astype(np.int64), 0, CONFIDENCE_BINS - 1)
        self._confidence[0] += np.bincount(bins, minlength=CONFIDENCE_BINS)
        for at, error in ((1, coc_error_px), (3, inv_depth_error)):
            if error is not None:
                known = np.isfinite(error)
                self._confidence[at] += np.bincount(bins[known], error[known], CONFIDENCE_BINS)
                self._confidence[at + 1] += np.bincount(bins[known], minlength=CONFIDENCE_BINS)

    def result(self) -> Reliability:
        coc = []
        for k, counts in enumerate(self._coc):
            pixels = int(counts.sum())
            if pixels >= MIN_PIXELS:
                at = np.searchsorted(np.cumsum(counts), np.array(QUARTILES) * pixels)
                low, middle, high = (float(value) for value in _FINE_EDGES_PX[np.minimum(at, len(counts) - 1)])
                coc.append(CocBin(TRUE_COC_EDGES_PX[k], TRUE_COC_EDGES_PX[k + 1], pixels, (low, middle, high)))
        confidence = []
        with np.errstate(invalid="ignore"):
            means = (self._confidence[[1, 3]] / self._confidence[[2, 4]]).tolist()
        for k, (pixels, coc_error, depth_error) in enumerate(zip(self._confidence[0], *means, strict=True)):
            if pixels >= MIN_PIXELS:
                edges = k / CONFIDENCE_BINS, (k + 1) / CONFIDENCE_BINS
                confidence.append(ConfidenceBin(*edges, int(pixels), coc_error, depth_error))
        return Reliability(tuple(coc), tuple(confidence))

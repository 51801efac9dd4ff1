"""Quality of a confidence map: sparsification curves and the area between them."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mddnet.metrics.known import Values, known_values
from mddnet.metrics.registry import Metric, register

SPARSIFICATION_STEPS = 100  # the curves have one point per percent of pixels removed, from 0 to 99 %


@dataclass(frozen=True, slots=True)
class Sparsification:
    """Mean error of the remaining pixels; point k is after k % have been removed."""

    error: NDArray[np.float64]  # (100,) least confident pixels removed first
    oracle: NDArray[np.float64]  # (100,) pixels with the largest error removed first, the best possible order

    @property
    def ause(self) -> float:
        """Area between the curve and the oracle's, divided by the error of all pixels; 0 is perfect."""
        return self._area(self.error - self.oracle)

    @property
    def constant(self) -> float:
        """The same area for a constant confidence: removing pixels at random does not change the mean error."""
        return self._area(self.error[0] - self.oracle)

    def _area(self, between: NDArray[np.float64]) -> float:
        whole = float(self.error[0])
        # without any error, every order equals the oracle's
        return 0.0 if whole == 0 else float(np.mean(between)) / whole


def sparsification(error: Values, confidence: Values) -> Sparsification:
    """Sparsification curves of errors by a confidence.

    Ilg et al., "Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow" (ECCV 2018), section on AUSE: the
    area under the sparsification error, the curve minus the oracle's, errors divided by the mean of all. Here the area
    is the mean over 0, 1, ..., 99 % removed. Pixels of equal confidence are removed in random order; the curve is the
    expected one, so a constant confidence has a constant curve. Errors are >= 0, or NaN where unknown; a confidence of
    NaN is the lowest. The curves are NaN without a known pixel; ValueError for other shapes or a negative error.

    Example:
        >>> import numpy as np
        >>> curves = sparsification(np.array([4.0, 2.0, 1.0, 1.0]), np.array([0.1, 0.2, 0.8, 0.9]))
        >>> curves.error[0], curves.error[50], curves.ause
        (2.0, 1.0, 0.0)
    """
    c, e = known_values(confidence, error)
    if not len(e):
        nothing = np.full(SPARSIFICATION_STEPS, np.nan)
        return Sparsification(nothing, nothing)
    if e.min() < 0:
        raise ValueError(f"an error is {e.min():g}; expected 0 or more")
    c = np.where(np.isnan(c), -np.inf, c)
    order = np.argsort(-c)
    e_sure_first, c = e[order], c[order]
    starts = np.flatnonzero(np.append(True, c[1:] != c[:-1]))
    counts = np.diff(np.append(starts, len(c)))
    tied = np.repeat(np.add.reduceat(e_sure_first, starts) / counts, counts)
    removed = np.arange(SPARSIFICATION_STEPS) * len(e) // SPARSIFICATION_STEPS
    kept = len(e) - removed
    return Sparsification(np.cumsum(tied)[kept - 1] / kept, np.cumsum(np.sort(e))[kept - 1] / kept)


def falling_steps(curve: Values) -> int:
    """Number of steps of a curve that decrease."""
    return int(np.count_nonzero(np.diff(curve) < 0))


class CurveError(NamedTuple):
    """An error with a sparsification curve, the attribute ``NAME_curve`` of a comparison."""

    title: str  # of its column
    label: str
    digits: int  # decimals in tables
    note: str


ERRORS = {
    "coc": CurveError("CoC", "CoC error, px", 2, "CoC: |CoC error|, by its expected error if there is one."),
    "inv_depth": CurveError(
        "depth", "inverse depth error, share of the range", 3,
        "Depth: error of inverse depth over the scene's range, after robust scale-and-shift alignment.",
    ),
    "order": CurveError("order", "wrongly ordered pairs of depth", 3, "Order: wrongly ordered pairs of depth."),
}  # fmt: skip
_NOTE = (
    "AUSE: area between the sparsification curve and the oracle's, over the error of all pixels; 0 is perfect. Const.: "
    "AUSE of a constant confidence. Falls: how many of the nine steps of 10 % of the pixels lower the mean error of "
    "the rest. "
)


# fmt: off
for _name, _error in ERRORS.items():
    _key, _curve = f"ause_{_name}", (f"{_name}_curve",)
    register(
        Metric(
            _key, _error.title, "confidence", attrgetter("ause"), _curve, reference_key=f"{_key}_constant",
            better="lower", note=(_NOTE if _name == "coc" else "") + _error.note,
        ),
        Metric(f"{_key}_constant", "const.", "confidence", attrgetter("constant"), _curve, better="lower"),
        Metric(f"falling_steps_{_name}", "falls", "confidence", digits=0),
    )
# fmt: on

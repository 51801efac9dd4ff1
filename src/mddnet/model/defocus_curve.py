"""Calibration of the defocus map: a curve from predicted to true CoC diameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn


class DefocusCurve(nn.Module):
    """An increasing, piecewise linear curve through ``(knots_px, values)``, of slope 1 beyond the last knot.

    It starts as the identity and is not trained: after training it is fitted to the measured defocus response
    (:mod:`mddnet.train.defocus_response`). It keeps the order of predictions.
    """

    def __init__(self, knots_px: Sequence[float]) -> None:
        super().__init__()
        self.knots_px = tuple(knots_px)
        self.values: Tensor
        self.register_buffer("values", torch.tensor(self.knots_px))

    def forward(self, defocus_px: Tensor) -> Tensor:
        """Predicted CoC diameters, any shape, >= 0, to corrected ones."""
        knots = self.values.new_tensor(self.knots_px)
        slopes = torch.cat(
            [(self.values[1:] - self.values[:-1]) / (knots[1:] - knots[:-1]), torch.ones_like(knots[:1])]
        )
        result = self.values[0] + slopes[0] * defocus_px
        for k in range(1, len(self.knots_px)):
            result = result + (slopes[k] - slopes[k - 1]) * F.relu(defocus_px - self.knots_px[k])
        return result

    def reset(self) -> None:
        """Make it the identity."""
        self.values.copy_(self.values.new_tensor(self.knots_px))

    def fit(self, predicted_px: ArrayLike, truths_px: ArrayLike) -> None:
        """Interpolate measured points linearly, with slope 1 beyond the last.

        Args:
            predicted_px: (N,) predictions without the curve.
            truths_px: (N,) true diameters, increasing.

        Raises:
            ValueError: if the predictions do not increase with the truths.
        """
        predicted, truths = np.asarray(predicted_px, dtype=np.float64), np.asarray(truths_px, dtype=np.float64)
        if len(predicted) < 2 or not (np.diff(predicted) > 0).all() or not (np.diff(truths) > 0).all():
            raise ValueError(f"predictions {predicted.tolist()} for {truths.tolist()} px; expected both to increase")
        if predicted[0] > 0:
            predicted, truths = np.append(0.0, predicted), np.append(0.0, truths)
        # one more point, beyond every knot
        predicted, truths = (np.append(values, values[-1] + self.knots_px[-1]) for values in (predicted, truths))
        self.values.copy_(self.values.new_tensor(np.interp(self.knots_px, predicted, truths)))

    def stretch(self, gain: float, from_px: float) -> None:
        """Stretch the curve beyond ``from_px`` by a gain: c becomes from_px + gain * (c - from_px).

        Beyond the last knot the slope stays 1.

        Raises:
            ValueError: if the gain is not positive: the curve would not increase.
        """
        if not gain > 0:
            raise ValueError(f"gain {gain}: expected a number > 0")
        self.values.add_((gain - 1.0) * (self.values - from_px).clamp_min(0.0))

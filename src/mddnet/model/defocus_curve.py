"""The last step of the defocus map: from the CoC that the network predicts to the CoC that makes it predict so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn


class DefocusCurve(nn.Module):
    """A rising, piecewise linear curve through ``(knots_px, values)``, of slope 1 beyond the last knot.

    Gradients do not train it: after training it is fitted to the measured defocus response
    (:mod:`mddnet.train.defocus_response`). It keeps the order of any two predictions. At first it is the identity.
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
        """Let the curve pass through measured points, linearly between them, with slope 1 beyond the last.

        Args:
            predicted_px: (N,) what the network predicts without the curve.
            truths_px: (N,) the sizes that it should have predicted, rising.

        Raises:
            ValueError: if the predictions do not rise with the truths: no rising curve leads from one to the other.
        """
        predicted, truths = np.asarray(predicted_px, dtype=np.float64), np.asarray(truths_px, dtype=np.float64)
        if len(predicted) < 2 or not (np.diff(predicted) > 0).all() or not (np.diff(truths) > 0).all():
            raise ValueError(f"predictions {predicted.tolist()} for {truths.tolist()} px; expected both to rise")
        if predicted[0] > 0:
            predicted, truths = np.append(0.0, predicted), np.append(0.0, truths)
        # one more point, beyond every knot
        predicted, truths = (np.append(values, values[-1] + self.knots_px[-1]) for values in (predicted, truths))
        self.values.copy_(self.values.new_tensor(np.interp(self.knots_px, predicted, truths)))

    def stretch(self, gain: float, from_px: float) -> None:
        """Stretch the curve beyond ``from_px`` by a gain: c becomes from_px + gain * (c - from_px).

        Beyond the last knot the slope stays 1, and what the last knot gained is added.

        Args:
            gain: > 0.
            from_px: CoC diameter up to which the curve stays as it is.

        Raises:
            ValueError: if the gain is not positive: the curve would not rise any more.
        """
        if not gain > 0:
            raise ValueError(f"gain {gain}: expected a number > 0")
        beyond = (self.values - from_px).clamp_min(0.0)
        self.values.add_((gain - 1.0) * beyond)

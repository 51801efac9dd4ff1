"""The last step of the defocus map: from the CoC that the network answers to the CoC that makes it answer so."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

KNOTS_PX = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)


class DefocusCurve(nn.Module):
    """A rising, piecewise linear curve through ``(KNOTS_PX, values)``, of slope 1 beyond the last knot.

    It is not trained by gradients: after training it is set so that discs of known size are read right
    (:mod:`mddnet.train.calibrate`). It keeps the order of any two answers. At first it is the identity.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: Tensor
        self.register_buffer("values", torch.tensor(KNOTS_PX))

    def forward(self, defocus_px: Tensor) -> Tensor:
        """CoC diameters as answered, any shape, >= 0, to corrected ones."""
        knots = self.values.new_tensor(KNOTS_PX)
        slopes = torch.cat(
            [(self.values[1:] - self.values[:-1]) / (knots[1:] - knots[:-1]), torch.ones_like(knots[:1])]
        )
        result = self.values[0] + slopes[0] * defocus_px
        for k in range(1, len(KNOTS_PX)):
            result = result + (slopes[k] - slopes[k - 1]) * F.relu(defocus_px - KNOTS_PX[k])
        return result

    def reset(self) -> None:
        """Make it the identity."""
        self.values.copy_(self.values.new_tensor(KNOTS_PX))

    def fit(self, answers_px: ArrayLike, truths_px: ArrayLike) -> None:
        """Let the curve pass through measured points, linearly between them, with slope 1 beyond the last.

        Args:
            answers_px: (N,) what the network answers without the curve.
            truths_px: (N,) the sizes that it should have answered, rising.

        Raises:
            ValueError: if the answers do not rise with the truths: no rising curve leads from one to the other.
        """
        answers, truths = np.asarray(answers_px, dtype=np.float64), np.asarray(truths_px, dtype=np.float64)
        if len(answers) < 2 or not (np.diff(answers) > 0).all() or not (np.diff(truths) > 0).all():
            raise ValueError(f"answers {answers.tolist()} to discs of {truths.tolist()} px; expected both to rise")
        if answers[0] > 0:
            answers, truths = np.append(0.0, answers), np.append(0.0, truths)
        # one more point, beyond every knot
        answers, truths = (np.append(values, values[-1] + KNOTS_PX[-1]) for values in (answers, truths))
        self.values.copy_(self.values.new_tensor(np.interp(KNOTS_PX, answers, truths)))

    def stretch(self, gain: float, from_px: float) -> None:
        """Stretch what the curve says beyond ``from_px`` by a gain: c becomes from_px + gain * (c - from_px).

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

"""Early stopping: the best weights on the held-out locations, and when to give up on better ones."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

SCORED = ("depth_ordinal", "depth_ordinal_turned", "defocus_ordinal", "sign")
"""Measures in [0, 1] whose mean is the score."""


class EarlyStopping:
    """Remembers the best weights, and says when ``patience`` measurements in a row were no better.

    Attributes:
        patience: that many; 0 remembers nothing and never stops.
        score: the best score, or -inf before the first.
        step: finished steps behind the best weights.
        waited: measurements since.
        state: the best weights, empty before the first measurement.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.score, self.step, self.waited = -math.inf, 0, 0
        self.state: dict[str, Tensor] = {}

    def measured(self, step: int, numbers: Mapping[str, float], state: Mapping[str, Tensor]) -> None:
        """Take in a measurement of the weights ``state`` after ``step`` steps; one without a score changes nothing."""
        scores = [numbers[name] for name in SCORED if name in numbers]
        if not self.patience or not scores:
            return
        score = sum(scores) / len(scores)
        if score > self.score:
            self.score, self.step, self.waited = score, step, 0
            self.state = {name: value.detach().clone() for name, value in state.items()}
        else:
            self.waited += 1

    @property
    def stop(self) -> bool:
        """Whether to give up."""
        return self.patience > 0 and self.waited >= self.patience

    def to_json(self) -> list[float]:
        """All but the weights; empty before the first measurement."""
        return [self.score, self.step, self.waited] if self.state else []

    def restore(self, numbers: list[float], state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`to_json` and the weights of that time."""
        if self.patience and numbers:
            self.score, self.step, self.waited = float(numbers[0]), int(numbers[1]), int(numbers[2])
            self.state = dict(state)

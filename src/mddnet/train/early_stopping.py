"""Early stopping by the score on held-out locations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

SCORED = ("depth_ordinal", "depth_ordinal_rotated", "defocus_ordinal", "sign")
"""Measures in [0, 1] whose mean is the score."""


@dataclass(slots=True)
class EarlyStopping:
    """Keeps the best weights, and stops after ``patience`` validations in a row without improvement."""

    patience: int  # 0 disables both
    score: float = -math.inf  # the best one
    step: int = 0  # of the best weights
    waited: int = 0  # validations since
    state: dict[str, Tensor] = field(default_factory=dict)  # the best weights, empty before the first validation

    def measured(self, step: int, numbers: Mapping[str, float], state: Mapping[str, Tensor]) -> None:
        """Record a validation of the weights ``state`` after ``step`` steps; one without a score is ignored."""
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
        """Whether to stop training."""
        return self.patience > 0 and self.waited >= self.patience

    def to_json(self) -> list[float]:
        """All but the weights; empty before the first validation."""
        return [self.score, self.step, self.waited] if self.state else []

    def restore(self, numbers: list[float], state: Mapping[str, Tensor]) -> None:
        """Restore the state of :meth:`to_json` and the weights."""
        if self.patience and numbers:
            self.score, self.step, self.waited = float(numbers[0]), int(numbers[1]), int(numbers[2])
            self.state = dict(state)

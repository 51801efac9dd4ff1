"""Early stopping: the best weights by the held-out places, and when to give up on better ones."""

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
        self.score = -math.inf
        self.step = 0
        self.waited = 0
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

    def to_metadata(self) -> dict[str, str]:
        """All but the weights, as the strings that a safetensors file takes."""
        if not self.state:
            return {}
        return {"best_score": repr(self.score), "best_step": str(self.step), "best_waited": str(self.waited)}

    def restore(self, metadata: Mapping[str, str], state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`to_metadata` and the weights of that time."""
        if not self.patience or "best_score" not in metadata:
            return
        self.score, self.step = float(metadata["best_score"]), int(metadata["best_step"])
        self.waited = int(metadata["best_waited"])
        self.state = dict(state)

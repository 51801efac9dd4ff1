"""What the answer for one photo is worth: a verdict on its depth and one on its defocus.

The rule that gives it is in :mod:`mddnet.predict.judge`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, get_args

Call = Literal["good", "partly", "do_not_trust", "unknown"]
"""``unknown`` is the call of a model that has no calibrated verdict."""
CALLS: tuple[Call, ...] = get_args(Call)

NOT_CALIBRATED = "the model has no calibrated verdict"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one quantity of a prediction is worth."""

    call: Call
    reason: str | None = None  # a short plain sentence without a full stop; None where there is nothing to say
    probability: float | None = None  # that the answer is good, in [0, 1]; None if the call is ``unknown``


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the depth and the defocus of a prediction are worth."""

    depth: Judgement
    defocus: Judgement

    def to_json(self) -> dict[str, dict[str, str | float | None]]:
        """``{"depth": {"call", "reason", "probability"}, "defocus": {...}}``."""
        return asdict(self)


UNKNOWN = Verdict(Judgement("unknown", NOT_CALIBRATED), Judgement("unknown", NOT_CALIBRATED))
"""The verdict of a model without calibration."""

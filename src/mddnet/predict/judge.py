"""The rule that gives a verdict: an estimated share of right answers, and known reasons against trusting a photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mddnet.predict.calibration import Calibration, Rule
from mddnet.predict.fusion import Fusion, FusionInput
from mddnet.predict.motion_blur import has_motion_blur
from mddnet.predict.out_of_distribution import unlike_training
from mddnet.predict.verdict import Judgement, Verdict

OF_A_PRIOR = "the depth is that of a depth prior, for which no verdict is calibrated"
MOTION = "there seems to be motion blur, which is taken for defocus"
UNSURE = {"depth": "the network is unsure of this scene", "defocus": "the blur is hard to read in this photo"}
SHARP_PX = 1.5
SHARP_SHARE = 0.9
"""Almost everything is sharp if the CoC is below the first, in pixels of the network's image, in this share of it."""
ONE_BLUR_SHARE = 0.15
"""Everything is blurred by one amount if the 10th and 90th percentiles of the CoC differ by less than this share."""
SMALL_PX = 256  # the second pass of a smaller photo sees hardly anything else


def verdict_of(
    calibration: Calibration,
    cues: Mapping[str, float],
    answers: FusionInput,
    fused: Fusion,
    computed_bokeh: str = "",
    of_prior: bool = False,
) -> Verdict:
    """The verdict on a prediction: what was fused, the result, and the cues of the photo.

    ``computed_bokeh`` says what in the metadata shows that the blur was computed; ``of_prior``, whether the depth is
    that of a depth prior.
    """
    limits = _limits(answers, computed_bokeh)
    seen = _what_is_seen(answers, fused)
    moved = [MOTION] if has_motion_blur(answers.photo) else []
    depth = _judged(calibration.depth, cues, limits, seen["depth"] or "".join(moved) or UNSURE["depth"])
    defocus = _judged(calibration.defocus, cues, limits + moved, seen["defocus"] or UNSURE["defocus"])
    if of_prior:
        depth = Judgement("unknown", OF_A_PRIOR)
    elif depth.call == "good" and seen["depth"]:
        depth = replace(depth, reason=seen["depth"])
    return Verdict(depth, defocus)


def _judged(rule: Rule, cues: Mapping[str, float], limits: list[str], unsure: str) -> Judgement:
    """The call by the rule; a limit allows no more than ``partly`` and is the first reason."""
    probability = rule.probability(rule.score.of_photo(cues))
    reason = limits[0] if limits else unsure
    if probability < rule.do_not_trust_below:
        return Judgement("do_not_trust", reason, probability)
    if limits or probability < rule.good_from:
        return Judgement("partly", reason, probability)
    return Judgement("good", None, probability)


def _limits(answers: FusionInput, computed_bokeh: str) -> list[str]:
    """Reasons why no answer for the photo is called good, the most certain first."""
    limits = []
    if computed_bokeh:
        limits.append(f"the blur was computed, not made by the lens: {computed_bokeh}")
    unlike = unlike_training(answers.not_upsampled)
    if unlike:
        limits.append(f"the photo is unlike those of the training: {unlike[0]}")
    if max(answers.photo.shape[:2]) * answers.scale < SMALL_PX:
        limits.append(f"the photo has less than {SMALL_PX} px")
    return limits


def _what_is_seen(answers: FusionInput, fused: Fusion) -> dict[str, str]:
    """What limits depth and defocus in a photo like this one; "" if nothing does."""
    low, middle, high = (float(value) for value in np.percentile(answers.coc_px, (10, 50, 90)))
    if (answers.coc_px < SHARP_PX).mean() > SHARP_SHARE:
        return {"depth": "almost everything is sharp: the depth is by the scene alone", "defocus": ""}
    if high - low < ONE_BLUR_SHARE * middle:
        reason = f"everything is blurred by one amount, about {middle * answers.scale:.0f} px"
    else:
        reason = "" if fused.focus.found else "no plane of focus explains both the depth and the blur"
    return {"depth": reason, "defocus": reason}

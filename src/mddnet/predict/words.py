"""What a prediction says, in a photographer's words: for the console, the preview and ``print``."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from PIL import Image

from mddnet.predict.dioptres import MAX_DEPTH_M
from mddnet.predict.prediction import Prediction
from mddnet.predict.verdict import Call, Judgement
from mddnet.types import BoolArray, Float32Array

CALL_WORDS: dict[Call, str] = {
    "good": "good",
    "partly": "trust it in part",
    "do_not_trust": "do not trust it",
    "unknown": "not judged",
}
SHARP_SHARE = 1.5 / 512
"""CoC of a point that counts as sharp, over the long side of the photo: the network distinguishes no less."""
COUNTED_SHARE, UNSURE_SHARE = 0.02, 0.1
"""Parts below this share of the photo are not mentioned; blur on an unknown side below the other."""
MOST_PERCENTILE = 98
SURE_OF_SIDE = 0.6
"""Twice the probability of the sign, less one, from which the side of the plane of focus counts as known."""
NOT_TRUSTED = 0.35  # mean trust below which a ninth of the photo is named
WORDS_SIDE_PX = 192
REGION_PX = 12
"""Confidence is averaged over regions of this size of a picture, since that of single points is rough."""
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "middle", "right")


def judgement_words(judgement: Judgement) -> str:
    """Such as "do not trust it (almost everything is sharp)"."""
    words = CALL_WORDS[judgement.call]
    return f"{words} ({judgement.reason})" if judgement.reason and judgement.call != "unknown" else words


def verdict_words(prediction: Prediction) -> str:
    """Such as "depth: good; blur: trust it in part (motion blur)"; said once, if nothing is judged."""
    verdict = prediction.verdict
    if verdict.depth.call == verdict.defocus.call == "unknown":
        return "quality unknown"
    return f"depth: {judgement_words(verdict.depth)}; blur: {judgement_words(verdict.defocus)}"


def photo_words(prediction: Prediction) -> str:
    """What is sharp and how much the rest is blurred, what the depth counts in, and where not to trust it."""
    return "; ".join([*blur_words(prediction), scale_words(prediction), *untrusted_words(prediction)])


def blur_words(prediction: Prediction) -> Iterator[str]:
    """Such as "sharp: 35 % of the photo", "blurred up to 34 px behind it and 5 px in front of it"."""
    size = _small(prediction.size)
    signed, sure = prediction.sampled("signed_defocus_px", size), prediction.sign_certainty(size) >= SURE_OF_SIDE
    blurred = np.abs(signed) > SHARP_SHARE * max(prediction.size)
    sharp = 1.0 - float(blurred.mean())
    if sharp > 1 - COUNTED_SHARE:
        yield "everything is sharp"
        return
    yield f"sharp: {100 * sharp:.0f} % of the photo" if sharp >= COUNTED_SHARE else "hardly anything is sharp"
    it = "it" if sharp >= COUNTED_SHARE else "the plane of focus"
    sides = ((blurred & sure & (signed > 0), "behind"), (blurred & sure & (signed < 0), "in front of"))
    found = list[str]()
    for part, where in sides:
        if part.mean() >= COUNTED_SHARE:
            found.append(f"{_most(signed[part])} {where} {'it' if found else it}")
    unsure = blurred & ~sure
    if unsure.mean() >= UNSURE_SHARE or not found:
        found.append(f"{_most(signed[unsure])} on an unknown side" if unsure.any() else _most(signed[blurred]))
    yield f"blurred up to {_listed(found)}"


def _most(signed_px: Float32Array) -> str:
    return pixels(float(np.percentile(np.abs(signed_px), MOST_PERCENTILE)))


def pixels(value: float) -> str:
    """Such as "4.5 px" and "34 px"."""
    return f"{value:.2g} px" if value < 10 else f"{value:.0f} px"


def scale_words(prediction: Prediction) -> str:
    """What the depth counts in; metres with the distance in focus."""
    focus, sharp = prediction.focus, prediction.depth_of_field
    if prediction.unit == "1/m from focus":
        return "depth counts from the plane of focus"
    if prediction.unit != "1/m":
        return "depth is relative"
    if not focus.found or sharp is None:
        return "depth in metres"
    at = f"in focus at {metres(focus.u_focus)}"
    return f"depth in metres: {at}, sharp from {metres(1 / sharp.near_m)} to {metres(1 / sharp.far_m)}"


def metres(inv_depth: float) -> str:
    """Such as "1.24 m", or "infinity"."""
    return f"{float(f'{1 / inv_depth:.3g}'):g} m" if inv_depth > 1 / MAX_DEPTH_M else "infinity"


def untrusted_words(prediction: Prediction) -> Iterator[str]:
    """The parts of the photo whose depth is not trusted, such as "do not trust the right side"; none if it is all."""
    if prediction.verdict.depth.call == "do_not_trust":
        return
    weak = _ninths(depth_trust(prediction, _small(prediction.size))) < NOT_TRUSTED
    if 1 <= weak.sum() <= 5:
        yield f"do not trust {_place(weak)}"


def depth_trust(prediction: Prediction, size: tuple[int, int]) -> Float32Array:
    """(h, w) in [0, 1] for (w, h) ``size``: how much colour the depth of a region deserves."""
    coarse = (max(1, size[0] // REGION_PX), max(1, size[1] // REGION_PX))
    trust = confidence_trust(prediction.fitted("confidence", coarse))
    return np.asarray(Image.fromarray(trust).resize(size, Image.Resampling.BILINEAR))


def confidence_trust(confidence: Float32Array) -> Float32Array:
    """Confidence as a share of colour: none up to .2, an expected error of 40 % of the range, all from .45, 12 %."""
    return np.clip((confidence - np.float32(0.2)) / np.float32(0.25), 0, 1)


def _ninths(values: Float32Array) -> Float32Array:
    """(3, 3) means of the parts of a map."""
    return np.array([[part.mean() for part in np.array_split(band, 3, axis=1)] for band in np.array_split(values, 3)])


def _place(weak: BoolArray) -> str:
    """The weak ninths of a photo: whole sides first, then single parts."""
    left, names = weak.copy(), list[str]()
    for i, name in enumerate(ROWS):
        if weak[i].all():
            names.append(f"the {name}")
            left[i] = False
    for j, name in enumerate(COLUMNS):
        if weak[:, j].all() and left[:, j].any():
            names.append("the middle from top to bottom" if j == 1 else f"the {name} side")
            left[:, j] = False
    for i, j in np.argwhere(left):
        place = " ".join(dict.fromkeys(part for part in (ROWS[i], COLUMNS[j]) if part != "middle"))
        names.append(f"the {place or 'centre'}")
    return _listed(names)


def _listed(names: list[str]) -> str:
    """Such as "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _small(size: tuple[int, int]) -> tuple[int, int]:
    """(w, h) of at most 192 px for (H, W)."""
    factor = min(1.0, WORDS_SIDE_PX / max(size))
    return max(3, math.ceil(size[1] * factor)), max(3, math.ceil(size[0] * factor))

"""The claims as paired comparisons of rows, their verdicts, and the choice of an ablation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from research.claims.bootstrap import Interval, Values, gain, holm
from research.claims.methods import PRIOR, PYDNET
from research.claims.plan import (
    ABLATIONS,
    DEFOCUS,
    DEPTH,
    FOLDS,
    FULL,
    FUSED,
    LAW,
    REAL,
    RENDERED,
    RIGS,
    SOFT,
    STACKS,
    TWO,
    VIEWS,
)
from research.claims.results import INNER, OUTER, Line

TESTS = {
    "real blur": (STACKS, "light_fields"),
    "rendered blur": ("rgbd", "stereo"),
    "rendered views": (VIEWS,),
    "simulated rig": (RIGS,),
}
"""Kinds of captures of each test."""
REAL_TESTS, EXACT_TESTS = ("real blur",), ("rendered views", "simulated rig")
LEVEL = 0.05
TOLERATED = -0.05
"""Error may grow by this share where a row must only be as good as another."""
DEPTH_ERROR, COC_ERROR = "depth_error", "coc_mae_px"
TASKS = {DEPTH_ERROR: "depth", COC_ERROR: "CoC"}


class Measured:
    """Results by row."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = list(lines)
        self._values: dict[tuple[str, str, str, str], dict[tuple[int, str], float]] = defaultdict(dict)
        for line in self.lines:
            for name, value in line.measures.items():
                self._values[line.row, line.part, line.kind, name][line.fold, line.location] = value

    def values(self, row: str, measure: str, kinds: Sequence[str], part: str = OUTER) -> Values:
        """A measure by fold and location; empty without results."""
        found = [self._values.get((row, part, kind, measure), {}) for kind in kinds]
        return {unit: value for values in found for unit, value in values.items()}


@dataclass(frozen=True, slots=True)
class Pair:
    """The error of a row compared with that of another."""

    of: str
    against: str
    measure: str
    beyond_sharp: bool = False  # minus the same difference on the sharp images of the scenes
    null: float = 0.0  # the reduction that must be exceeded


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim holds if all of its pairs do."""

    number: str  # in the paper
    words: str
    pairs: tuple[Pair, ...]
    exact: bool = True  # whether it must hold on exact truth, too, and not on real blur alone


CLAIMS = (
    Claim(
        "1",
        "one encoder with two decoders estimates both maps as well as two networks (within 5 %)",
        (Pair(TWO, DEPTH, DEPTH_ERROR, null=TOLERATED), Pair(TWO, DEFOCUS, COC_ERROR, null=TOLERATED)),
    ),
    Claim("2", "depth helps defocus where texture is weak", (Pair(FULL, DEFOCUS, f"{COC_ERROR}_weak"),)),
    Claim("2", "depth helps defocus", (Pair(FULL, DEFOCUS, COC_ERROR),)),
    Claim("3", "defocus helps depth", (Pair(FULL, DEPTH, DEPTH_ERROR),)),
    Claim(
        "3",
        "it helps by the blur of the photo: more than on sharp photos of the same scenes",
        (Pair(FULL, DEPTH, DEPTH_ERROR, beyond_sharp=True),),
    ),
    Claim("-", "the soft connection helps depth", (Pair(SOFT, TWO, DEPTH_ERROR),)),
    Claim("-", "the soft connection helps defocus", (Pair(SOFT, TWO, COC_ERROR),)),
    Claim("-", "the lens-law loss helps depth", (Pair(LAW, SOFT, DEPTH_ERROR),)),
    Claim("-", "the fusion of both maps at prediction helps depth", (Pair(FUSED, FULL, DEPTH_ERROR),)),
    Claim(
        "5",
        "real frames teach more than rendered ones",
        (Pair(REAL, RENDERED, DEPTH_ERROR), Pair(REAL, RENDERED, COC_ERROR)),
        exact=False,
    ),
    Claim(
        "6",
        "better than other methods",
        (
            Pair(FULL, PRIOR, DEPTH_ERROR),
            Pair(FULL, PYDNET, DEPTH_ERROR),
            Pair(FULL, "zhuo-sim", COC_ERROR),
            Pair(FULL, "karaali-jung", COC_ERROR),
        ),
    ),
)
"""Claim 4 is the data set ALL-in-3D, which cannot be obtained."""


def effect(m: Measured, pair: Pair, kinds: Sequence[str], part: str = OUTER) -> Interval | None:
    """Reduction of the error on some kinds of captures; None without results of both rows."""
    of, against = (m.values(row, pair.measure, kinds, part) for row in (pair.of, pair.against))
    common = of.keys() & against.keys()
    if not pair.beyond_sharp:
        return gain(of, against, null=pair.null) if common else None
    of_sharp, against_sharp = (m.values(row, f"{pair.measure}_sharp", kinds, part) for row in (pair.of, pair.against))
    if not common & of_sharp.keys() & against_sharp.keys():
        return None
    return gain(of, against, (of_sharp, against_sharp), pair.null)


def effects(m: Measured, pair: Pair, part: str = OUTER) -> dict[str, Interval]:
    """The same for each test with results."""
    found = {test: effect(m, pair, kinds, part) for test, kinds in TESTS.items()}
    return {test: one for test, one in found.items() if one is not None}


def adjusted(found: Sequence[Mapping[str, Interval]]) -> list[dict[str, float]]:
    """p-values of the tests of the pairs of a claim, Holm-adjusted together."""
    flat = iter(holm([interval.p for one in found for interval in one.values()]))
    return [{test: next(flat) for test in one} for one in found]


def verdict(claim: Claim, found: Sequence[Mapping[str, Interval]]) -> str:
    """``shown``, ``not shown``, ``the opposite``, or ``not run`` on all folds.

    A pair is shown if its effect is significant on a test of real blur and on one of exact truth, and its opposite on
    none; likewise for the opposite.
    """
    if not all(found) or any("real blur" not in one for one in found):
        return "not run"
    if any(interval.folds < FOLDS for one in found for interval in one.values()):
        return "not run on all folds"
    answers = []
    for pair, one, p in zip(claim.pairs, found, adjusted(found), strict=True):
        signs = {test: int(np.sign(one[test].value - pair.null)) if p[test] < LEVEL else 0 for test in one}
        for sign, word in ((1, "shown"), (-1, "the opposite")):
            real, exact = (any(signs.get(test) == sign for test in group) for group in (REAL_TESTS, EXACT_TESTS))
            if real and (exact or not claim.exact) and -sign not in signs.values():
                answers.append(word)
                break
        else:
            answers.append("not shown")
    if "the opposite" in answers:
        return "the opposite"
    return "shown" if set(answers) == {"shown"} else "not shown"


def inner_gain(m: Measured, row: str) -> float | None:
    """Mean reduction of both errors against the full network on all tests of the inner split; None without results."""
    found = [effects(m, Pair(row, FULL, measure), INNER) for measure in TASKS]
    values = [interval.value for one in found for interval in one.values()]
    return float(np.mean(values)) if all(found) else None


def chosen_ablation(lines: Sequence[Line]) -> str | None:
    """The best ablation on the inner split of the first fold.

    None until all are measured there, or if none is better than the full network.
    """
    m = Measured(line for line in lines if line.fold == 0)
    gains = {row.name: inner_gain(m, row.name) for row in ABLATIONS}
    known = {name: value for name, value in gains.items() if value is not None}
    if len(known) < len(gains):
        return None
    best = max(known, key=lambda name: known[name])
    return best if known[best] > 0 else None

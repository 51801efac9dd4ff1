"""Verdicts, their correction for several tests, and the choice of an ablation, on made numbers."""

from __future__ import annotations

import pytest
from research.claims.bootstrap import Interval
from research.claims.comparisons import Claim, Measured, Pair, adjusted, chosen_ablation, effect, effects, verdict
from research.claims.plan import ABLATIONS, FULL
from research.claims.results import Line

PAIR = Pair("full", "depth", "depth_error")


def interval(value: float, p: float, folds: int = 3) -> Interval:
    return Interval(value, value - 0.1, value + 0.1, p, 9, folds)


def line(row: str, fold: int, kind: str, location: str, part: str = "outer", **measures: float) -> Line:
    return Line(f"{row}-{fold}", "-", row, fold, part, kind, location, measures)


@pytest.mark.parametrize(
    ("real", "views", "rig", "expected"),
    [
        ((0.1, 0.001), (0.1, 0.001), (0.0, 0.9), "shown"),
        ((0.1, 0.001), (0.0, 0.9), (0.1, 0.001), "shown"),
        ((0.1, 0.001), (0.0, 0.9), (0.0, 0.9), "not shown"),  # on real blur alone
        ((0.1, 0.04), (0.1, 0.04), (0.1, 0.04), "not shown"),  # three tests: .12 each
        ((-0.1, 0.001), (-0.1, 0.001), (0.0, 0.9), "the opposite"),
        ((0.1, 0.001), (0.1, 0.001), (-0.1, 0.001), "not shown"),  # they disagree
    ],
)
def test_verdict(
    real: tuple[float, float], views: tuple[float, float], rig: tuple[float, float], expected: str
) -> None:
    found = {"real blur": interval(*real), "rendered views": interval(*views), "simulated rig": interval(*rig)}
    assert verdict(Claim("3", "", (PAIR,)), [found]) == expected


def test_a_claim_needs_all_of_its_pairs() -> None:
    good = {"real blur": interval(0.1, 0.001), "rendered views": interval(0.1, 0.001)}
    unclear = {"real blur": interval(0.0, 0.9), "rendered views": interval(0.0, 0.9)}
    claim = Claim("1", "", (PAIR, PAIR))
    assert verdict(claim, [good, good]) == "shown"
    assert verdict(claim, [good, unclear]) == "not shown"
    assert verdict(claim, [good, {}]) == "not run"
    assert verdict(claim, [good, {"real blur": interval(0.1, 0.001, folds=2)}]) == "not run on all folds"
    assert verdict(Claim("5", "", (PAIR,), exact=False), [{"real blur": interval(0.1, 0.001)}]) == "shown"


def test_p_values_of_a_claim_are_adjusted_together() -> None:
    one, two = (
        {"real blur": interval(0.1, 0.01)},
        {"real blur": interval(0.1, 0.04), "rendered views": interval(0, 0.03)},
    )
    assert adjusted([one, two]) == [
        {"real blur": pytest.approx(0.03)},
        {"real blur": pytest.approx(0.06), "rendered views": pytest.approx(0.06)},
    ]


def test_effects_of_lines() -> None:
    """Errors .1 and .3 against .2 and .3: a fifth less; on the sharp images a tenth less."""
    lines = [
        line("full", 0, "focal_stacks", "a", depth_error=0.1, depth_error_sharp=0.45),
        line("full", 1, "light_fields", "b", depth_error=0.3, depth_error_sharp=0.45),
        line("depth", 0, "focal_stacks", "a", depth_error=0.2, depth_error_sharp=0.5),
        line("depth", 1, "light_fields", "b", depth_error=0.3, depth_error_sharp=0.5),
        line("depth", 1, "views", "v", depth_error=0.3),
        line("full", 0, "focal_stacks", "inner", part="inner", depth_error=9.0),
        line("depth", 0, "focal_stacks", "inner", part="inner", depth_error=1.0),
    ]
    found = effects(Measured(lines), PAIR)
    assert set(found) == {"real blur"} and found["real blur"].value == pytest.approx(0.2)
    pair = Pair("full", "depth", "depth_error", beyond_sharp=True)
    beyond = effect(Measured(lines), pair, ("focal_stacks", "light_fields"))
    assert beyond is not None and beyond.value == pytest.approx(0.1)
    assert effect(Measured(lines), Pair("full", "defocus", "coc_mae_px"), ("views",)) is None


def test_the_best_ablation_of_the_inner_split_is_chosen() -> None:
    def of(row: str, error: float, part: str = "inner") -> Line:
        return line(row, 0, "views", "v", part, depth_error=error, coc_mae_px=1.0)

    errors = dict(zip([row.name for row in ABLATIONS], (0.9, 0.7, 1.1, 1.0, 0.8), strict=True))
    lines = [of(FULL, 1.0), *(of(name, error) for name, error in errors.items())]
    assert chosen_ablation(lines) == ABLATIONS[1].name
    assert chosen_ablation(lines[:-1]) is None  # one is not measured yet
    assert chosen_ablation([of(FULL, 0.5), *lines[1:]]) is None  # none is better
    # held-out locations do not count
    assert chosen_ablation([*lines, of(FULL, 1.0, "outer"), of("coarse", 0.1, "outer")]) == ABLATIONS[1].name

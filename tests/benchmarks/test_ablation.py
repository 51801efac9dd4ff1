"""Ablation, with predictors of which is known what they look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmarks.ablation import UNCHANGED, ablate, ablation_tables

AddScene = Callable[..., Path]


@pytest.fixture
def stacks(made: Any, add_scene: AddScene) -> Any:
    add_scene("focal_stacks", "stack_a", "a", u_focus=(0.5, 1.0))
    add_scene("stereo", "table", "stereo/table", provenance="rendered")
    return made


def test_rotating_the_photos_detects_the_row_prior(stacks: Any, row_answers: Any) -> None:
    study = ablate(
        row_answers,
        stacks.root,
        None,
        perturbations=("grey", "mirrored", "rotated-180", "tiles"),
        split_of=stacks.locations,
    )
    assert list(study.evaluations) == [UNCHANGED, "grey", "mirrored", "rotated-180", "tiles"]
    depth = {what: e.headline["focal_stacks.depth_ordinal"] for what, e in study.evaluations.items()}
    # it looks at nothing but the row: colours, mirrors and covers leave it alone, and upside down near is far
    assert depth["grey"] == depth["mirrored"] == depth["tiles"] == depth[UNCHANGED] > 0.6
    assert depth["rotated-180"] == pytest.approx(1 - depth[UNCHANGED], abs=1e-6)
    for what in ("grey", "mirrored", "tiles"):
        assert study.agreements[what].rank_correlation == pytest.approx(1.0)
        assert study.agreements[what].defocus_change == 0.0
        assert study.agreements[what].same_sign == 1.0
    assert study.agreements["rotated-180"].rank_correlation == pytest.approx(-1.0)
    assert study.agreements["rotated-180"].same_sign < 0.1


def test_only_real_blur_is_measured_and_noise_does_not_agree(stacks: Any, random_answers: Any) -> None:
    study = ablate(random_answers, stacks.root, None, perturbations=("jpeg",), split_of=stacks.locations)
    assert set(study.evaluations["jpeg"].kinds) == {"focal_stacks", "light_fields"}
    assert abs(study.agreements["jpeg"].rank_correlation) < 0.2


def test_the_study_is_shown(stacks: Any, row_answers: Any) -> None:
    study = ablate(row_answers, stacks.root, None, name="rows", perturbations=("grey",), split_of=stacks.locations)
    stacks_table, agreement = ablation_tables(study)
    assert [row[0] for row in stacks_table.rows] == [UNCHANGED, "grey"]
    assert agreement.rows == (("grey", "1.000", "0.0%", "100.0%"),)

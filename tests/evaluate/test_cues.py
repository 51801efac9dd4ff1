"""The study of cues, with predictors of which is known what they look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mddnet.evaluate.cues import AS_IT_IS, cue_tables, study_cues, write_cue_study

AddScene = Callable[..., Path]


@pytest.fixture
def stacks(made: Any, add_scene: AddScene) -> Any:
    add_scene("focal_stacks", "stack_a", "a", u_focus=(0.5, 1.0))
    add_scene("stereo", "table", "stereo/table", provenance="rendered")
    return made


def test_the_row_prior_is_found_out_by_turning_the_photos(stacks: Any, row_answers: Any) -> None:
    study = study_cues(
        row_answers, stacks.root, None, alterations=("grey", "mirrored", "turned-180", "tiles"), places=stacks.places
    )
    assert list(study.evaluations) == [AS_IT_IS, "grey", "mirrored", "turned-180", "tiles"]
    depth = {what: e.headline["focal_stacks.depth_ordinal"] for what, e in study.evaluations.items()}
    # it looks at nothing but the row: colours, mirrors and covers leave it alone, and upside down near is far
    assert depth["grey"] == depth["mirrored"] == depth["tiles"] == depth[AS_IT_IS] > 0.6
    assert depth["turned-180"] == pytest.approx(1 - depth[AS_IT_IS], abs=1e-6)
    for what in ("grey", "mirrored", "tiles"):
        assert study.agreements[what].rank_correlation == pytest.approx(1.0)
        assert study.agreements[what].defocus_change == 0.0
        assert study.agreements[what].same_side == 1.0
    assert study.agreements["turned-180"].rank_correlation == pytest.approx(-1.0)
    assert study.agreements["turned-180"].same_side < 0.1


def test_only_real_blur_is_asked_and_noise_agrees_with_nothing(stacks: Any, random_answers: Any) -> None:
    study = study_cues(random_answers, stacks.root, None, alterations=("jpeg",), places=stacks.places)
    assert set(study.evaluations["jpeg"].kinds) == {"focal_stacks", "light_fields"}
    assert abs(study.agreements["jpeg"].rank_correlation) < 0.2


def test_the_study_is_written_and_shown(stacks: Any, row_answers: Any, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    study = study_cues(
        row_answers,
        stacks.root,
        None,
        name="rows",
        alterations=("grey",),
        places=stacks.places,
        on_progress=lambda *step: seen.append(step),
    )
    assert seen[-1][0] == seen[-1][1] and seen[-1][2].startswith("grey")
    stacks_table, agreement = cue_tables(study)
    assert [row[0] for row in stacks_table.rows] == [AS_IT_IS, "grey"]
    assert agreement.rows == (("grey", "1.000", "0.0%", "100.0%"),)
    numbers, text = write_cue_study(study, tmp_path / "out")
    assert json.loads(numbers.read_text())["agreements"]["grey"]["rank_correlation"] == pytest.approx(1.0)
    assert "## Focal stacks: cues taken away" in text.read_text() and "rows" in text.read_text()

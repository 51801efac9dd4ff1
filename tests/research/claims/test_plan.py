"""The plan: rows differ only as named, and no location is used for both training and evaluation."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from research.claims.plan import (
    BOTH,
    FOLDS,
    FRAMES,
    LADDER,
    LONGER,
    REAL,
    RENDERED,
    Effort,
    Run,
    evenly_spaced_frames,
    folds_of,
    recipe,
    run_named,
    runs,
    split_by_fold,
    training_scenes,
)

from mddnet.data.scene_pool import SceneEntry
from mddnet.types import FrameRecord, SceneRecord

KINDS = ("focal_stacks", "light_fields", "rgbd", "stereo", "photos")


def entry(group: str, name: str, location: str, frames: int = 20) -> SceneEntry:
    record = SceneRecord(
        name=name,
        location=location,
        capture="photo" if group == "photos" else "focal_stack",
        source="-",
        licence="-",
        provenance="real",
        unit="relative",
        frames=[FrameRecord(f"{i}.png", float(i), 1.0) for i in range(frames)],
        sharp="s.png",
        inv_depth="u.png",
    )
    return SceneEntry(Path(group) / name, group, record)


SCENES = [
    *(entry("focal_stacks", f"s{n}", f"location{n // 2}") for n in range(10)),
    *(entry("rgbd", f"r{n}", f"rgbd/{n}") for n in range(4)),
    *(entry("photos", f"p{n}", "photos/x") for n in range(3)),
]


def test_every_location_is_held_out_once() -> None:
    kept_out: list[str] = []
    for fold in range(FOLDS):
        training, out = split_by_fold(SCENES, fold)
        assert {e.record.location for e in training} & {e.record.location for e in out} == set()
        assert len(training) + len(out) == len(SCENES)
        assert sum(e.group == "photos" for e in training) == 3
        kept_out += sorted({e.record.location for e in out})
    assert sorted(kept_out) == sorted({e.record.location for e in SCENES if e.group != "photos"})


def test_folds_of_a_kind_have_equal_size() -> None:
    of = folds_of({"a": [f"a{n}" for n in range(10)], "b": ["b0", "b1"]})
    assert [sum(of[f"a{n}"] == fold for n in range(10)) for fold in range(3)] == [4, 3, 3]
    assert of["b0"] == 0 and of["b1"] == 1


def test_rows_differ_only_as_named() -> None:
    made = {row.name: recipe(Run(row, 1, Effort()), Path("x"), KINDS) for row in LADDER}
    for name, one in made.items():
        assert (one.data, one.optim, one.train.seed) == (made["two"].data, made["two"].optim, 1), name
        assert one.model.decoder_channels == made["two"].model.decoder_channels
        assert one.model.encoder == made["two"].model.encoder
    assert made["depth"].model.tasks == "depth" and made["defocus"].model.tasks == "defocus"
    assert made["soft"].model == made["law"].model and made["soft"].loss != made["law"].loss
    assert made["two"].loss == made["soft"].loss
    assert made["two"].model == made["soft"].model.model_copy(update={"soft_connection": False})
    frames = {row.name: recipe(Run(row, 1, Effort()), Path("x"), KINDS) for row in FRAMES}
    assert len({one.config_hash for one in made.values()} | {one.config_hash for one in frames.values()}) == 9
    assert frames[REAL].model == frames[RENDERED].model == frames[BOTH].model == made["full"].model
    assert frames[REAL].data.mixture.normalised["focal_stacks"] == 1
    longer = {row.name: recipe(Run(row, 1, Effort()), Path("x"), KINDS) for row in LONGER}
    assert [one.model for one in longer.values()] == [one.model for one in made.values()]
    assert longer["two-long"].loss == longer["soft-long"].loss
    assert {row.loss["depth"] for row in LONGER[2:]} == {0.5} and LONGER[4].loss["lens_law"] == 2


def test_every_row_has_every_fold_and_seed() -> None:
    planned = runs(Effort())
    assert len({run.name for run in planned}) == len(planned) == FOLDS * (len(LADDER) + len(FRAMES) + len(LONGER))
    for row in (*LADDER, *FRAMES, *LONGER):
        mine = [run for run in planned if run.row == row]
        assert {run.seed for run in mine} == {0, 1, 2} and len({run.effort for run in mine}) == 1
    assert {run.effort.steps for run in planned if run.row in LONGER} == {1800}


def test_run_by_name() -> None:
    run = run_named("full-long-2")
    assert (run.row.name, run.fold, run.effort.steps) == ("full-long", 2, 1800)
    with pytest.raises(ArgumentTypeError, match=r"full-3: .*fold from 0 to 2"):
        run_named("full-3")


def test_real_and_rendered_rows_have_same_scenes_and_frame_counts() -> None:
    training, _ = split_by_fold(SCENES, 0)
    counterparts = {
        e.record.name: entry("focal_stacks", e.record.name, e.record.location, 12)
        for e in training
        if e.group == "focal_stacks"
    }
    seen = {row.name: training_scenes(row, training, counterparts, 12) for row in FRAMES}
    assert [e.record.name for e in seen[REAL]] == [e.record.name for e in seen[RENDERED]]
    assert all(len(e.record.frames) == 12 for row in seen.values() for e in row)
    assert all(e is counterparts[e.record.name] for e in seen[RENDERED])
    assert len(seen[BOTH]) == 2 * len(seen[REAL])


@pytest.mark.parametrize(("count", "expected"), [(20, [0, 19]), (2, [0, 1])])
def test_ends_of_a_stack_are_kept(count: int, expected: list[int]) -> None:
    frames = entry("focal_stacks", "s", "p", count).record.frames
    found = [int(frame.u_focus) for frame in evenly_spaced_frames(frames, 12)]
    assert [found[0], found[-1]] == expected and len(found) == min(count, 12) == len(set(found))

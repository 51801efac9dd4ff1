"""The lists of what is never trained on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from research.teacher import held_out

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def test_lists_have_the_sizes_that_were_agreed() -> None:
    lists = held_out.HeldOut()
    assert len(lists.names("calib", "photo")) == 60
    assert len(lists.names("sheet", "photo")) == 40
    assert len(lists.names("sheet", "frame")) == 20
    assert len(lists.names("calib", "made")) == 30
    assert len({(row.use, row.name) for row in lists.rows}) == len(lists.rows)


def test_uses_do_not_overlap() -> None:
    names = [row.name for row in held_out.HeldOut().rows]
    assert len(names) == len(set(names))


def test_training_on_what_is_held_out_is_refused() -> None:
    lists = held_out.HeldOut()
    place = next(iter(lists.names("calib", "place")))
    lists.check(["some/other/place"])
    with pytest.raises(ValueError, match=place):
        lists.check(["some/other/place", place])


def test_views_are_held_out_by_scene_and_by_level() -> None:
    lists = held_out.HeldOut()
    assert lists.holds_view("rooms-room", "R000007", "R000007")
    assert lists.holds_view("levels", "L00003-x", "openarena-ce1m7")
    assert not lists.holds_view("rooms-room", "R000008", "R000008")


@pytest.mark.skipif(not DATA.exists(), reason="the data folder is not here")
def test_the_file_is_what_the_rules_give() -> None:
    assert held_out.HeldOut().rows == held_out.make(DATA)


@pytest.mark.skipif(not DATA.exists(), reason="the data folder is not here")
def test_nothing_of_the_sheet_is_of_a_place_that_trains() -> None:
    with (DATA / "split.csv").open(newline="") as file:
        train = {row["place"] for row in csv.DictReader(file) if row["split"] == "train"}
    frames = held_out.HeldOut().names("sheet", "frame")
    stacks = {name.split("/")[2] for name in frames if name.startswith("captures")}
    assert not stacks & train

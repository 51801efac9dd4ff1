"""recipes/permissive.toml trains on sources that allow commercial use, and on no other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from research.student.permissive import LABELLED, link_scenes, source_of, sources, write_split

from mddnet.config import load_recipe
from mddnet.data.split import read_split
from mddnet.kinds import KINDS

ROOT = Path(__file__).parents[2]
FORBIDDEN = re.compile(r"non-?commercial|\bNC\b|-NC-|research|none stated|not stated", re.IGNORECASE)


def test_the_recipe_is_the_small_one_on_other_data() -> None:
    recipe, small = load_recipe(ROOT / "recipes/permissive.toml"), load_recipe(ROOT / "recipes/small.toml")
    assert (recipe.model, recipe.loss, recipe.optim) == (small.model, small.loss, small.optim)
    assert recipe.data.scenes == Path("work/permissive/scenes") and recipe.train.start_from is None
    shares = recipe.data.mixture.normalised
    # multi-view places and light fields have no permissive source; pseudo-labels are of a teacher that saw others
    assert shares["multiview"] == shares["light_fields"] == shares[LABELLED] == 0


def test_no_listed_source_is_for_research_only() -> None:
    assert sources()
    for source in sources():
        assert source.licence and not FORBIDDEN.search(source.licence), source


@pytest.mark.parametrize(
    ("location", "allowed"),
    [
        ("views/levels/openarena-delta", True),
        ("views/free-room/R000007", True),
        ("views/rooms-room/R000007", False),
        ("photos/kodak24", True),
        ("photos/bsds500", False),
        ("photos/imagenet1000", False),
        ("photos/ebb12", False),
        ("rgbd/aims_lab", True),
        ("rgbd/sevenscenes_redkitchen", False),
        ("rgbd/rel_field_zed", False),
        ("stereo/Teddy", True),
        ("stereo/tabletop_3", False),
        ("multiview/ballroom", False),
        ("macro_board", True),
        ("columbia_cafe", False),
        ("lf_toys", False),
        ("unknown", False),
    ],
)
def test_sources_of_the_shipped_model(location: str, allowed: bool) -> None:
    assert (source_of(location) is not None) == allowed


def scene(folder: Path, kind: str, name: str, location: str) -> None:
    (folder / kind / name).mkdir(parents=True)
    (folder / kind / name / "scene.json").write_text(json.dumps({"place": location}), encoding="utf-8")


def test_only_permissive_scenes_are_linked(tmp_path: Path) -> None:
    scenes, out = tmp_path / "all", tmp_path / "out"
    scene(scenes, "rgbd", "aims_lab_001", "rgbd/aims_lab")
    scene(scenes, "rgbd", "kitchen", "rgbd/sevenscenes_redkitchen")
    scene(scenes, "photos", "kodak24_01", "photos/kodak24")
    scene(scenes, LABELLED, "kodak24_01", "photos/kodak24")
    for _ in range(2):
        assert link_scenes(scenes, out) == 2
        assert {path.relative_to(out).as_posix() for path in out.glob("*/*")} == {
            "rgbd/aims_lab_001",
            "photos/kodak24_01",
        }
    assert LABELLED in KINDS


def test_the_split_keeps_permissive_locations_only(tmp_path: Path) -> None:
    full = tmp_path / "full.csv"
    full.write_text("place,split\nstereo/Teddy,train\nstereo/tabletop_1,dev\nstereo/Wood1,dev\n", encoding="utf-8")
    write_split(full, tmp_path / "split.csv")
    assert read_split(tmp_path / "split.csv") == {"stereo/Teddy": "train", "stereo/Wood1": "dev"}

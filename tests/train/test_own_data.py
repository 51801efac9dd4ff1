"""Whole locations are held out, independently of others; settings are derived from the scenes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("timm")
pytest.importorskip("joblib")

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.made_scenes import make_scene

from mddnet.config import ModelConfig, load_recipe, recipe_toml
from mddnet.data.scene_pool import SceneEntry
from mddnet.errors import CaptureError, ModelError, RecipeError, TrainingError
from mddnet.train.data_check import CheckedScene, DataCheck, check_data
from mddnet.train.own_data import (
    default_steps,
    find_split,
    make_recipe,
    scenes_by_split,
    split_by_location,
    start_folder,
    write_run_files,
)
from mddnet.types import FrameRecord, SceneRecord


def _scene(
    location: str, group: str = "focal_stacks", frames: int = 3, size: tuple[int, int] = (480, 640)
) -> CheckedScene:
    record = SceneRecord(
        name=location,
        location=location,
        capture="photo" if group == "photos" else "focal_stack",
        source="here",
        licence="none",
        provenance="real",
        unit="relative",
        frames=[FrameRecord(f"{i}.png", 0.5, 10.0) for i in range(frames)],
        sharp="sharp.png",
        inv_depth="inv_depth.png",
    )
    folder = Path("scenes") / group / location.replace("/", "-")
    return CheckedScene(SceneEntry(folder, group, record), *size, (0.0, 4.0, 9.0), 0.0, 0.0)


def _check(*scenes: CheckedScene) -> DataCheck:
    return DataCheck(Path("scenes"), scenes, (), 40.0)


@settings(deadline=None)
@given(st.sets(st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1), min_size=2, max_size=30))
def test_a_fifth_of_locations_is_held_out_in_any_order(locations: set[str]) -> None:
    scenes = [_scene(location) for location in sorted(locations)]
    split = split_by_location(scenes)
    held_out = [location for location, part in split.items() if part == "dev"]
    assert split.keys() == locations
    assert len(held_out) == max(1, round(0.2 * len(locations))) < len(locations)
    assert split_by_location(scenes[::-1]) == split


def test_real_captures_and_small_locations_are_held_out_first() -> None:
    scenes = [
        _scene("big", frames=90),
        _scene("b"),
        _scene("c", "rgbd"),
        _scene("d", "stereo"),
        _scene("photos/x", "photos"),
    ]
    assert split_by_location(scenes) == {"big": "train", "b": "dev", "c": "train", "d": "train"}
    assert split_by_location([_scene("only")]) == {"only": "train"}
    assert split_by_location([_scene("photos/x", "photos")]) == {}


def test_given_split_is_used(tmp_path: Path) -> None:
    check = _check(_scene("a"), _scene("b"))
    file = tmp_path / "split.csv"
    file.write_text("place,split\na,dev\nb,train\n")
    split, origin = find_split(check, file)
    assert (split, origin) == ({"a": "dev", "b": "train"}, str(file))
    assert [e.record.location for e in scenes_by_split(check, split).held_out] == ["a"]
    apart = scenes_by_split(_check(_scene("a"), _scene("b"), _scene("c")), {"a": "dev", "b": "train", "c": "calib"})
    assert [e.record.location for e in (*apart.train, *apart.held_out)] == ["b", "a"]
    with pytest.raises(CaptureError, match="'b' is not in"):
        scenes_by_split(check, {"a": "train"})
    with pytest.raises(CaptureError, match="train split"):
        scenes_by_split(check, {"a": "dev", "b": "dev"})


def test_settings_are_derived_from_scenes() -> None:
    check = _check(*(_scene(name, frames=20, size=(768, 1024)) for name in "abc"), _scene("photos/x", "photos"))
    scenes = scenes_by_split(check, split_by_location(check.scenes))
    recipe = make_recipe(check, scenes, ModelConfig(pretrained=False), Path("out/my model"), start=Path("m"))
    assert recipe.name == "my-model"
    shares = {name: share for name, share in recipe.data.mixture.normalised.items() if share}
    assert shares.keys() == {"focal_stacks", "photos", "discs"}
    assert recipe.data.crop == (256, 256)
    assert recipe.optim.steps == default_steps(2 * 20 + 3, fine_tuning=True) == 344
    assert recipe.train.patience == 5 and recipe.train.validate_every == 23
    scratch = make_recipe(check, scenes, ModelConfig(), Path("out"))
    assert scratch.optim.lr == 5 * recipe.optim.lr and scratch.optim.steps == 2000


def test_small_stacks_of_one_location_without_photos() -> None:
    check = _check(_scene("a", size=(120, 160)))
    scenes = scenes_by_split(check, split_by_location(check.scenes))
    recipe = make_recipe(check, scenes, ModelConfig(), Path("out"), Path("m"), 7, ["optim.lr=1e-5"])
    assert recipe.data.crop == recipe.data.late_crop == (96, 96)
    assert (recipe.train.patience, recipe.train.validate_every, recipe.optim.steps) == (0, 0, 7)
    assert recipe.optim.lr == 1e-5
    with pytest.raises(RecipeError, match="use -o"):
        make_recipe(check, scenes, ModelConfig(), Path("out"), overrides=["train.out=x"])


def test_written_recipe_is_the_recipe_of_the_run(tmp_path: Path) -> None:
    check = _check(_scene("a"), _scene("b"))
    scenes = scenes_by_split(check, split_by_location(check.scenes))
    out = tmp_path / 'a "quoted" näme'
    recipe = make_recipe(check, scenes, ModelConfig(), out)
    write_run_files(check, split_by_location(check.scenes), recipe)
    again = load_recipe(out / "recipe.toml")
    assert again == recipe and again.config_hash == recipe.config_hash
    assert recipe_toml(again) == (out / "recipe.toml").read_text(encoding="utf-8")
    assert find_split(check, out / "split.csv")[0] == split_by_location(check.scenes)
    (out / "checkpoint.safetensors").write_bytes(b"")
    write_run_files(check, split_by_location(check.scenes), recipe)
    with pytest.raises(TrainingError, match="started on 2 scenes"):
        write_run_files(_check(_scene("a")), {"a": "train"}, recipe)


def test_start_references(tmp_path: Path) -> None:
    model = tmp_path / "run" / "model"
    model.mkdir(parents=True)
    with pytest.raises(RecipeError, match="no weights"):
        start_folder(tmp_path / "run")
    (model / "model.safetensors").write_bytes(b"")
    assert start_folder(tmp_path / "run") == start_folder(model) == model
    with pytest.raises(ModelError, match="no such model"):
        start_folder(tmp_path / "nowhere")
    assert start_folder("small").name == "small"
    # an archive stays one, so that the recipe names what is there on another day
    archive = tmp_path / "mine.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("model.safetensors", b"")
    assert start_folder(str(archive)) == archive
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("config.json", b"{}")
    with pytest.raises(RecipeError, match=r"mine\.zip: has no weights"):
        start_folder(archive)


def test_checked_scenes_are_split(tmp_path: Path) -> None:
    for name in "abc":
        make_scene(tmp_path, "focal_stacks", name, f"place_{name}", 1)
    check = check_data(tmp_path, 40.0)
    split, origin = find_split(check, None)
    sides = scenes_by_split(check, split)
    assert "new" in origin and (len(sides.train), len(sides.held_out)) == (2, 1)

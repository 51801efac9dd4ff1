"""Training from shards: over HTTP, interrupted in the middle of an epoch, to the weights of an undisturbed run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402
from tests.support.made_scenes import make_scene_root  # noqa: E402
from tests.support.served_folder import ServedFolder, served_folder  # noqa: E402

from mddnet.cli.main import main  # noqa: E402
from mddnet.config import Recipe, load_recipe, recipe_toml  # noqa: E402
from mddnet.data.split import read_split, split_of  # noqa: E402
from mddnet.errors import ModelError, RecipeError  # noqa: E402
from mddnet.scenes.shards_write import plan_shards, write_shards  # noqa: E402
from mddnet.train import loop  # noqa: E402
from mddnet.train.loop import train  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streamed")
    root, split = make_scene_root(folder / "scenes")
    locations = read_split(split)
    plan = plan_shards(root, lambda location: split_of(location, locations) or "", shard_bytes=2**17)
    assert all(row.state == "written" for row in write_shards(plan, folder / "shards"))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServedFolder]:
    with served_folder(folder / "shards") as server:
        yield server


def recipe(server: ServedFolder, folder: Path, out: Path, **data: object) -> Recipe:
    count = len(list((folder / "shards").glob("train-*.tar")))
    return Recipe.model_validate(
        {
            "name": "streamed",
            "model": {"encoder": "resnet10t", "pretrained": False, "decoder_channels": [16, 16, 16]},
            "data": {
                "shards": [f"{server.url}train-{{000000..{count - 1:06d}}}.tar"],
                "crop": [64, 64],
                "batch_size": 2,
                "workers": 0,
                "shuffle": 4,
                "late_crop": [64, 64],
                **data,
            },
            # 10 of the 12 samples: the run ends in the middle of the first epoch
            "optim": {"steps": 5, "warmup_steps": 1},
            "train": {"out": out, "log_every": 1, "save_every": 2, "validate_every": 0, "threads": 1},
        }
    )


@pytest.mark.slow
def test_interrupted_stream_ends_with_same_weights(
    folder: Path, server: ServedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_file(train(recipe(server, folder, tmp_path / "whole")) / "model.safetensors")
    loader = loop.shard_loader

    def cut_short(dataset: Any, workers: int) -> Iterator[Any]:
        for n, batch in enumerate(loader(dataset, workers)):
            if n == 3:
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(loop, "shard_loader", cut_short)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(server, folder, tmp_path / "cut"))
    resumed = load_file(train(recipe(server, folder, tmp_path / "cut")) / "model.safetensors")
    for name, value in whole.items():
        assert torch.allclose(value.float(), resumed[name].float(), atol=1e-6), name
    with pytest.raises(ModelError, match=r"1 worker.* 12 samples.* 3 worker"):
        train(recipe(server, folder, tmp_path / "cut", workers=3))


@pytest.mark.slow
def test_the_command_writes_a_model_with_a_card(folder: Path, server: ServedFolder, tmp_path: Path) -> None:
    made = recipe(server, folder, tmp_path / "run", scenes=folder / "scenes", split=folder / "scenes/split.csv")
    (tmp_path / "recipe.toml").write_text(recipe_toml(made))
    assert load_recipe(tmp_path / "recipe.toml").config_hash == made.config_hash
    assert main(["train", str(tmp_path / "recipe.toml"), "--accelerator", "cpu"]) == 0
    card = (tmp_path / "run/model/card.md").read_text()
    assert "on 4 scenes of 3 locations, 12 focused frames" in card
    assert "| focal_stacks | made by the tests | Apache-2.0 | 3 |" in card
    assert "dev_depth_ordinal" in (tmp_path / "run/log.csv").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("mixture={rgbd=1.0}", "data.shards and a mixture"),
    ],
)
def test_settings_that_need_scenes_are_refused_with_shards(tmp_path: Path, change: str, words: str) -> None:
    (tmp_path / "r.toml").write_text('name = "r"\n[data]\nshards = ["a.tar"]\n')
    with pytest.raises(RecipeError, match=words):
        load_recipe(tmp_path / "r.toml", [f"data.{change}"])

"""Training that compares with a trained network."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from pydantic import ValidationError  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from tests.support.made_scenes import make_scene_root  # noqa: E402
from tests.support.tiny_recipe import tiny_recipe  # noqa: E402

from mddnet.config import Recipe  # noqa: E402
from mddnet.errors import ModelError  # noqa: E402
from mddnet.model.checkpoint import load_network  # noqa: E402
from mddnet.train.loop import train  # noqa: E402
from mddnet.train.teacher import Teacher  # noqa: E402


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_scene_root(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="module")
def taught(scenes: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_recipe(*scenes, tmp_path_factory.mktemp("teacher")))


def distilling(recipe: Recipe, teacher: Path, **weights: float) -> Recipe:
    loss = recipe.loss.model_copy(update=weights)
    return Recipe.model_validate(
        recipe.model_copy(
            update={"loss": loss, "train": recipe.train.model_copy(update={"teacher": teacher})}
        ).model_dump()
    )


def test_who_is_taught_by_itself_has_nothing_to_learn(taught: Path) -> None:
    network = load_network(taught).eval()
    teacher = Teacher(taught, network, torch.device("cpu"))
    network.config = network.config.model_copy(update={"half_size_look": False})
    image = torch.rand(2, 3, 64, 64)
    maps = network(image)
    told = teacher.tell(image)
    torch.testing.assert_close(maps.sign_logit, told.sign_logit)
    torch.testing.assert_close(told.features, told.teacher_features)
    assert told.features.requires_grad and not told.teacher_features.requires_grad
    assert told.features.shape == (2, 192, 2, 2)


def test_a_run_learns_from_the_teacher_and_goes_on_where_it_stopped(scenes, taught, tmp_path) -> None:
    def recipe(out: Path) -> Recipe:
        made = tiny_recipe(*scenes, out, optim={"steps": 4, "ema": 0.0}, save_every=2, log_every=2)
        return distilling(made, taught, distil_sign=1.0, distil_features=1.0)

    whole = load_file(train(recipe(tmp_path / "a")) / "model.safetensors")
    with (tmp_path / "a/log.csv").open() as stream:
        logged = list(csv.DictReader(stream))
    assert all(float(row["distil_sign"]) > 0 and float(row["distil_features"]) > 0 for row in logged)
    again = load_file(train(recipe(tmp_path / "b")) / "model.safetensors")
    plain = load_file(train(tiny_recipe(*scenes, tmp_path / "c", optim={"steps": 4, "ema": 0.0})) / "model.safetensors")
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert any(not torch.equal(whole[name], plain[name]) for name in whole)
    assert set(whole) == set(plain)  # nothing of the teacher stays


def test_recipes_that_do_not_fit_are_refused(scenes, taught, tmp_path) -> None:
    made = tiny_recipe(*scenes, tmp_path)
    with pytest.raises(ValidationError, match=r"there is no train\.teacher"):
        Recipe.model_validate({"name": "x", "loss": {"distil_sign": 1.0}})
    with pytest.raises(ValidationError, match="nothing is learnt from it"):
        distilling(made, taught)
    with pytest.raises(ModelError, match=r"nowhere"):
        train(distilling(made, tmp_path / "nowhere", distil_sign=1.0))
    plain, other = made, distilling(made, taught, distil_sign=1.0)
    assert plain.config_hash != other.config_hash


def test_a_teacher_that_does_not_tell_the_sign_is_refused(scenes, tmp_path) -> None:
    model = {"tasks": "depth", "sign": False, "law_path": False, "soft_connection": False, "chromatic_cue": False}
    made = tiny_recipe(*scenes, tmp_path / "depth").model_dump()
    zero = dict.fromkeys(("defocus", "defocus_gradient", "lens_law", "sign", "cue_sign"), 0.0)
    folder = train(Recipe.model_validate(made | {"model": made["model"] | model, "loss": made["loss"] | zero}))
    network = load_network(folder)
    with pytest.raises(ModelError, match="without the sign of the defocus"):
        Teacher(folder, network, torch.device("cpu"))

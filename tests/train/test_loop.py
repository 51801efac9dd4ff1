"""The training loop: learns, resumes to the same weights, refuses inconsistent settings."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402
from tests.support.made_scenes import make_scene_root  # noqa: E402

from mddnet.config import OptimConfig, Recipe  # noqa: E402
from mddnet.errors import ModelError, OutputError  # noqa: E402
from mddnet.io.folder_lock import KERNEL_LOCKS, FolderLock  # noqa: E402
from mddnet.train.loop import train  # noqa: E402
from mddnet.train.optim import moving_average, set_learning_rates  # noqa: E402
from mddnet.train.record import run_folder  # noqa: E402


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_scene_root(tmp_path_factory.mktemp("scenes"))


def _recipe(scenes: tuple[Path, Path], out: Path, steps: int = 6, **optim) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "trial",
            "model": {"pretrained": False, "decoder_channels": [32, 24, 16]},
            "data": {
                "scenes": scenes[0],
                "split": scenes[1],
                "crop": [64, 64],
                "batch_size": 4,
                "workers": 0,
                "mixture": {"focal_stacks": 1.0, "rgbd": 0.3},
                "late_crop": [64, 64],
            },
            "optim": {"steps": steps, "warmup_steps": 1, **optim},
            "train": {"out": out, "log_every": 2, "save_every": 2, "validate_every": 3, "threads": 1},
        }
    )


def _interrupt_after(monkeypatch: pytest.MonkeyPatch, batches: int) -> None:
    """Make the loader fail as if the process were stopped after so many batches."""
    from mddnet.train import loop

    whole = loop.batch_loader

    def cut_short(dataset, first, workers):
        for n, batch in enumerate(whole(dataset, first, workers)):
            if n == batches:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(loop, "batch_loader", cut_short)


@pytest.mark.slow
def test_interrupted_run_ends_with_same_weights(scenes, tmp_path, monkeypatch) -> None:
    whole = load_file(train(_recipe(scenes, tmp_path / "whole")) / "model.safetensors")
    with monkeypatch.context() as patch:
        _interrupt_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            train(_recipe(scenes, tmp_path / "cut"))
    resumed = load_file(train(_recipe(scenes, tmp_path / "cut")) / "model.safetensors")
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.allclose(value.float(), resumed[name].float(), atol=1e-6), name
    with (tmp_path / "cut" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert float(rows[-1]["dev_depth_ordinal"]) > 0


@pytest.mark.slow
def test_resume_keeps_values_since_last_log_line(scenes, tmp_path, monkeypatch) -> None:
    """A checkpoint between two lines, and a validation between a line and the checkpoint."""
    settings = {"log_every": 4, "save_every": 3, "validate_every": 2}

    def recipe(out: Path) -> Recipe:
        whole = _recipe(scenes, out, steps=8)
        return whole.model_copy(update={"train": whole.train.model_copy(update=settings)})

    train(recipe(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        _interrupt_after(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(tmp_path / "cut"))
    train(recipe(tmp_path / "cut"))
    assert (tmp_path / "cut" / "log.csv").read_text() == (tmp_path / "whole" / "log.csv").read_text()


@pytest.mark.skipif(not KERNEL_LOCKS, reason="no file locks here")
def test_a_second_run_into_the_same_folder_is_refused(scenes, tmp_path) -> None:
    with FolderLock(tmp_path, "train"), pytest.raises(OutputError, match="another process"):
        train(_recipe(scenes, tmp_path))
    assert list(tmp_path.iterdir()) == []
    with run_folder(tmp_path), run_folder(tmp_path):
        assert (tmp_path / ".train.lock").exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_checkpoint_of_another_recipe_is_refused(scenes, tmp_path) -> None:
    train(_recipe(scenes, tmp_path, steps=2))
    with pytest.raises(ModelError, match="another recipe"):
        train(_recipe(scenes, tmp_path, steps=3))


def test_damaged_checkpoint_is_named(scenes, tmp_path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"no such thing")
    with pytest.raises(ModelError, match=r"checkpoint\.safetensors"):
        train(_recipe(scenes, tmp_path, steps=2))


@pytest.mark.slow
def test_loss_decreases(scenes, tmp_path) -> None:
    recipe = _recipe(scenes, tmp_path, steps=100, lr=3e-3, encoder_lr=1e-3)
    train(recipe)
    with (tmp_path / "log.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert sum(losses[-8:]) < 0.85 * sum(losses[:8])


def test_schedule_values() -> None:
    def rates(schedule: str) -> list[float]:
        config = OptimConfig(lr=1.0, steps=110, warmup_steps=10, schedule=schedule)
        optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.lr)
        found = []
        for step in (1, 5, 10, 60, 110):
            set_learning_rates(optimiser, config, step)
            found.append(optimiser.param_groups[0]["lr"])
        return found

    first, fifth, top, middle, last = rates("cosine")
    assert (first, fifth, top) == pytest.approx((0.1, 0.5, 1.0))
    assert middle == pytest.approx(0.5, abs=0.01) and 0 < last < 1e-3
    assert rates("constant") == pytest.approx([0.1, 0.5, 1.0, 1.0, 1.0])
    # a quarter of 110 steps is 27.5; the last one is 1 of them
    assert rates("linear_decay") == pytest.approx([0.1, 0.5, 1.0, 1.0, 1 / 27.5])


def test_moving_average_values() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    average = moving_average(layer, OptimConfig(ema=0.5))
    for step, weight, expected in ((1, 1.0, 1.0), (1000, 2.0, 1.5)):  # the first weights alone, then a decay of 0.5
        with torch.no_grad():
            layer.weight.fill_(weight)
        average.update(layer, step)
        assert average.module.weight.item() == pytest.approx(expected)
    none = moving_average(layer, OptimConfig(ema=0.0))
    none.update(layer, 1000)
    assert torch.equal(none.module.weight, layer.weight)


@pytest.mark.slow
def test_run_starts_from_another_model(scenes, tmp_path) -> None:
    first = train(_recipe(scenes, tmp_path / "first", steps=2))
    recipe = _recipe(scenes, tmp_path / "second", steps=2, lr=1e-9, encoder_lr=1e-9)
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"start_from": first})})
    second = load_file(train(recipe) / "model.safetensors")
    name = "depth_decoder.head.weight"
    assert torch.allclose(second[name], load_file(first / "model.safetensors")[name], atol=1e-6)


@pytest.mark.slow
def test_start_with_another_network_is_refused(scenes, tmp_path) -> None:
    first = train(_recipe(scenes, tmp_path / "first", steps=2))
    recipe = _recipe(scenes, tmp_path / "second", steps=2)
    wider = recipe.model.model_copy(update={"decoder_channels": (40, 24, 16)})
    start = recipe.train.model_copy(update={"start_from": first})
    with pytest.raises(ModelError, match="network differs"):
        train(recipe.model_copy(update={"model": wider, "train": start}))

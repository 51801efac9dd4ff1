"""Training by two processes: gradients equal those of one process with the double batch, and a whole run works."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402
from tests.support.made_scenes import make_scene_root  # noqa: E402

from mddnet.config import load_recipe, recipe_toml  # noqa: E402
from mddnet.errors import ModelError, TrainingError  # noqa: E402
from mddnet.train.loop import train  # noqa: E402
from mddnet.train.processes import NormOverProcesses, Processes, normalise_over_processes, processes_of  # noqa: E402

ROOT = Path(__file__).parents[2]
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "3"}
SLURM = {"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_scene_root(tmp_path_factory.mktemp("scenes"))


@pytest.mark.parametrize(
    ("environment", "requested", "expected"),
    [
        ({}, (None, None), Processes(1, 1)),
        ({}, (2, None), Processes(2, 1)),
        (TORCHRUN, (None, None), Processes(3, 2)),
        (TORCHRUN, (3, 2), Processes(3, 2)),
        (SLURM, (None, None), Processes(4, 2)),
        ({"SLURM_NTASKS": "8"}, (None, None), Processes(1, 1)),  # in a shell of an allocation, not by srun
    ],
)
def test_number_of_processes_comes_from_the_launcher(
    environment: dict[str, str], requested, expected: Processes
) -> None:
    assert processes_of(environment, *requested) == expected


def test_flags_that_contradict_the_launcher_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"--devices 2 --nodes 2, .* 3 processes .* 2"):
        processes_of(TORCHRUN, 2)
    with pytest.raises(TrainingError, match="WORLD_SIZE is 'many'"):
        processes_of({**TORCHRUN, "WORLD_SIZE": "many"})


def test_norm_of_one_process_equals_pytorch() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    image = torch.rand(2, 3, 8, 8)
    expected = network(image)
    normalise_over_processes(network)
    assert type(network[1]) is NormOverProcesses
    assert torch.equal(network(image), expected)


def _python(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1", **environment},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _finished(process: subprocess.Popen[str]) -> str:
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    return output


@pytest.mark.slow
def test_gradients_of_two_processes_equal_one_with_double_batch(scenes, tmp_path: Path) -> None:
    script = "tests.train.gradients_of_processes"
    arguments = [str(scenes[0]), str(scenes[1])]
    two = _python("-m", script, *arguments, str(tmp_path / "two"), "2")  # Fabric starts the second
    one = _python("-m", script, *arguments, str(tmp_path / "one"), "1")
    _finished(two), _finished(one)
    found, expected = load_file(tmp_path / "two"), load_file(tmp_path / "one")
    assert found.keys() == expected.keys()
    assert sum(name.startswith("gradient.") for name in expected) > 50
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-9, atol=1e-12), name
    assert max(float(value.abs().max()) for name, value in expected.items() if name.startswith("gradient.")) > 1e-3


@pytest.mark.slow
def test_a_run_of_two_processes(scenes, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('name = "two"\n')
    settings = [
        f"data.scenes={scenes[0]}",
        f"data.split={scenes[1]}",
        "data.crop=[64, 64]",
        "data.batch_size=2",
        "data.workers=0",
        "data.mixture={focal_stacks=1.0}",
        "data.late_crop=[64, 64]",
        'model.encoder="resnet10t"',
        "model.pretrained=false",
        "model.decoder_channels=[16, 16, 16]",
        "optim.steps=4",
        "optim.warmup_steps=1",
        f"train.out={tmp_path / 'run'}",
        "train.log_every=2",
        "train.save_every=2",
        "train.validate_every=2",
        "train.patience=5",
        "train.threads=1",
    ]
    recipe = load_recipe(tmp_path / "recipe.toml", settings)
    (tmp_path / "recipe.toml").write_text(recipe_toml(recipe))
    output = _finished(_python("-m", "mddnet", "train", str(tmp_path / "recipe.toml"), "--devices", "2"))
    words = " ".join(output.split())  # lines are wrapped
    assert words.count("step 0 of 4, 2 processes") == 1 and words.count("trained weights: ") == 1
    with (tmp_path / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [2, 4] and float(rows[-1]["dev_depth_ordinal"]) > 0
    assert (tmp_path / "run" / "model" / "card.md").is_file()
    with pytest.raises(ModelError, match="2 processes, now 1 "):
        train(recipe, "cpu")

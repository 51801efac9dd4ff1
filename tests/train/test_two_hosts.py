"""Training on two hosts: two network namespaces of this machine, joined by a wire, with torchrun in each.

Runs where MDDNET_CLUSTER_TESTS is set, as root on Linux.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.support.made_scenes import make_scene_root  # noqa: E402

from mddnet.config import Recipe, recipe_toml  # noqa: E402
from mddnet.data.split import read_split, split_of  # noqa: E402
from mddnet.scenes.shards_write import plan_shards, write_shards  # noqa: E402

ROOT = Path(__file__).parents[2]
HOSTS = {"mddnet-a": "10.213.7.1", "mddnet-b": "10.213.7.2"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "MDDNET_CLUSTER_TESTS" not in os.environ, reason="tests on a cluster run where MDDNET_CLUSTER_TESTS is set"
    ),
    pytest.mark.skipif(
        shutil.which("ip") is None or not hasattr(os, "geteuid") or os.geteuid() != 0,
        reason="network namespaces need root and ip",
    ),
]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def hosts() -> Iterator[None]:
    """Two namespaces with a wire between them, each with nothing else but its loopback."""
    made = []
    try:
        for name in HOSTS:
            ip("netns", "add", name)
            made.append(name)
        a, b = HOSTS
        ip("link", "add", "mdd0", "netns", a, "type", "veth", "peer", "name", "mdd0", "netns", b)
        for name, address in HOSTS.items():
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "mdd0")
            ip("-n", name, "link", "set", "mdd0", "up")
            ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        for name in made:
            ip("netns", "del", name)
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    yield
    for name in HOSTS:
        ip("netns", "del", name)


def launch(recipe: Path) -> list[str]:
    """The line of docs/large-scale.md on both hosts at once; gives what they print."""
    running = []
    for rank, name in enumerate(HOSTS):
        line = f"--nnodes 2 --nproc-per-node 1 --node-rank {rank} --master-addr {HOSTS['mddnet-a']} --master-port 29500"
        command = ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run", *line.split()]
        running.append(
            subprocess.Popen(
                [*command, "-m", "mddnet", "train", str(recipe), "--accelerator", "cpu"],
                env={
                    **os.environ,
                    "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
                    "OMP_NUM_THREADS": "1",
                    "GLOO_SOCKET_IFNAME": "mdd0",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    try:
        outputs = [process.communicate(timeout=240)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    for process, output in zip(running, outputs, strict=True):
        assert process.returncode == 0, output
    return outputs


def test_two_hosts_train_from_shards_and_resume(hosts: None, tmp_path: Path) -> None:
    root, split = make_scene_root(tmp_path / "scenes")
    locations = read_split(split)
    plan = plan_shards(root, lambda location: split_of(location, locations) or "", shard_bytes=2**17)
    assert all(row.state == "written" for row in write_shards(plan, tmp_path / "shards"))

    def recipe(name: str) -> Path:
        made = Recipe.model_validate(
            {
                "name": "hosts",
                "model": {"encoder": "resnet10t", "pretrained": False, "decoder_channels": [16, 16, 16]},
                "data": {
                    "shards": [f"{tmp_path}/shards/train-*.tar"],
                    "scenes": root,
                    "split": split,
                    "crop": [64, 64],
                    "batch_size": 2,
                    "workers": 1,
                    "shuffle": 4,
                    "late_crop": [64, 64],
                },
                "optim": {"steps": 6, "warmup_steps": 1},
                "train": {"out": tmp_path / name, "log_every": 2, "save_every": 3, "validate_every": 0, "threads": 1},
            }
        )
        path = tmp_path / f"{name}.toml"
        path.write_text(recipe_toml(made))
        return path

    first, second = launch(recipe("whole"))
    assert "2 processes" in first and "trained weights" in first and "trained weights" not in second
    with (tmp_path / "whole" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [2, 4, 6] and float(rows[-1]["dev_depth_ordinal"]) > 0

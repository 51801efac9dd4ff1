"""A Ray cluster of two machines, both of them here: the same bytes as without, also when one dies in the middle.

These tests take about a minute and run where MDDNET_CLUSTER_TESTS is set and Ray is installed (extra ``ray``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mddnet.cli.main import main
from mddnet.cluster import on_ray, versions
from mddnet.errors import ClusterError
from mddnet.predict.folder import Settings, predict_on_ray

ray = pytest.importorskip("ray", reason="a cluster needs Ray (extra ray)")
psutil = pytest.importorskip("psutil")
cv2 = pytest.importorskip("cv2", reason="building needs OpenCV (extra build)")

from ray.cluster_utils import Cluster  # noqa: E402

from mddnet.scenes.build import build_scenes  # noqa: E402
from mddnet.scenes.plan import plan_build  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "MDDNET_CLUSTER_TESTS" not in os.environ, reason="tests on a cluster run where MDDNET_CLUSTER_TESTS is set"
    ),
]
SCENES = 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head and nothing else yet, with one core."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield made
    made.shutdown()


@pytest.fixture
def second(cluster: Cluster) -> Iterator[Any]:
    """A second machine with one core."""
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield node
    if node in cluster.list_all_nodes():
        cluster.remove_node(node)


def write_photos(root: Path) -> Path:
    """Photos of 320 x 240 pixels, each of which takes a good part of a second to make a scene of."""
    (root / "photos").mkdir(parents=True)
    lines = ["file,source,licence"]
    for i in range(SCENES):
        coarse = np.random.default_rng(i).integers(0, 256, (40, 53, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)
        Image.fromarray(picture).save(root / "photos" / f"p{i}.jpg", quality=95)
        lines.append(f"photos/p{i}.jpg,made,none")
    (root / "photos" / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


def files_of(out: Path) -> dict[str, bytes]:
    found = sorted(path for path in out.glob("*/*/*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def workers_at_work(node: Any) -> list[Any]:
    """Processes of a machine that are carrying out a task."""
    raylet = next(info.process.pid for name, infos in node.all_processes.items() if name == "raylet" for info in infos)
    children = psutil.Process(raylet).children(recursive=True)
    return [child for child in children if (child.cmdline() or [""])[0].startswith("ray::_checked_call")]


def wait_for(what: Any, seconds: float = 30.0) -> Any:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.02)
    return found


def test_a_machine_that_dies_changes_nothing(cluster: Cluster, second: Any, tmp_path: Path) -> None:
    source = write_photos(tmp_path / "source").resolve()
    local, out = tmp_path / "local", tmp_path / "out"
    assert {row.state for row in build_scenes(plan_build([source]), local)} == {"built"}

    rows = []
    for row in build_scenes(plan_build([source]), out.resolve(), ray=cluster.address):
        rows.append(row)
        if len(rows) == 4:
            wait_for(lambda: workers_at_work(second))
            cluster.remove_node(second, allow_graceful=False)  # SIGKILL, with everything that it was doing
    assert sorted(row.name for row in rows) == sorted(f"made_p{i}" for i in range(SCENES))
    # what was in place when the machine died, and could not be reported any more, is found there
    states = [row.state for row in rows]
    assert set(states) <= {"built", "kept"} and states.count("kept") <= 1
    assert files_of(out) == files_of(local) and len(files_of(out)) > 5 * SCENES
    assert not (out / ".building").exists()

    # the same command again, by the command line: everything is done, one scene is not
    before = {path: path.stat().st_mtime_ns for path in out.glob("photos/*/scene.json")}
    lost = out / "photos" / "made_p3" / "scene.json"
    lost.unlink()
    assert main(["build", str(source), "-o", str(out), "--ray", cluster.address]) == 0
    assert files_of(out) == files_of(local)
    changed = {path for path, changed_ns in before.items() if path.stat().st_mtime_ns != changed_ns}
    assert changed == {lost}
    assert (out / "build.csv").read_text().count("\n") == SCENES + 1


def test_a_worker_that_dies_every_time_is_one_failure(cluster: Cluster) -> None:
    found = list(on_ray(cluster.address, os._exit, [3, 4], lambda task, why: f"{task}: {why}"))
    assert sorted(line.partition(":")[0] for line in found) == ["3", "4"]
    assert all("lost 5 times" in line for line in found)


def test_an_error_of_the_function_is_the_error_here(cluster: Cluster) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list(on_ray(cluster.address, os.listdir, ["/nowhere"], lambda task, why: [why]))


def test_machines_that_differ_are_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"nowhere does not exist; .*all machines"):
        list(on_ray(cluster.address, os.listdir, ["/"], lambda task, why: [why], folders=[tmp_path / "nowhere"]))
    monkeypatch.setattr("mddnet.cluster.versions", lambda: {**versions(), "numpy": "0.1"})
    with pytest.raises(ClusterError, match=r"numpy .*; expected 0\.1"):
        list(on_ray(cluster.address, os.listdir, ["/"], lambda task, why: [why]))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "somewhere"])
def test_no_cluster_is_an_error_that_says_what_to_give(
    address: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_photos(tmp_path / "source")
    assert main(["build", str(tmp_path / "source"), "-o", str(tmp_path / "out"), "--ray", address]) == 1
    assert f"--ray {address}: cannot reach a cluster" in capsys.readouterr().err


def test_a_folder_of_photos_is_predicted_as_without(
    cluster: Cluster, second: Any, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    for folder in (photos, tmp_path / "more"):
        folder.mkdir()
    for i in range(30):
        pixels = np.random.default_rng(i).integers(0, 256, (240, 320, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"p{i:02d}.png")
    (tmp_path / "more" / "p07.png").write_bytes((photos / "p08.png").read_bytes())  # the name of another photo
    (photos / "cut.png").write_bytes((photos / "p00.png").read_bytes()[:1000])
    command = ["predict", str(photos), str(tmp_path / "more"), "--model", str(tiny_model), "--threads", "1", "-o"]
    assert main([*command, str(tmp_path / "local")]) == 1
    capsys.readouterr()

    settings = Settings(tmp_path / "out")
    inputs = sorted(photos.iterdir())
    for count, _ in enumerate(predict_on_ray(cluster.address, str(tiny_model), inputs, settings), 1):
        if count == 3:
            wait_for(lambda: workers_at_work(second))
            cluster.remove_node(second, allow_graceful=False)
    assert count == len(inputs)

    # by the command line, with the second folder: what is done is not done again
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert main([*command, str(tmp_path / "out"), "--ray", cluster.address, "--resume"]) == 1
    output = capsys.readouterr()
    assert output.out.count("done before") == 30 and "p07_2" in output.out
    assert output.err.count("cut.png") == 1
    assert {path: path.stat().st_mtime_ns for path in before} == before
    local, out = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("local", "out"))
    assert local == out and len(local) > 31 * 4

"""Two at once: what they write is of the one or of the other, never of both, or the second is refused by name."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from benchmarks.reliability.files import Files, files_of
from PIL import Image

import mddnet
from mddnet.cli.main import main
from mddnet.errors import CaptureError
from mddnet.io.folder_lock import KERNEL_LOCKS, FolderLock
from mddnet.predict.output import find_saved, read_facts, save
from mddnet.types import Photo

pytestmark = pytest.mark.skipif(not KERNEL_LOCKS, reason="no file locks here")


@contextmanager
def all_the_time(work: Callable[[], object]) -> Iterator[None]:
    """Something that another thread does over and over meanwhile."""
    over, faults = threading.Event(), []

    def run() -> None:
        try:
            while not over.is_set():
                work()
        except BaseException as error:
            faults.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not faults, faults


# --- predict ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_results_of_one_photo_saved_by_many_at_once_are_those_of_one(tiny_model: Path, tmp_path: Path) -> None:
    model = mddnet.load(tiny_model)
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    photo = tmp_path / "cup.png"
    Image.fromarray(pixels).save(photo)
    lenses = [mddnet.Lens(), mddnet.Lens(50, 2.0, 30.0, 1.0)]
    predictions = [model.predict(Photo(pixels, lens, photo)) for lens in lenses]
    wanted: list[Files] = []
    for i, prediction in enumerate(predictions):
        save(prediction, tmp_path / f"alone_{i}", formats=("tiff", "npy"))
        wanted.append(files_of(tmp_path / f"alone_{i}"))
    out = tmp_path / "out"
    seen = []

    def look() -> None:
        facts = find_saved(out, photo)
        if facts is not None:
            seen.append(facts.complete)

    with all_the_time(look), ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(save, predictions[i % 2], out, None, ("tiff", "npy")) for i in range(24)]:
            future.result()
    assert files_of(out) in wanted
    assert seen


@pytest.mark.slow
def test_photos_with_one_name_saved_at_once_get_different_names(tiny_model: Path, tmp_path: Path) -> None:
    model = mddnet.load(tiny_model)
    random = np.random.default_rng(0)
    predictions = []
    for i in range(8):
        path = tmp_path / str(i) / "cup.png"
        path.parent.mkdir()
        Image.fromarray(random.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(path)
        predictions.append(model.predict(path))
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda prediction: save(prediction, tmp_path / "out"), predictions))
    assert len({path for each in files for path in each.values()}) == 8 * len(files[0])
    for prediction, each in zip(predictions, files, strict=True):
        facts = read_facts(each["facts"])
        assert facts is not None and facts.complete and facts.source == str(prediction.photo.path)


@pytest.mark.slow
def test_two_commands_that_predict_into_one_folder(tiny_model: Path, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for i in range(6):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (80, 120, 3), dtype=np.uint8)).save(
            photos / f"photo_{i}.png"
        )
    lens = ["--focal-mm", "50", "--f-number", "2", "--pixel-um", "30", "--focus-m", "1"]
    command = ["predict", str(photos), "--model", str(tiny_model), "-o"]
    wanted = []
    for i, flags in enumerate(([], lens)):
        assert main([*command, str(tmp_path / f"alone_{i}"), *flags]) == 0
        wanted.append(files_of(tmp_path / f"alone_{i}"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "mddnet", *command, str(out), *flags],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for flags in ([], lens)
    ]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    found = files_of(out)
    for i in range(6):
        mine = {name: content for name, content in found.items() if name.startswith(f"photo_{i}.")}
        assert mine in [{n: c for n, c in one.items() if n.startswith(f"photo_{i}.")} for one in wanted]
    assert len(found) == sum(name.startswith("photo_") for name in found)


# --- build, shards, train ---------------------------------------------------------------------------------------------


def test_a_second_concurrent_run_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cv2")
    from tests.reliability.test_disk import write_sharp_photos
    from tests.support.made_scenes import make_scene_root

    root, split = make_scene_root(tmp_path / "scenes")
    data, out = write_sharp_photos(tmp_path / "data"), tmp_path / "out"
    out.mkdir()
    commands = {
        "build": ["build", str(data), "-o", str(out), "--limit", "1"],
        "shards": ["shards", str(root), "--split", str(split), "-o", str(out)],
    }
    for command in commands.values():
        with FolderLock(out, "build"):
            assert main(command) == 1
        error = capsys.readouterr().err
        assert str(out) in error and "another process is writing there" in error and "wait for it" in error
        assert [path.name for path in out.iterdir()] == []
    for command in commands.values():
        assert main(command) == 0


# --- a reader during a build ------------------------------------------------------------------------------------------


class TwoScenes:
    """A place where a build puts now the one scene, now the other."""

    def __init__(self, tmp_path: Path) -> None:
        from tests.support.made_scenes import make_scene

        self.root = tmp_path / "scenes"
        self.target = self.root / "focal_stacks" / "s"
        self.kept = [make_scene(tmp_path / f"made_{i}", "focal_stacks", "s", f"place_{i}", i + 1) for i in range(2)]
        self.work = self.root / ".building"
        self.work.mkdir(parents=True)
        self._turn = itertools.cycle(range(2))
        self._count = itertools.count()
        self.replace()

    def replace(self) -> None:
        """Put the other scene into place, as ``mddnet build`` does."""
        from mddnet.scenes.build import _move_into_place

        work = self.work / str(next(self._count))
        shutil.copytree(self.kept[next(self._turn)], work / "s")
        os.utime(work / "s" / "scene.json")  # a build writes it now
        _move_into_place(work / "s", self.target, work)
        shutil.rmtree(work)


@pytest.mark.slow
def test_a_report_during_a_build_mixes_no_two_scenes(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    from mddnet.scenes.found import DamagedScene, FoundScene
    from mddnet.scenes.inspect import SceneFacts, measured

    scenes = TwoScenes(tmp_path)
    wanted = {}
    for kept in scenes.kept:
        facts = measured(FoundScene("focal_stacks", kept))
        assert isinstance(facts, SceneFacts)
        wanted[facts.record.location] = facts.quantiles.tobytes()
    found = FoundScene("focal_stacks", scenes.target)
    # Between builds: some reads fit in one, on a slow machine too.
    pauses = itertools.cycle((0.0, 0.005, 0.02, 0.1, 0.5))

    def build() -> None:
        scenes.replace()
        time.sleep(next(pauses))

    with all_the_time(build):
        results = [measured(found, decode=True) for _ in range(60)]
    for result in results:
        if isinstance(result, DamagedScene):
            assert "replaced by a build" in result.reason or "scene.json" in result.reason
        else:
            assert wanted[result.record.location] == result.quantiles.tobytes()
    assert any(isinstance(result, SceneFacts) for result in results)


def test_training_stops_at_a_replaced_scene(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    from mddnet.data.scene_pool import ScenePool, open_scenes

    scenes = TwoScenes(tmp_path)
    entry = open_scenes(scenes.root, {"place_0": "train", "place_1": "train"}, "train")[0]
    pool = ScenePool(limit_bytes=2**20)
    before = pool.truth(entry)
    scenes.replace()
    assert pool.truth(entry) is before  # what is in memory is of the scene that was opened
    for read in (lambda: pool.image(entry, entry.record.sharp), lambda: ScenePool(1).truth(entry)):
        with pytest.raises(CaptureError, match=r"replaced .*again"):
            read()
    shutil.rmtree(scenes.target)
    with pytest.raises(CaptureError, match="replaced"):
        pool.image(entry, entry.record.sharp)


def test_shards_of_scenes_that_a_build_replaces_are_rejected(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    from mddnet.scenes.shards_write import plan_shards, write_shards

    scenes = TwoScenes(tmp_path)
    plan = plan_shards(scenes.root, lambda location: "train")
    scenes.replace()
    rows = list(write_shards(plan, tmp_path / "shards"))
    assert [row.state for row in rows] == ["failed"] and "changed while it was written" in rows[0].reason
    assert not (tmp_path / "shards" / "SHA256SUMS").exists()
    rows = list(write_shards(plan_shards(scenes.root, lambda location: "train"), tmp_path / "shards"))
    assert [row.state for row in rows] == ["written"]


def test_measuring_stops_at_a_replaced_scene(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    from mddnet.evaluate.scenes import choose_scenes, read_frame, read_maps

    scenes = TwoScenes(tmp_path)
    chosen = choose_scenes(scenes.root, {"place_0": "dev", "place_1": "dev"}, "dev").scenes[0]
    truth = read_maps(chosen)
    frame = chosen.record.frames[0]
    assert read_frame(chosen, frame, truth).shape == truth.sharp.shape
    scenes.replace()
    for read in (lambda: read_maps(chosen), lambda: read_frame(chosen, frame, truth)):
        with pytest.raises(CaptureError, match=r"replaced .*again"):
            read()
    shutil.rmtree(scenes.target)
    with pytest.raises(CaptureError, match="replaced"):
        read_frame(chosen, frame, truth)

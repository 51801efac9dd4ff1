"""Memory and time for many photos in one folder, and for many scenes in one store."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
DISTINCT = 20
"""Number of different photos and scenes; the others are hard links to them."""
WARM_UP = 100


@dataclass(frozen=True, slots=True)
class PhotoLoad:
    """A folder of photos that was predicted."""

    photos: int  # how many
    first_mib: float  # memory of the process (resident) after the first hundred, mean of the next fifty photos
    most_mib: float  # most after that
    last_mib: float  # mean of the last fifty
    first_ms: float  # processor time per photo of the first tenth after the first hundred
    last_ms: float  # of the last tenth
    resumed_s: float  # time of the same command again with --resume, which leaves all of them out

    @property
    def growth(self) -> float:
        """Largest change of the memory after the first hundred photos, relative to the memory at that point."""
        return max(abs(self.most_mib - self.first_mib), abs(self.last_mib - self.first_mib)) / self.first_mib


@dataclass(frozen=True, slots=True)
class StoreLoad:
    """A folder of scenes that was opened and drawn from."""

    scenes: int  # how many
    size_mib: float  # of all their files
    open_s: float  # time until both sides of the split were open
    open_processor_s: float  # processor time of it
    batches: int  # how many batches were drawn then, of 8 crops each
    batch_ms: float  # time per batch
    read_mib: float  # what was read from files for them
    grown_mib: float  # by how much the memory grew from before the opening to after the last batch


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, flags=re.MULTILINE)
    return int(found[1]) / 1024 if found else float("nan")


def processor_s(pid: int) -> float:
    """Processor time of a process, which depends little on other load."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _picture(seed: int, height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def write_photos(folder: Path, count: int, height: int = 32, width: int = 128) -> None:
    """Small photos, a few of which differ."""
    folder.mkdir(parents=True)
    for i in range(count):
        path = folder / f"photo_{i:05d}.jpg"
        if i < DISTINCT:
            Image.fromarray(_picture(i, height, width)).save(path, quality=90)
        else:
            os.link(folder / f"photo_{i % DISTINCT:05d}.jpg", path)


def predict_folder(photos: Path, out: Path, model: str = "small") -> PhotoLoad:
    """Run ``mddnet predict`` on a folder in a new process, and monitor it."""
    command = [sys.executable, "-m", "mddnet", "predict", str(photos), "-o", str(out), "--model", model]
    command += ["--threads", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    memory, times = [], []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if " -> " in line:  # a photo is done; notes follow on lines of their own
                times.append(processor_s(process.pid))
                memory.append(resident_mib(process.pid))
        errors = process.stderr.read()
    if process.returncode != 0:
        raise RuntimeError(f"predict ended with {process.returncode}: {errors[-2000:]}")
    started = time.monotonic()
    again = subprocess.run([*command, "--resume"], capture_output=True, text=True, env=environment, check=True)
    resumed_s = time.monotonic() - started
    if again.stdout.count("done before") != len(times):
        raise RuntimeError("a resumed run did not leave all of them out")
    tenth = max((len(times) - WARM_UP) // 10, 1)
    settled = memory[WARM_UP:]
    return PhotoLoad(
        len(times),
        float(np.mean(settled[:50])),
        max(settled),
        float(np.mean(settled[-50:])),
        1000 * (times[WARM_UP + tenth] - times[WARM_UP]) / tenth,
        1000 * (times[-1] - times[-1 - tenth]) / tenth,
        resumed_s,
    )


def write_store(root: Path, count: int) -> Path:
    """Small scenes, a few of which differ; returns the path of the split."""
    from tests.support.made_scenes import make_scene

    made = root.with_name(f"{root.name} made")
    kept = [make_scene(made, "focal_stacks", f"s{i}", f"place_{i}", i) for i in range(DISTINCT)]
    for i in range(count):
        folder = root / "focal_stacks" / f"scene_{i:05d}"
        folder.mkdir(parents=True)
        source = kept[i % DISTINCT]
        for path in source.iterdir():
            if path.name != "scene.json":
                os.link(path, folder / path.name)
        about = json.loads((source / "scene.json").read_text(encoding="utf-8"))
        about |= {"name": folder.name, "place": f"place_{i}"}
        (folder / "scene.json").write_text(json.dumps(about), encoding="utf-8")
    split = root.with_name("split.csv")
    lines = [f"place_{i},{'dev' if i % 10 == 0 else 'train'}" for i in range(count)]
    split.write_text("\n".join(["place,split", *lines]) + "\n", encoding="utf-8")
    return split


def open_store(root: Path, split: Path, batches: int = 50) -> StoreLoad:
    """Open a store and draw from it, in a new process."""
    command = [sys.executable, "-m", "benchmarks.reliability.load", str(root), str(split), str(batches)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"opening the store ended with {done.returncode}: {done.stderr[-2000:]}")
    return StoreLoad(**json.loads(done.stdout.splitlines()[-1]))


def _read_bytes() -> int:
    """Bytes that this process has read from files so far, from disk or cache."""
    found = re.search(r"^rchar: (\d+)", Path("/proc/self/io").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return int(found[1]) if found else 0


def _measured_store(root: Path, split: Path, batches: int) -> StoreLoad:
    from mddnet.config import Recipe
    from mddnet.data.loader import SampleBatches
    from mddnet.train.scenes import open_run_scenes

    data = {"scenes": root, "split": split, "crop": [64, 64], "batch_size": 8, "mixture": {"focal_stacks": 1.0}}
    recipe = Recipe.model_validate({"name": "load", "data": {**data, "late_share": 0.0}})
    before, read = resident_mib(os.getpid()), _read_bytes()
    started, processor = time.monotonic(), time.process_time()
    scenes = open_run_scenes(recipe)
    open_s, open_processor_s = time.monotonic() - started, time.process_time() - processor
    dataset = SampleBatches(scenes.train, recipe.data, 0, batches)
    started = time.monotonic()
    for n in range(batches):
        dataset[n]
    batch_ms = 1000 * (time.monotonic() - started) / batches
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    return StoreLoad(
        len(scenes.train) + len(scenes.held_out),
        size / 2**20,
        open_s,
        open_processor_s,
        batches,
        batch_ms,
        (_read_bytes() - read) / 2**20,
        resident_mib(os.getpid()) - before,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(_measured_store(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))))

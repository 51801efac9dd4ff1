"""Cost of a data set of the size of ALL-in-3D, from building to training: the tables of docs/results/scale.md.

    python -m benchmarks.scale_trial --data ../shared/data --work work/scale -o docs/results/scale.md

500 scenes of 200 focus positions are synthesised in the layout of ALL-in-3D from measured shapes (RGB-D, stereo) and
photos, at 1/16 of its width and height, and a few at its full size. Every stage runs in a separate process with one
thread and stores its results as JSON in the work folder. Finished stages are skipped, and unfinished ones resume. About
1.5 hours on one core, and 20 GB of disk.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
import torch
from benchmarks.table_page import show_table
from numpy.typing import NDArray
from tests.support.rig_simulator.scene import filled

from mddnet.captures.all_in_3d import FACTS_FILE
from mddnet.captures.photo_folder import list_photos
from mddnet.captures.rgbd import list_rgbd
from mddnet.captures.stereo import list_stereo
from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.config import LossConfig, Recipe
from mddnet.data.batch import Batch
from mddnet.data.loader import SampleBatches, batch_loader, one_opencv_thread
from mddnet.data.scene_pool import open_scenes
from mddnet.data.shard_batches import ShardBatches, shard_loader
from mddnet.data.split import read_split, split_of
from mddnet.io.atomic import atomic_write_text
from mddnet.loss.total import total_loss
from mddnet.model.network import MDDNet
from mddnet.scenes.build import build_scenes
from mddnet.scenes.plan import plan_build
from mddnet.scenes.render import psf_kernel
from mddnet.scenes.shard_source import count_samples
from mddnet.scenes.shards_write import plan_shards, write_shards
from mddnet.scenes.store import read_image
from mddnet.train.loop import train
from mddnet.train.optim import build_optimiser

FULL = (2056, 2452)
REDUCED = (128, 153)
SCENES, POSITIONS = 500, 200
FULL_SCENES, FULL_POSITIONS = 2, 6
FOCAL_MM, OFFSET_MM = 50.0, 24.0
NEAR_MM, FAR_MM = 620.0, 980.0
APERTURE_PX = 3300.0
"""A of the paper's formula at full size; discs of up to 120 px."""
BANK_STEP_PX, BANK_STEPS = 0.5, 16
"""Step of the rendered disc diameters, and the maximum number of steps."""
NOISE = 0.01
DEV_EVERY = 20
STEPS = 300
CROP, FULL_CROP = (128, 128), (256, 256)
THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


# --- synthetic captures -----------------------------------------------------------------------------------------------


class Maker:
    """Writes captures in the layout of ALL-in-3D: a measured shape, the texture of a photo, disc blur by the lens law.

    Occlusions are ignored in the blur: this benchmark is about size.
    """

    def __init__(self, data: Path) -> None:
        self.shapes: list[Callable[[], NDArray[np.floating]]] = []
        self.shapes += [s.read_inv_depth for s in list_stereo(data / "depth/stereo") if s.unit == "1/m"]
        self.shapes += [f.read_inv_depth for f in list_rgbd(data / "depth/rgbd") if f.unit == "1/m"]
        self.photos = [photo.image for photo in list_photos(data / "photos")]

    def make(self, folder: Path, number: int, size: tuple[int, int], positions: int) -> None:
        """Write scene ``number`` to ``folder/number``, unless it exists."""
        target = folder / str(number)
        if target.is_dir():
            return
        rng = np.random.default_rng(number)
        made = folder / f".{number}.part"
        shutil.rmtree(made, ignore_errors=True)
        for part in ("AIF", "depth", "focus"):
            (made / part).mkdir(parents=True)
        depth_mm, known = self._shape(rng, size)
        sharp = self._texture(rng, size)
        near, far = (1000.0 / z for z in (NEAR_MM, FAR_MM))
        reach = 0.1 * (near - far)
        # even steps of the sensor, from behind the scene to in front of it
        sensor = np.linspace(*(1000.0 / (1000.0 / FOCAL_MM - u) for u in (far - reach, near + reach)), positions)
        focus_mm = 1.0 / (1.0 / FOCAL_MM - 1.0 / sensor)
        tifffile.imwrite(made / "AIF/AIF.tif", self._photographed(sharp, rng))
        np.save(made / "depth/depth.npy", depth_mm.astype(np.float32))
        np.save(made / "depth/mask.npy", np.where(known, 255, 0).astype(np.uint8))
        np.save(made / "focus/fd.npy", focus_mm)
        aperture_px = APERTURE_PX * size[1] / FULL[1]
        ends = [
            aperture_px * v / 1000 * abs(1000 / f - 1000 / z)
            for v, f in zip(sensor, focus_mm, strict=True)
            for z in (depth_mm.min(), depth_mm.max())
        ]
        bank = Bank(sharp, max(ends))
        for position, (v, f) in enumerate(zip(sensor, focus_mm, strict=True), 1):
            frame = self._photographed(bank.blurred(aperture_px * v / 1000 * np.abs(1000 / f - 1000 / depth_mm)), rng)
            tifffile.imwrite(made / f"focus/{number}_{position:03d}.tif", frame)
        made.rename(target)

    def _shape(self, rng: np.random.Generator, size: tuple[int, int]) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """(H, W) depth in mm, and where it was measured."""
        u = self.shapes[int(rng.integers(len(self.shapes)))]()
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.where(u > 0, 1 / u, np.nan)
        depth = _cut(depth, size, rng)
        known = np.isfinite(depth)
        whole = cv2.resize(filled(depth).astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
        known = cv2.resize(known.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0
        low, high = np.quantile(whole, [0.02, 0.98])
        share = np.clip((whole - low) / max(float(high - low), 1e-9), -0.02, 1.02)
        return NEAR_MM + (FAR_MM - NEAR_MM) * share, known

    def _texture(self, rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
        photo = read_image(self.photos[int(rng.integers(len(self.photos)))])
        cut = np.ascontiguousarray(_cut(photo, size, rng))
        way = cv2.INTER_AREA if cut.shape[0] > size[0] else cv2.INTER_CUBIC
        return linear_from_srgb8(np.asarray(cv2.resize(cut, size[::-1], interpolation=way), np.uint8)).astype(
            np.float32
        )

    @staticmethod
    def _photographed(linear: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
        noise = rng.standard_normal(linear.shape, dtype=np.float32)
        return srgb8_from_linear(np.clip(linear + np.float32(NOISE) * np.sqrt(0.05 + linear) * noise, 0, 1))


def _cut(array: NDArray[Any], size: tuple[int, int], rng: np.random.Generator) -> NDArray[Any]:
    """A random crop with the given aspect ratio, mirrored at random."""
    ratio = min(array.shape[0] / size[0], array.shape[1] / size[1]) * rng.uniform(0.7, 1.0)
    h, w = max(2, int(size[0] * ratio)), max(2, int(size[1] * ratio))
    top, left = int(rng.integers(array.shape[0] - h + 1)), int(rng.integers(array.shape[1] - w + 1))
    part = array[top : top + h, left : left + w]
    return part[:, ::-1] if rng.random() < 0.5 else part


class Bank:
    """An image blurred by discs of many sizes; each pixel is interpolated between the two nearest."""

    def __init__(self, sharp: NDArray[np.float32], largest_px: float) -> None:
        self.step_px = max(BANK_STEP_PX, largest_px / BANK_STEPS)
        discs = [self.step_px * k for k in range(int(np.ceil(largest_px / self.step_px)) + 2)]
        self.shape = sharp.shape
        self.pictures = np.stack(
            [cv2.filter2D(sharp, -1, psf_kernel(d), borderType=cv2.BORDER_REFLECT_101).reshape(-1, 3) for d in discs]
        )

    def blurred(self, diameter_px: NDArray[np.floating]) -> NDArray[np.float32]:
        """(H, W, 3) with a blur diameter per pixel."""
        position = np.minimum(diameter_px.ravel() / self.step_px, len(self.pictures) - 1.001)
        low = position.astype(np.intp)
        t = (position - low).astype(np.float32)[:, None]
        pixels = np.arange(len(low))
        return ((1 - t) * self.pictures[low, pixels] + t * self.pictures[low + 1, pixels]).reshape(self.shape)


# --- the stages -------------------------------------------------------------------------------------------------------


def memory_mb() -> float:
    """Peak memory of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def drop_cached(files: Iterator[Path]) -> None:
    """Remove files from the system's page cache."""
    for path in files:
        with path.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings.

    Attributes:
        data: folder of measured shapes and photos.
        work: folder for all outputs.
        scenes: number of scenes of reduced size.
        full_scenes: number of scenes of full size.
        steps: training steps.
        seconds: processor time for measuring a rate.
    """

    data: Path
    work: Path
    scenes: int
    full_scenes: int = FULL_SCENES
    steps: int = STEPS
    seconds: float = 8.0

    def sizes(self) -> dict[str, tuple[tuple[int, int], int, int]]:
        """Image size, number of scenes and number of focus positions, by name."""
        return {"reduced": (REDUCED, self.scenes, POSITIONS), "full": (FULL, self.full_scenes, FULL_POSITIONS)}

    def recipe(self, name: str, **data: object) -> Recipe:
        """Recipe for the reduced scenes or their shards, with one thread."""
        if "shards" not in data:
            data["mixture"] = {"all_in_3d": 1.0}
        return Recipe.model_validate(
            {
                "name": name,
                "data": {"crop": CROP, "batch_size": 8, "workers": 1, "late_crop": CROP, **data},
                "optim": {"steps": self.steps, "warmup_steps": self.steps // 10},
                "train": {"out": self.work / name, "threads": 1, "validate_every": 0, "save_every": self.steps},
            }
        )

    def split(self) -> Path:
        """Write ``split.csv``: every twentieth scene is held out."""
        path = self.work / "split.csv"
        splits = [("dev" if n % DEV_EVERY == 0 else "train") for n in range(1, self.scenes + 1)]
        atomic_write_text(path, "place,split\n" + "".join(f"all_in_3d/{n},{s}\n" for n, s in enumerate(splits, 1)))
        return path


def make(trial: Trial) -> dict[str, float]:
    """Captures of both sizes."""
    cv2.setNumThreads(1)
    maker = Maker(trial.data)
    for name, (size, scenes, positions) in trial.sizes().items():
        folder = trial.work / f"captures-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"aperture_px": APERTURE_PX * size[1] / FULL[1], "focal_mm": FOCAL_MM}  # known to the authors
        atomic_write_text(folder / FACTS_FILE, json.dumps(facts))
        started = time.monotonic()
        for number in range(1, scenes + 1):
            maker.make(folder, number, size, positions)
            if number % 10 == 0:
                print(f"rendered {number} of {scenes}, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return {}


def build(trial: Trial) -> dict[str, float]:
    """Build scenes of both sizes as ``mddnet build`` in one process."""
    figures: dict[str, float] = {}
    for name, (_, scenes, positions) in trial.sizes().items():
        out, log = trial.work / f"scenes-{name}", trial.work / f"build-{name}.txt"
        plan = plan_build([trial.work / f"captures-{name}"])
        begun = time.process_time()
        for count, row in enumerate(build_scenes(plan, out), 1):
            assert row.state in ("built", "kept"), row.reason
            if row.state == "built":
                with log.open("a") as stream:
                    stream.write(f"{time.process_time() - begun}\n")
            begun = time.process_time()
            if count % 10 == 0:
                print(f"built {count} of {scenes}", file=sys.stderr, flush=True)
        seconds = [float(line) for line in log.read_text().split()]
        frames = [p.stat().st_size for p in out.glob("all_in_3d/*/frame_*")]
        whole = [p.stat().st_size for p in out.glob("all_in_3d/*/*")]
        figures |= {
            f"{name}_seconds": sum(seconds),
            f"{name}_sets_per_second": positions * len(seconds) / sum(seconds),
            f"{name}_sets": len(frames),
            f"{name}_bytes_per_set": sum(whole) / len(frames),
            f"{name}_bytes_over_frames": sum(whole) / sum(frames),
            f"{name}_memory_mb": memory_mb(),
        }
    return figures


def shards(trial: Trial) -> dict[str, float]:
    """Write shards of the scenes as ``mddnet shards`` in one process."""
    figures: dict[str, float] = {}
    for name in trial.sizes():
        started = time.process_time()
        split = trial_split(trial) if name == "reduced" else lambda location: "train"
        plan = plan_shards(trial.work / f"scenes-{name}", split, shard_bytes=64 * 2**20)
        planned = time.process_time()
        rows = []
        for row in write_shards(plan, trial.work / f"shards-{name}"):
            assert row.state in ("written", "kept"), row.reason
            rows.append(row)
            print(f"{name}: {len(rows)} of {len(plan.tasks)} shards", file=sys.stderr, flush=True)
        written = sum(row.samples for row in rows if row.state == "written")
        figures |= {
            f"{name}_plan_seconds": planned - started,
            f"{name}_sets_per_second": written / (time.process_time() - planned),
            f"{name}_bytes_per_set": sum(row.size_bytes for row in rows) / sum(row.samples for row in rows),
            f"{name}_shards": len(rows),
            f"{name}_memory_mb": memory_mb(),
        }
    return figures


def trial_split(trial: Trial) -> Callable[[str], str]:
    """A function from location to split."""
    locations = read_split(trial.split())
    return lambda location: split_of(location, locations) or ""


class Watch:
    """Wall and processor time since creation or the last reading."""

    def __init__(self) -> None:
        self.clock, self.processor = time.monotonic(), time.process_time()

    def read(self, name: str) -> dict[str, float]:
        """Both times in seconds; restarts the clock."""
        before = self.clock, self.processor
        self.clock, self.processor = time.monotonic(), time.process_time()
        return {f"{name}_seconds": self.clock - before[0], f"{name}_processor_seconds": self.processor - before[1]}


def opened(trial: Trial) -> dict[str, float]:
    """Time of opening and of the first batch, without cached files."""
    one_opencv_thread()
    folder, locations = trial.work / "scenes-reduced", read_split(trial.split())
    config = trial.recipe("opened").data
    sources = sorted(str(path) for path in (trial.work / "shards-reduced").glob("train-*.tar"))
    drop_cached(p for p in folder.glob("*/*/*") if p.is_file())
    drop_cached(Path(source) for source in sources)
    watch = Watch()
    entries = open_scenes(folder, locations, "train")
    figures = watch.read("open")
    batches = SampleBatches(entries, config, 0, 10)
    next(iter(batch_loader(batches, 0, workers=0)))
    figures |= watch.read("first_batch")
    next(iter(batch_loader(batches, 0, workers=1)))
    figures |= watch.read("first_batch_of_a_worker")
    counted = count_samples(sources)
    figures |= watch.read("shards_open")
    next(iter(shard_loader(ShardBatches(counted, config, 0, 10), workers=0)))
    figures |= watch.read("shards_first_batch")
    return {**figures, "sets": sum(len(e.record.frames) for e in entries), "memory_mb": memory_mb()}


def rate(batches: Iterator[Any], size: int, seconds: float, warm: int = 2) -> float:
    """Crops per second of processor time, after the first few batches."""
    for _ in range(warm):
        next(batches)
    started, count = time.process_time(), 0
    while time.process_time() - started < seconds:
        next(batches)
        count += size
    return count / (time.process_time() - started)


def sampled(trial: Trial) -> dict[str, float]:
    """Crops per second of the loader alone, in one process with one thread."""
    figures: dict[str, float] = {}
    split = read_split(trial.split())
    for name in trial.sizes():
        splits = split if name == "reduced" else {f"all_in_3d/{n}": "train" for n in range(1, trial.full_scenes + 1)}
        entries = open_scenes(trial.work / f"scenes-{name}", splits, "train")
        crop = CROP if name == "reduced" else FULL_CROP
        for cache_mb in (4000, 1):
            changes = {"crop": crop, "late_crop": crop, "cache_mb": cache_mb}
            config = trial.recipe("sampled").data.model_copy(update=changes)
            batches = SampleBatches(entries, config, 0, 10**6)
            found = rate((batches[n] for n in itertools.count()), config.batch_size, trial.seconds)
            figures[f"{name}_scenes_{cache_mb}_mb"] = found
        config = config.model_copy(update={"shuffle": 8})
        counted = count_samples(sorted(str(p) for p in (trial.work / f"shards-{name}").glob("train-*.tar")))
        stream = iter(ShardBatches(counted, config, 0, 10**6))
        figures[f"{name}_shards"] = rate(stream, config.batch_size, trial.seconds)
    figures["memory_mb"] = memory_mb()
    return figures


def consumed(trial: Trial) -> dict[str, float]:
    """Crops per second of training the shipped network with one thread, without loading."""
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    for name, crop in (("reduced", CROP), ("full", FULL_CROP)):
        config = trial.recipe("consumed")
        entries = open_scenes(trial.work / "scenes-reduced", read_split(trial.split()), "train")[:2]
        data = config.data.model_copy(update={"crop": crop})
        batch = SampleBatches(entries, data, 0, 1)[0]
        network = MDDNet(config.model).to(memory_format=torch.channels_last).train()
        optimiser = build_optimiser(network, config.optim)

        def step(network: MDDNet, optimiser: torch.optim.Optimizer, batch: Batch, loss: LossConfig) -> None:
            optimiser.zero_grad()
            maps = network(batch.image.contiguous(memory_format=torch.channels_last))
            total_loss(maps, batch, loss, 40.0, torch.Generator())[0].backward()
            optimiser.step()

        steps = (step(network, optimiser, batch, config.loss) for _ in itertools.count())
        figures[f"{name}_images_per_second"] = rate(steps, config.data.batch_size, trial.seconds, warm=1)
    figures["memory_mb"] = memory_mb()
    return figures


def trained(trial: Trial) -> dict[str, float]:
    """Train for a few hundred steps on scenes and on shards, with one thread."""
    figures: dict[str, float] = {}
    shards_at = str(trial.work / "shards-reduced/train-*.tar")
    common = {"scenes": trial.work / "scenes-reduced", "split": trial.split()}
    for name, data in (("scenes", common), ("shards", {**common, "shards": [shards_at]})):
        recipe = trial.recipe(f"run-{name}", **data)
        shutil.rmtree(recipe.train.out, ignore_errors=True)
        started = time.monotonic()
        train(recipe, "cpu")
        rows = [line.split(",") for line in (recipe.train.out / "log.csv").read_text().splitlines()]
        loss = rows[0].index("loss")
        figures |= {
            f"{name}_seconds": time.monotonic() - started,
            f"{name}_loss_first": float(rows[1][loss]),
            f"{name}_loss_last": float(rows[-1][loss]),
            f"{name}_order_of_defocus": float(rows[-1][rows[0].index("dev_defocus_ordinal")]),
        }
    figures["memory_mb"] = memory_mb()
    return figures


STAGES: dict[str, Callable[[Trial], dict[str, float]]] = {
    stage.__name__: stage for stage in (make, build, shards, opened, sampled, consumed, trained)
}


# --- the page ---------------------------------------------------------------------------------------------------------


BOTH = ("reduced", "full")


def table(f: dict[str, dict[str, float]], trial: Trial) -> str:
    """The tables in Markdown, without stages that were not run."""
    names = [name for name in BOTH if f"{name}_sets" in f.get("build", {})] or BOTH
    goals: list[tuple[str, str, bool]] = []
    rows: list[tuple[str, str]] = []
    megapixels = {name: h * w / 1e6 for name, (h, w) in (("reduced", REDUCED), ("full", FULL))}

    def both(stage: str, key: str, form: str) -> str:
        """Values for both sizes, in two cells."""
        return " | ".join(format(f[stage][f"{name}_{key}"], form) for name in names)

    def add(stage: str, words: str, key: str, form: str) -> None:
        if stage in f and all(f"{name}_{key}" in f[stage] for name in names):
            rows.append((words, both(stage, key, form)))

    if "opened" in f:
        o = f["opened"]
        goals += [
            ("opening in 3 s at most", f"{o['open_seconds']:.2f} s", o["open_seconds"] <= 3),
            (
                "first batch in 2 s at most, including the start of a worker",
                f"{o['first_batch_of_a_worker_seconds']:.2f} s",
                o["first_batch_of_a_worker_seconds"] <= 2,
            ),
        ]
    if "sampled" in f and "consumed" in f:
        ratio = f["sampled"]["reduced_scenes_4000_mb"] / f["consumed"]["reduced_images_per_second"]
        goals.append(("loader 5 times as fast as the network", f"{ratio:.1f} times", ratio >= 5))
    if "build" in f:
        share = f["build"]["reduced_bytes_over_frames"]
        goals.append(("size of a scene at most 1.1 times that of its frames", f"{share:.3f}", share <= 1.1))
        per_megapixel = (1 / f["build"][f"{n}_sets_per_second"] / megapixels[n] for n in names)
        rows += [
            (
                "samples built, frames per scene",
                f"{trial.scenes * POSITIONS:,}, {POSITIONS} | {trial.full_scenes * FULL_POSITIONS}, {FULL_POSITIONS}",
            ),
            ("samples built per second", both("build", "sets_per_second", ".2f")),
            ("the same, seconds per megapixel", " | ".join(f"{value:.3f}" for value in per_megapixel)),
        ]
    add("build", "bytes per sample, scene folders", "bytes_per_set", ",.0f")
    add("shards", "bytes per sample, shards", "bytes_per_set", ",.0f")
    add("build", "bytes of a scene over those of its frames", "bytes_over_frames", ".3f")
    add("shards", "samples written to shards per second", "sets_per_second", ".1f")
    add("sampled", "crops per second, scenes, 4 GB cache", "scenes_4000_mb", ".1f")
    add("sampled", "crops per second, scenes, no cache", "scenes_1_mb", ".1f")
    add("sampled", "crops per second, shards", "shards", ".1f")
    add("consumed", "crops per second, training step of the network", "images_per_second", ".1f")
    add("build", "memory of the build, MiB", "memory_mb", ".0f")
    lines = ["| goal | measured | met |", "|---|---|---|"]
    lines += [f"| {words} | {measured} | {'yes' if met else 'no'} |" for words, measured, met in goals]
    lines += ["", f"| | {REDUCED[1]} x {REDUCED[0]} | {FULL[1]} x {FULL[0]} |", "|---|---|---|"]
    lines += [f"| {words} | {cells} |" for words, cells in rows]
    whole = 100_000
    lines += ["", f"| {whole:,} samples of {FULL[1]} x {FULL[0]}, extrapolated from the right column | |", "|---|---|"]
    if "full_sets" in f.get("build", {}):
        b = f["build"]
        frame = b["full_bytes_per_set"] / b["full_bytes_over_frames"]
        # other files of a scene are shared by as many frames as in ALL-in-3D
        of_200 = frame + (b["full_bytes_per_set"] - frame) * FULL_POSITIONS / POSITIONS
        lines += [
            f"| built on one core in | {whole / b['full_sets_per_second'] / 3600:.0f} hours |",
            f"| scene folders | {whole * of_200 / 1e12:.2f} TB |",
            f"| bytes of a scene of {POSITIONS} frames over those of its frames | {of_200 / frame:.3f} |",
        ]
    if "full_sets_per_second" in f.get("shards", {}):
        lines += [
            f"| shards | {whole * f['shards']['full_bytes_per_set'] / 1e12:.2f} TB |",
            f"| shards written on one core in | {whole / f['shards']['full_sets_per_second'] / 3600:.0f} hours |",
        ]
    if "opened" in f or "trained" in f:
        lines += ["", "| | scenes | shards |", "|---|---|---|"]
    if "opened" in f:
        o = f["opened"]
        lines += [
            f"| opening, s | {o['open_seconds']:.2f} | {o['shards_open_seconds']:.3f} |",
            f"| the same, processor time, s | {o['open_processor_seconds']:.2f} "
            f"| {o['shards_open_processor_seconds']:.3f} |",
            f"| first batch, s | {o['first_batch_seconds']:.2f} | {o['shards_first_batch_seconds']:.2f} |",
            f"| the same, processor time, s | {o['first_batch_processor_seconds']:.2f} "
            f"| {o['shards_first_batch_processor_seconds']:.2f} |",
        ]
    if "trained" in f:
        t = f["trained"]
        lines += [
            f"| {trial.steps} steps of 8 crops, s | {t['scenes_seconds']:.0f} | {t['shards_seconds']:.0f} |",
            f"| first and last loss of the log | {t['scenes_loss_first']:.2f}, {t['scenes_loss_last']:.2f} "
            f"| {t['shards_loss_first']:.2f}, {t['shards_loss_last']:.2f} |",
            f"| ordinal accuracy of defocus, held-out scenes | {t['scenes_order_of_defocus']:.3f} "
            f"| {t['shards_order_of_defocus']:.3f} |",
        ]
    memory = ", ".join(f"{f[name]['memory_mb']:.0f} ({name})" for name in STAGES if "memory_mb" in f.get(name, {}))
    if memory:
        lines += ["", f"Peak memory by stage, MiB, without loader processes: {memory}."]
    missing = [name for name in STAGES if name not in f]
    if missing:
        lines += ["", f"Not measured yet: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run unfinished stages, print, and write the tables to the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of measured shapes and photos"
    )
    parser.add_argument("--work", type=Path, default=Path("work/scale"), help="folder for all outputs")
    parser.add_argument("--scenes", type=int, default=SCENES, help="number of scenes of reduced size")
    parser.add_argument("--full-scenes", type=int, default=FULL_SCENES, help="number of scenes of full size")
    parser.add_argument("--steps", type=int, default=STEPS, help="training steps")
    parser.add_argument("--seconds", type=float, default=8.0, help="processor time for measuring a rate")
    parser.add_argument("-o", "--out", type=Path, help="page whose tables are replaced")
    parser.add_argument("--stage", choices=STAGES, help="run only this stage, in this process")
    parser.add_argument("--page", action="store_true", help="only write the tables of finished stages")
    options = parser.parse_args()
    data, work = options.data.resolve(), options.work.resolve()
    trial = Trial(data, work, options.scenes, options.full_scenes, options.steps, options.seconds)
    if options.stage is not None:
        figures = STAGES[options.stage](trial)
        atomic_write_text(trial.work / f"{options.stage}.json", json.dumps(figures, indent=1))
        return 0
    trial.work.mkdir(parents=True, exist_ok=True)
    for name in STAGES:
        if not options.page and not (trial.work / f"{name}.json").is_file():
            again = [sys.executable, "-m", "benchmarks.scale_trial", *sys.argv[1:], "--stage", name]
            subprocess.run(again, check=True, env={**os.environ, **THREADS})
    done = {name: trial.work / f"{name}.json" for name in STAGES}
    figures = {name: json.loads(path.read_text()) for name, path in done.items() if path.is_file()}
    show_table(table(figures, trial), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The commands that are killed, each with an input that takes a second or two, and their invariants after a kill."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.reliability.files import Files, byte_differences, files_of
from benchmarks.reliability.killed import in_child, run
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load
from tests.support.made_focal_stack import made_stack, textured, write_made_stack
from tests.support.made_scenes import make_scene

from mddnet.config import Recipe, recipe_toml

LOSS_TOLERANCE = 1e-5
WEIGHTS_TOLERANCE = 1e-5
FORMATS = "tiff,png,npy,mask,ply"


def _made(work: Path, make: Callable[[], None]) -> None:
    """Create inputs in a child process, since forked children do not have the threads of OpenCV."""

    def in_it() -> int:
        make()
        return 0

    outcome = in_child(in_it, work / "inputs.log")
    if outcome.code != 0:
        raise RuntimeError(f"the inputs could not be created, see {work / 'inputs.log'}")


def _copied(source: Path, out: Path) -> None:
    shutil.copytree(source, out)


@dataclass
class Predict:
    """A folder of photos, from nothing and over results of other formats and another lens."""

    work: Path
    count: int = 8
    name: str = "predict"
    starts: Sequence[str] = ("nothing", "other results")

    def __post_init__(self) -> None:
        self.photos = self.work / "photos"
        self.before = self.work / "results before"
        _made(self.work, self._make_photos)
        code = run(
            [
                *("predict", str(self.photos), "-o", str(self.before), "--threads", "1"),
                *("--focal-mm", "50", "--f-number", "2", "--pixel-um", "30", "--focus-m", "1"),
            ],
            self.work / "predict.log",
        ).code
        if code != 0:
            raise RuntimeError(f"predict ended with {code}")
        self.earlier = files_of(self.before)

    def _make_photos(self) -> None:
        self.photos.mkdir()
        for i in range(self.count):
            Image.fromarray(textured(96, 128, seed=i)).save(self.photos / f"photo_{i}.png")

    def prepare(self, out: Path, start: str) -> None:
        """Nothing, or what an earlier command left."""
        if start == "other results":
            _copied(self.before, out)

    def arguments(self, out: Path) -> list[str]:
        """The command line."""
        return ["predict", str(self.photos), "-o", str(out), "--threads", "1", "--resume", "--formats", FORMATS]

    def whole(self, out: Path, start: str, finished: Files) -> list[str]:
        """Results that call themselves complete are those of the one command or of the other, all of them."""
        from mddnet.predict.output import read_facts

        faults, found = [], files_of(out)
        for path in sorted(out.glob("*.json")):
            facts = read_facts(path)
            if facts is None:
                faults.append(f"{path.name} is no facts file")
            elif path.name not in finished:
                faults.append(f"{path.name} is of no photo")
            elif facts.complete:
                mine = {n: c for n, c in found.items() if n.startswith(f"{path.stem}.")}
                of = [{n: c for n, c in w.items() if n.startswith(f"{path.stem}.")} for w in (finished, self.earlier)]
                if mine not in of[: 1 if start == "nothing" else 2]:
                    faults.append(f"{path.name} says that it is complete, and its files are not")
        return faults

    def differences(self, left: Files, finished: Files) -> list[str]:
        """Byte by byte."""
        return byte_differences(left, finished)


@dataclass
class Build:
    """A focal stack and photos, from nothing and over scenes that were drawn with another seed."""

    work: Path
    jobs: int = 1
    count: int = 4
    name: str = "build"
    starts: Sequence[str] = ("nothing", "other scenes")

    def __post_init__(self) -> None:
        self.data = self.work / f"captures {self.jobs}"
        self.before = self.work / f"scenes before {self.jobs}"
        _made(self.work, self._make_captures)
        code = run(["build", str(self.data), "-o", str(self.before), "--seed", "1"], self.work / "build.log").code
        if code != 0:
            raise RuntimeError(f"build ended with {code}")
        self.earlier = files_of(self.before)

    def _make_captures(self) -> None:
        write_made_stack(
            self.data / "captures" / "focal_stacks" / "slabs", made_stack(5.0 * np.arange(7), 60, 90).frames
        )
        (self.data / "photos").mkdir()
        lines = ["file,source,licence"]
        for i in range(self.count):
            Image.fromarray(textured(72, 96, seed=i)).save(self.data / "photos" / f"p{i}.jpg", quality=95)
            lines.append(f"photos/p{i}.jpg,made,none")
        (self.data / "photos" / "manifest.csv").write_text("\n".join(lines) + "\n")

    def prepare(self, out: Path, start: str) -> None:
        """Nothing, or what an earlier command left."""
        if start == "other scenes":
            _copied(self.before, out)

    def arguments(self, out: Path) -> list[str]:
        """The command line."""
        return ["build", str(self.data), "-o", str(out), "-j", str(self.jobs)]

    def whole(self, out: Path, start: str, finished: Files) -> list[str]:
        """Every folder of scenes in place is the one scene or the other, all of its files."""
        faults, found = [], files_of(out)
        for folder in sorted(path for path in out.glob("[!.]*/*") if path.is_dir()):
            scene = folder.relative_to(out).as_posix()
            mine = {n: c for n, c in found.items() if n.startswith(f"{scene}/")}
            of = [{n: c for n, c in w.items() if n.startswith(f"{scene}/")} for w in (finished, self.earlier)]
            if mine not in of[: 1 if start == "nothing" else 2]:
                faults.append(f"{scene} is no whole scene")
        return faults

    def differences(self, left: Files, finished: Files) -> list[str]:
        """Byte by byte."""
        return byte_differences(left, finished)


@dataclass
class Shards:
    """Shards of scenes, from nothing and over those of other scenes."""

    work: Path
    name: str = "shards"
    starts: Sequence[str] = ("nothing", "other shards")

    def __post_init__(self) -> None:
        self.scenes, self.others = self.work / "scenes to pack", self.work / "other scenes to pack"
        self.before = self.work / "shards before"
        _made(self.work, self._make_scenes)
        if (code := run(["shards", str(self.others), "-o", str(self.before), *self._split()], self._log()).code) != 0:
            raise RuntimeError(f"shards ended with {code}")
        self.earlier = files_of(self.before)

    def _log(self) -> Path:
        return self.work / "shards.log"

    def _split(self) -> list[str]:
        return ["--split", str(self.work / "split of shards.csv"), "--shard-mb", "1"]

    def _make_scenes(self) -> None:
        for root, count, first in ((self.scenes, 8, 0), (self.others, 12, 100)):
            for i in range(count):
                make_scene(root, "focal_stacks", f"s{i}", f"place_{i}", first + i, size=(192, 256))
        lines = [f"place_{i},{'dev' if i < 2 else 'train'}" for i in range(12)]
        (self.work / "split of shards.csv").write_text("\n".join(["place,split", *lines]) + "\n")

    def prepare(self, out: Path, start: str) -> None:
        """Nothing, or what an earlier command left."""
        if start == "other shards":
            _copied(self.before, out)

    def arguments(self, out: Path) -> list[str]:
        """The command line."""
        return ["shards", str(self.scenes), "-o", str(out), *self._split()]

    def whole(self, out: Path, start: str, finished: Files) -> list[str]:
        """Every shard is the one or the other; checksums are there only with all that they sum up."""
        found = files_of(out)
        faults = [
            f"{name} is no whole shard"
            for name, content in found.items()
            if name.endswith(".tar") and "/" not in name and content not in (finished.get(name), self.earlier.get(name))
        ]
        for line in found.get("SHA256SUMS", b"").decode().splitlines():
            digest, name = line.split("  ")
            if hashlib.sha256(found.get(name, b"")).hexdigest() != digest:
                faults.append(f"SHA256SUMS does not hold for {name}")
        return faults

    def differences(self, left: Files, finished: Files) -> list[str]:
        """Byte by byte."""
        return byte_differences(left, finished)


def write_recipe(work: Path) -> Path:
    """A small network and twelve steps; saved, logged and measured at different steps. Its scenes are made, too."""
    root, split, recipe = work / "scenes to train on", work / "split.csv", work / "recipe.toml"
    for i in range(3):
        make_scene(root, "focal_stacks", f"s{i}", f"place_{i}", i)
    split.write_text("place,split\nplace_0,train\nplace_1,train\nplace_2,dev\n")
    table = {
        "model": {"encoder": "mobilenetv3_small_050", "pretrained": False, "decoder_channels": [16, 16, 16]},
        "data": {
            "scenes": root,
            "split": split,
            "crop": [64, 64],
            "batch_size": 2,
            "workers": 1,
            "late_crop": [64, 64],
            "mixture": {"focal_stacks": 1.0},
        },
        "optim": {"steps": 12, "warmup_steps": 1},
        "train": {"log_every": 4, "save_every": 3, "validate_every": 5, "threads": 1},
    }
    recipe.write_text(recipe_toml(Recipe.model_validate({"name": "killed", **table})), encoding="utf-8")
    return recipe


@dataclass
class Train:
    """A recipe of a dozen steps, saved, logged and measured at different steps."""

    work: Path
    name: str = "train"
    starts: Sequence[str] = ("nothing",)

    def __post_init__(self) -> None:
        self.recipe = self.work / "recipe.toml"
        self.largest_loss_difference = 0.0
        self.largest_weight_difference = 0.0
        _made(self.work, self._make_scenes)

    def _make_scenes(self) -> None:
        write_recipe(self.work)

    def prepare(self, out: Path, start: str) -> None:
        """Nothing."""

    def arguments(self, out: Path) -> list[str]:
        """The command line."""
        return ["train", str(self.recipe), "--accelerator", "cpu", "--set", f"train.out={out}"]

    def whole(self, out: Path, start: str, finished: Files) -> list[str]:
        """Checkpoint and log can be read; a model that has its configuration has its weights."""
        faults = []
        if (out / "checkpoint.safetensors").exists():
            try:
                with safe_open(out / "checkpoint.safetensors", framework="numpy") as file:
                    for name in file.keys():  # noqa: SIM118 (no iterator)
                        file.get_tensor(name)
            except SafetensorError as error:
                faults.append(f"checkpoint: {error}")
        if (out / "log.csv").exists() and not (out / "log.csv").read_bytes().endswith(b"\n"):
            faults.append("log.csv ends in the middle of a line")
        if (out / "model" / "config.json").exists():
            json.loads((out / "model" / "config.json").read_bytes())
            left = (out / "model" / "model.safetensors").read_bytes()
            faults += self._weights(left, finished["model/model.safetensors"])
        return faults

    def _weights(self, left: bytes, finished: bytes) -> list[str]:
        one, other = load(left), load(finished)
        if one.keys() != other.keys():
            return ["the weights have other names"]
        largest = max(float(np.abs(one[n].astype(np.float64) - other[n].astype(np.float64)).max()) for n in other)
        self.largest_weight_difference = max(self.largest_weight_difference, largest)
        return [f"weights differ by {largest:.3g}"] if largest > WEIGHTS_TOLERANCE else []

    def differences(self, left: Files, finished: Files) -> list[str]:
        """The same files; the loss curve and the weights within their tolerances."""
        # TensorBoard begins a file of events at every start.
        names, wanted = ({n for n in files if not n.startswith("tensorboard/")} for files in (left, finished))
        faults = [f"{name} is {'missing' if name in wanted else 'too many'}" for name in sorted(names ^ wanted)]
        if faults:
            return faults
        one, other = (list(csv.DictReader(io.StringIO(files["log.csv"].decode()))) for files in (left, finished))
        if [row["step"] for row in one] != [row["step"] for row in other]:
            return ["log.csv has other steps"]
        for mine, whole in zip(one, other, strict=True):
            for name in whole:
                if (mine[name] == "") != (whole[name] == ""):
                    faults.append(f"log.csv, step {whole['step']}: {name} is {mine[name]!r}, not {whole[name]!r}")
                elif whole[name] != "":
                    difference = abs(float(mine[name]) - float(whole[name]))
                    self.largest_loss_difference = max(self.largest_loss_difference, difference)
                    if difference > LOSS_TOLERANCE:
                        faults.append(f"log.csv, step {whole['step']}: {name} differs by {difference:.3g}")
        faults += self._weights(left["model/model.safetensors"], finished["model/model.safetensors"])
        others = wanted - {"log.csv", "model/model.safetensors", "checkpoint.safetensors"}
        return faults + byte_differences({n: left[n] for n in others}, {n: finished[n] for n in others})

"""Make a recipe for a folder of scenes: held-out locations, and settings derived from the scenes."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mddnet.config import CROP_MULTIPLE, DEFAULT_MIXTURE, DISCS, ModelConfig, Recipe, recipe_from_table, recipe_toml
from mddnet.cores import usable_cores
from mddnet.data.loader import SYNTHETIC
from mddnet.data.scene_pool import by_split
from mddnet.data.split import read_split, split_of
from mddnet.errors import CaptureError, RecipeError, TrainingError
from mddnet.io.atomic import atomic_write_text, write_csv
from mddnet.kinds import REAL_KINDS
from mddnet.model.folder import WEIGHTS_FILE, model_folder, shipped_models
from mddnet.scenes.build_tables import read_table
from mddnet.train.data_check import CheckedScene, DataCheck, input_scale
from mddnet.train.record import CHECKPOINT
from mddnet.train.scenes import Scenes
from mddnet.types import Split

HELD_OUT_SHARE = 0.2
BATCH_SIZE = 8
LARGEST_CROP_PX = 256
VALIDATIONS, PATIENCE = 15, 5  # validations during the run, and those without improvement that end it
FROM_SCRATCH = {"lr": 1e-3, "encoder_lr": 3e-4}
FINE_TUNING = {"lr": 2e-4, "encoder_lr": 5e-5}
SPLIT, SCENES, RECIPE = "split.csv", "scenes.csv", "recipe.toml"
FLAG_OF_KEY = {"data.scenes": "--data", "data.split": "--split", "train.out": "-o", "train.start_from": "--from"}


def split_by_location(scenes: Sequence[CheckedScene]) -> dict[str, Split]:
    """Hold out a fifth of the locations, at least one where there are two.

    The choice depends on their names, so that it does not change when others are added. Real captures are preferred,
    and a location with more than half of all frames is held out only if there is no other. Photos with synthetic depth
    have no location.
    """
    frames: Counter[str] = Counter()
    real: set[str] = set()
    for scene in scenes:
        location = scene.entry.record.location
        if split_of(location, {}) is None:
            frames[location] += len(scene.entry.record.frames)
            if scene.entry.group in REAL_KINDS:
                real.add(location)

    def order(location: str) -> tuple[bool, bool, str]:
        digest = hashlib.sha256(location.encode()).hexdigest()
        return 2 * frames[location] > frames.total(), location not in real, digest

    count = max(1, round(HELD_OUT_SHARE * len(frames))) if len(frames) > 1 else 0
    held_out = set(sorted(frames, key=order)[:count])
    return {location: "dev" if location in held_out else "train" for location in sorted(frames)}


def scenes_by_split(check: DataCheck, locations: Mapping[str, Split]) -> Scenes:
    """The scenes to train and to validate on.

    CaptureError for a location that the split does not list, or if no scene is left for training.
    """
    found = by_split((scene.entry for scene in check.scenes), locations)
    if not found["train"]:
        raise CaptureError(f"{check.root}: no scene in the train split")
    real = [entry for entry in found["dev"] if entry.group in REAL_KINDS]
    return Scenes(found["train"], real or found["dev"])


def find_split(check: DataCheck, file: Path | None) -> tuple[dict[str, Split], str]:
    """The split of a folder of scenes, and its origin: the given file, split.csv in the folder, or a new split."""
    chosen = file or check.root / SPLIT
    if file is None and not chosen.is_file():
        return split_by_location(check.scenes), "new, by the names of the locations"
    return read_split(chosen), str(chosen)


def default_steps(frames: int, fine_tuning: bool) -> int:
    """Training steps by the number of focused frames; with few frames a network overfits early."""
    per_frame, low, high = (8, 300, 1500) if fine_tuning else (40, 2000, 6000)
    return min(max(per_frame * frames, low), high)


def make_recipe(
    check: DataCheck,
    scenes: Scenes,
    model: ModelConfig,
    out: Path,
    start: Path | None = None,
    steps: int | None = None,
    overrides: Sequence[str] = (),
) -> Recipe:
    """Make a recipe with settings derived from the scenes, for a run in ``out`` that starts from the model ``start``.

    ``steps`` and ``overrides``, each ``section.key=value``, replace derived settings. RecipeError for an invalid
    override, or one for which the command line has a flag.
    """
    for override in overrides:
        flag = FLAG_OF_KEY.get(override.partition("=")[0].strip())
        if flag is not None:
            raise RecipeError(f"--set {override}: expected another setting; with --data, use {flag} for this one")
    total = steps or default_steps(sum(len(entry.record.frames) for entry in scenes.train), start is not None)
    photos = any(entry.record.capture == SYNTHETIC for entry in scenes.train)
    cores = usable_cores()
    train: dict[str, Any] = {
        "out": str(out),
        "save_every": 50,
        "validate_every": math.ceil(total / VALIDATIONS) if scenes.held_out else 0,
        "patience": PATIENCE if scenes.held_out else 0,
        "threads": min(cores, 8),
    }
    if start is not None:
        train["start_from"] = str(start)
    rates = FROM_SCRATCH if start is None else FINE_TUNING
    table: dict[str, Any] = {
        "name": re.sub(r"[^A-Za-z0-9_.-]+", "-", out.resolve().name).strip("-_.") or "own",
        "description": f"Trained by `mddnet train --data {check.root}`.",
        "model": model.model_dump(mode="json"),
        "data": _data_table(check, scenes, out, cores, photos),
        "optim": {**rates, "weight_decay": 0.05, "warmup_steps": min(200, total // 10), "steps": total},
        "train": train,
    }
    return recipe_from_table(table, "the settings for " + str(check.root), overrides)


def _data_table(check: DataCheck, scenes: Scenes, out: Path, cores: int, photos: bool) -> dict[str, Any]:
    """The ``[data]`` of the recipe: crops as large as the scenes allow, at about the scale of prediction."""
    folders = {entry.folder for entry in scenes.train}
    sizes = [(scene.height, scene.width) for scene in check.scenes if scene.entry.folder in folders]
    scale = float(np.median([input_scale(*size) for size in sizes]))
    short_side = float(np.median([min(size) for size in sizes])) * scale
    crop = min(max(int(short_side) // CROP_MULTIPLE * CROP_MULTIPLE, 2 * CROP_MULTIPLE), LARGEST_CROP_PX)
    workers = min(max(cores - 1, 1), 4)
    kinds = {entry.group for entry in scenes.train} | ({DISCS} if photos else set())
    return {
        "scenes": str(check.root),
        "split": str(out / SPLIT),
        "crop": [crop, crop],
        "late_crop": [crop, crop],
        "batch_size": BATCH_SIZE,
        "workers": workers,
        "cache_mb": 4000 // workers,
        "mixture": {name: share for name, share in DEFAULT_MIXTURE.model_dump().items() if name in kinds},
    }


def write_run_files(check: DataCheck, split: Mapping[str, Split], recipe: Recipe) -> None:
    """Write split.csv, scenes.csv (split and blur of every scene, or why it was rejected) and recipe.toml.

    TrainingError if a run was started there on other scenes or with another split.
    """
    out = recipe.train.out
    used = {scene.name: split_of(scene.entry.record.location, split) or "" for scene in check.scenes}
    if (out / CHECKPOINT).exists():
        before = {row.get("scene", ""): row["split"] for row in read_table(out / SCENES) if row["split"]}
        if before and before != used:
            raise TrainingError(
                f"{out}: its run was started on {len(before)} scenes of {check.root}, and scenes or split have changed "
                f"({len(used)} scenes); choose another -o, or remove the folder to restart"
            )
    out.mkdir(parents=True, exist_ok=True)
    blur = ("coc_px_low", "coc_px_median", "coc_px_high")
    rows = [
        {"scene": scene.name, "place": scene.entry.record.location, "split": used[scene.name]}
        | {name: f"{value:.2f}" for name, value in zip(blur, scene.coc_px, strict=True)}
        for scene in check.scenes
    ]
    rows += [{"scene": rejection.name, "left_out": rejection.reason} for rejection in check.rejected]
    write_csv(out / SCENES, ("scene", "place", "split", *blur, "left_out"), rows)
    locations = [{"place": location, "split": part} for location, part in split.items()]
    write_csv(out / SPLIT, ("place", "split"), locations)
    atomic_write_text(out / RECIPE, recipe_toml(recipe))


def start_folder(reference: str | os.PathLike[str]) -> Path:
    """Find the model to start from, a folder or .zip, by a reference as for ``mddnet.load`` or the folder of a run.

    RecipeError if it has no weights for further training; ModelError if there is no such model.
    """
    run = Path(reference) / "model"
    in_run = reference not in shipped_models() and (run / WEIGHTS_FILE).is_file()
    folder = run if in_run else model_folder(reference, weights=True)
    if not (folder / WEIGHTS_FILE).is_file():
        raise RecipeError(
            f"--from {os.fspath(reference)}: has no weights for training ({WEIGHTS_FILE}); expected a shipped model, a "
            "model with that file, or the folder of a run"
        )
    # the unpacked folder of an archive does not exist any more when the run is resumed later
    return Path(reference) if Path(reference).is_file() and Path(reference).suffix.lower() == ".zip" else folder

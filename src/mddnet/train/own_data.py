"""A recipe for a folder of scenes: which locations to hold out, and settings that follow from what the scenes are."""

from __future__ import annotations

import csv
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
from mddnet.data.scene_pool import SceneEntry
from mddnet.data.split import read_split, split_of
from mddnet.errors import CaptureError, RecipeError, TrainingError
from mddnet.io.atomic import atomic_write_text, write_csv
from mddnet.kinds import REAL_KINDS
from mddnet.model.folder import WEIGHTS_FILE, model_folder, shipped_models
from mddnet.train.data_check import CheckedScene, DataCheck, input_scale
from mddnet.train.record import CHECKPOINT
from mddnet.train.scenes import Scenes
from mddnet.types import Split

HELD_OUT_SHARE = 0.2
BATCH_SIZE = 8
LARGEST_CROP_PX = 256
ZOOM = (0.4, 1.1)
"""Range of the sizes at which a scene is shown in training, over that at which prediction shows it."""
MEASUREMENTS, PATIENCE = 15, 5
"""Measurements on the held-out locations over the whole run, and how many without a better one end it."""
FROM_SCRATCH = {"lr": 1e-3, "encoder_lr": 3e-4}
FINE_TUNING = {"lr": 2e-4, "encoder_lr": 5e-5}
SPLIT, SCENES, RECIPE = "split.csv", "scenes.csv", "recipe.toml"
FLAG_OF_KEY = {"data.scenes": "--data", "data.split": "--split", "train.out": "-o", "train.start_from": "--from"}


def split_by_location(scenes: Sequence[CheckedScene]) -> dict[str, Split]:
    """Hold out a fifth of the locations, at least one where there are two.

    Which ones follows from their names, so that a location stays on its side when others are added. Real captures are
    preferred, and a location that holds more than half of all frames is held out only where nothing else is left.
    Photos with a synthetic depth have no location.
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


def scenes_by_split(check: DataCheck, split: Mapping[str, Split]) -> Scenes:
    """The scenes to train on and to measure on.

    Raises:
        CaptureError: for a location that the split does not name, or if nothing is left to train on.
    """
    sides: dict[Split, list[SceneEntry]] = {"train": [], "dev": [], "calib": []}
    for scene in check.scenes:
        location = scene.entry.record.location
        side = split_of(location, split)
        if side is None:
            raise CaptureError(
                f"{scene.name}: location {location!r} is not in the split; add a line `{location},train`"
            )
        sides[side].append(scene.entry)
    if not sides["train"]:
        raise CaptureError(f"{check.root}: no scene on the train side of the split")
    real = [entry for entry in sides["dev"] if entry.group in REAL_KINDS]
    return Scenes(sides["train"], real or sides["dev"])


def find_split(check: DataCheck, file: Path | None) -> tuple[dict[str, Split], str]:
    """The split of a folder of scenes, and where it comes from: a file that is named, split.csv in it, or made here."""
    beside = check.root / SPLIT
    if file is None and not beside.is_file():
        return split_by_location(check.scenes), "made here, by the names of the locations"
    chosen = file or beside
    return read_split(chosen), str(chosen)


def default_steps(frames: int, fine_tuning: bool) -> int:
    """Steps of a run by the number of focused frames to train on: a network soon overfits to few frames."""
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
    """A recipe whose settings follow from the scenes.

    Args:
        check: what the folder holds.
        scenes: its sides.
        model: the network.
        out: folder of the run; its split.csv will be the recipe's split.
        start: model folder to start from, or None.
        steps: steps of the run; None goes by the number of frames.
        overrides: settings that replace these, each ``section.key=value``.

    Raises:
        RecipeError: for an override that is wrong, or that a flag of the command line says.
    """
    for override in overrides:
        flag = FLAG_OF_KEY.get(override.partition("=")[0].strip())
        if flag is not None:
            raise RecipeError(f"--set {override}: with --data that is said by {flag}")
    total = steps or default_steps(sum(len(entry.record.frames) for entry in scenes.train), start is not None)
    photos = any(entry.record.capture == SYNTHETIC for entry in scenes.train)
    cores = usable_cores()
    train: dict[str, Any] = {
        "out": str(out),
        "save_every": 50,
        "validate_every": math.ceil(total / MEASUREMENTS) if scenes.held_out else 0,
        "patience": PATIENCE if scenes.held_out else 0,
        "threads": min(cores, 8),
    }
    if start is not None:
        # Without sharp photos the curve cannot be fitted; the network then learns through it.
        train |= {"start_from": str(start), "keep_curve": not photos}
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
    """The ``[data]`` of the recipe: crops as large as the scenes allow, shown about as large as in prediction."""
    folders = {entry.folder for entry in scenes.train}
    sizes = [(scene.height, scene.width) for scene in check.scenes if scene.entry.folder in folders]
    scale = float(np.median([input_scale(*size) for size in sizes]))
    short_side = float(np.median([min(size) for size in sizes])) * scale
    side = min(max(int(short_side) // CROP_MULTIPLE * CROP_MULTIPLE, 2 * CROP_MULTIPLE), LARGEST_CROP_PX)
    workers = min(max(cores - 1, 1), 4)
    kinds = {entry.group for entry in scenes.train} | ({DISCS} if photos else set())
    return {
        "scenes": str(check.root),
        "split": str(out / SPLIT),
        "crop": [side, side],
        "batch_size": BATCH_SIZE,
        "workers": workers,
        "scale_range": [round(factor * scale, 3) for factor in ZOOM],
        "photometric": 0.5,
        "cache_mb": 4000 // workers,
        "mixture": {name: share for name, share in DEFAULT_MIXTURE.model_dump().items() if name in kinds},
    }


def write_run_files(check: DataCheck, split: Mapping[str, Split], recipe: Recipe) -> None:
    """Write split.csv, scenes.csv (every scene, its side, its blur, or why it is left out) and recipe.toml.

    Raises:
        TrainingError: if a run was begun there on other scenes, or on others of them.
    """
    out = recipe.train.out
    used = {scene.name: split_of(scene.entry.record.location, split) or "" for scene in check.scenes}
    if (out / CHECKPOINT).exists():
        before = _used_before(out / SCENES)
        if before is not None and before != used:
            raise TrainingError(
                f"{out}: its run was begun on {len(before)} scenes of {check.root}, and now these or their split are "
                f"others ({len(used)} scenes); choose another -o, or remove the folder to start anew"
            )
    out.mkdir(parents=True, exist_ok=True)
    blur = ("coc_px_low", "coc_px_median", "coc_px_high")
    rows = [
        {"scene": scene.name, "place": scene.entry.record.location, "split": used[scene.name]}
        | {name: f"{value:.2f}" for name, value in zip(blur, scene.coc_px, strict=True)}
        for scene in check.scenes
    ]
    rows += [{"scene": left_out.name, "left_out": left_out.reason} for left_out in check.rejected]
    write_csv(out / SCENES, ("scene", "place", "split", *blur, "left_out"), rows)
    locations = [{"place": location, "split": side} for location, side in split.items()]
    write_csv(out / SPLIT, ("place", "split"), locations)
    atomic_write_text(out / RECIPE, recipe_toml(recipe))


def _used_before(path: Path) -> dict[str, str] | None:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["scene"]: row["split"] for row in csv.DictReader(file) if row["split"]}
    except (OSError, KeyError, csv.Error):
        return None


def start_folder(reference: str | os.PathLike[str]) -> Path:
    """Where the weights to start from lie: a model folder, or a .zip of one.

    Args:
        reference: a model as ``mddnet.load`` takes it, or the folder of a run, which holds one.

    Raises:
        RecipeError: if it holds no weights to go on from.
        ModelError: if there is no such model.
    """
    run = Path(reference) / "model"
    in_run = reference not in shipped_models() and (run / WEIGHTS_FILE).is_file()
    folder = run if in_run else model_folder(reference, weights=True)
    if not (folder / WEIGHTS_FILE).is_file():
        raise RecipeError(
            f"--from {os.fspath(reference)}: has no weights to go on from ({WEIGHTS_FILE}); expected a shipped model, "
            "a model with that file, or the folder of a run"
        )
    # what an archive was unpacked to is gone when the run goes on another day
    return Path(reference) if Path(reference).is_file() and Path(reference).suffix.lower() == ".zip" else folder

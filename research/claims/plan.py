"""The plan of the study: rows that differ as their names state, folds of locations, and the order of the runs.

A row is trained once for each fold, without the locations of that fold and with the number of the fold as seed, and is
measured on them. Within a fold all rows have the same encoder, scenes, batches, steps and seed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mddnet.config import Recipe
from mddnet.data.scene_pool import SceneEntry
from mddnet.types import FrameRecord, Split

FOLDS = 3
STACKS, VIEWS, RIGS = "focal_stacks", "views", "rigs"
DEALT = (STACKS, "light_fields", "rgbd", "stereo")
"""Kinds whose train and dev locations are divided into the folds. Of rendered views only the dev locations are: no row
is trained on those."""
MIXTURE = {STACKS: 0.28, "light_fields": 0.05, "rgbd": 0.15, "stereo": 0.15, VIEWS: 0.37}
"""Kinds with depth and CoC for every sample, so that a row of one task learns from every one, too."""
SHARP_SHARE = 0.15
DEPTH, DEFOCUS, TWO, SOFT, LAW, FULL, FUSED = "depth", "defocus", "two", "soft", "law", "full", "fused"
REAL, RENDERED, HALF = "real", "rendered", "half"

_NO_DEPTH = {"depth": 0.0, "depth_gradient": 0.0, "ranking": 0.0}
_NO_DEFOCUS = {"defocus": 0.0, "defocus_gradient": 0.0}
_THIRD = {"depth": 0.33, "depth_gradient": 0.17, "ranking": 0.33}
_NO_UNCERTAINTY = {"depth_uncertainty": 0.0, "defocus_uncertainty": 0.0}
_ALONE = {"sign": 0.0, "lens_law": 0.0, "camera": 0.0, **_NO_UNCERTAINTY}
_FULL: tuple[Mapping[str, Any], Mapping[str, float]] = (
    {"soft_connection": True, "sign": True, "camera": True},
    {"sign": 1.0, "lens_law": 0.2, "depth_uncertainty": 0.1, "defocus_uncertainty": 0.1, "camera": 0.3},
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the tables."""

    name: str  # for file names
    title: str  # for tables
    model: Mapping[str, Any]  # changes of [model] of two decoders alone
    loss: Mapping[str, float]  # changes of [loss]
    change: str = ""  # of research.claims.variants.CHANGES
    frames: str = ""  # "real", "rendered" or "half" of the focal stacks alone; all scenes if empty


LADDER = (
    Row(DEPTH, "depth alone", {"tasks": "depth"}, _NO_DEFOCUS),
    Row(DEFOCUS, "defocus alone", {"tasks": "defocus"}, _NO_DEPTH),
    Row(TWO, "two decoders on one encoder", {}, {}),
    Row(SOFT, "+ soft connection", {"soft_connection": True}, {}),
    Row(LAW, "+ lens-law loss", {"soft_connection": True}, {"lens_law": 0.2}),
    Row(FULL, "+ sign, camera and uncertainties (full)", *_FULL),
)
"""Each row from the fourth on adds to the one before it."""
FRAMES = (
    Row(REAL, "real frames", *_FULL, frames=REAL),
    Row(RENDERED, "rendered frames of the same scenes", *_FULL, frames=RENDERED),
    Row(HALF, "half of each", *_FULL, frames=HALF),
)
ABLATIONS = (
    Row("one-way", "soft connection from defocus to depth only", *_FULL, change="one-way"),
    Row("stopped", "no gradient through the soft connection", *_FULL, change="stopped"),
    Row("coarse", "soft connection at stride 16 only", *_FULL, change="coarse"),
    Row("balanced", "depth losses at a third", _FULL[0], {**_FULL[1], **_THIRD}),
    Row("unweighted", "lens-law loss not weighted by uncertainty", _FULL[0], {**_FULL[1], **_NO_UNCERTAINTY}),
)
"""The full network with one change. All are trained for the first fold; the best of them on the inner split (the calib
locations, which are in no fold) is trained for the others, too, and compared once on the held-out locations."""
ROWS = {row.name: row for row in (*LADDER, *FRAMES, *ABLATIONS)}
TITLES = {name: row.title for name, row in ROWS.items()} | {FUSED: "full, maps fused by the lens law at prediction"}


@dataclass(frozen=True, slots=True)
class Effort:
    """The amount of training, the same for all rows; rows of focal stacks alone have half the steps."""

    steps: int = 1500
    batch_size: int = 8
    crop: tuple[int, int] = (192, 256)
    pretrained: bool = True  # encoder


@dataclass(frozen=True, slots=True)
class Run:
    """One training run: a row without the locations of one fold."""

    row: Row
    fold: int

    @property
    def name(self) -> str:
        return f"{self.row.name}-{self.fold}"


ESSENTIAL = FOLDS * (len(LADDER) + 2)
"""Number of runs that the claims need; other methods are measured after them."""


def runs(chosen: str | None = None) -> list[Run]:
    """All runs, the most important first; with ``chosen``, the ablation of this name for all folds, too."""
    first = [Run(ROWS[name], fold) for fold in range(FOLDS) for name in (FULL, DEFOCUS, DEPTH)]
    second = [Run(ROWS[name], fold) for fold in range(FOLDS) for name in (REAL, RENDERED)]
    third = [Run(ROWS[name], fold) for fold in range(FOLDS) for name in (TWO, SOFT, LAW)]
    fourth = [Run(row, 0) for row in ABLATIONS]
    last = [Run(ROWS[chosen], fold) for fold in range(1, FOLDS)] if chosen else []
    assert len(first) + len(second) + len(third) == ESSENTIAL
    return [*first, *second, *third, *fourth, *last, *(Run(ROWS[HALF], fold) for fold in range(FOLDS))]


def recipe(run: Run, effort: Effort, out: Path, groups: Collection[str]) -> Recipe:
    """The recipe of a run with the folder ``out``; shares of kinds without a scene are left out."""
    stacks_only = bool(run.row.frames)
    steps = max(2, effort.steps // 2) if stacks_only else effort.steps
    kinds = (STACKS,) if stacks_only else tuple(kind for kind in MIXTURE if kind in groups)
    return Recipe.model_validate(
        {
            "name": f"claims-{run.name}",
            "model": {
                "pretrained": effort.pretrained,
                "soft_connection": False,
                "sign": False,
                "camera": False,
                **run.row.model,
            },
            "data": {
                "crop": effort.crop,
                "batch_size": effort.batch_size,
                "workers": 0,
                "mixture": {kind: MIXTURE[kind] for kind in kinds},
                "late_share": 0.0,
                "sharp_share": SHARP_SHARE,
                "cache_mb": 1500,
            },
            "loss": {"defocus": 14.0, **_ALONE, **run.row.loss},
            "optim": {"steps": steps, "warmup_steps": steps // 10, "ema": 0.99, "weight_decay": 0.05},
            "train": {"seed": run.fold, "out": out, "threads": 1, "save_every": 100, "validate_every": 0},
        }
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """The scenes of a fold."""

    train: Sequence[SceneEntry]
    outer: Sequence[SceneEntry]  # to report on: of the locations of the fold
    inner: Sequence[SceneEntry]  # to choose by: of the calib locations


def parts(found: Mapping[Split, Sequence[SceneEntry]], fold: int) -> Parts:
    """The scenes of a fold, from those of the split."""
    trained = [entry for entry in found["train"] if entry.group in MIXTURE]
    dev = [entry for entry in found["dev"] if entry.group in MIXTURE]
    dealt = [entry for entry in (*trained, *dev) if entry.group in DEALT] + [e for e in dev if e.group == VIEWS]
    locations: dict[str, list[str]] = {}
    for entry in dealt:
        locations.setdefault(entry.group, []).append(entry.record.location)
    of = folds_of(locations)
    return Parts(
        train=[entry for entry in trained if entry.group == VIEWS]
        + [entry for entry in dealt if entry.group != VIEWS and of[entry.record.location] != fold],
        outer=[entry for entry in dealt if of[entry.record.location] == fold],
        inner=[entry for entry in found["calib"] if entry.group in MIXTURE],
    )


def folds_of(locations: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Fold of every location: those of a kind (the keys) are distributed in turn, sorted by name.

    Neighbours are mostly captures of one camera, so that each fold has some of each.
    """
    return {name: n % FOLDS for names in locations.values() for n, name in enumerate(sorted(set(names)))}


def training_scenes(
    row: Row, train: Sequence[SceneEntry], counterparts: Mapping[str, SceneEntry], frames_per_stack: int
) -> list[SceneEntry]:
    """The training scenes of a row: all, or the real focal stacks, their rendered counterparts, or both.

    ``counterparts`` are by the name of the scene, with ``frames_per_stack`` frames at most; so have the real ones.
    """
    if not row.frames:
        return list(train)
    stacks = [entry for entry in train if entry.record.name in counterparts]
    real = [
        replace(entry, record=replace(entry.record, frames=evenly_spaced_frames(entry.record.frames, frames_per_stack)))
        for entry in stacks
    ]
    rendered = [counterparts[entry.record.name] for entry in stacks]
    return {REAL: real, RENDERED: rendered, HALF: [*real, *rendered]}[row.frames]


def evenly_spaced_frames(frames: Sequence[FrameRecord], count: int) -> list[FrameRecord]:
    """Evenly spaced frames of a stack, including both ends."""
    if len(frames) <= count:
        return list(frames)
    return [frames[round(i * (len(frames) - 1) / (count - 1))] for i in range(count)]

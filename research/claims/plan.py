"""The plan of the study: the ladder from one task to the full network, and real against rendered blur.

The locations of each kind are divided into three folds. Every row is trained three times, each time without one fold
and with another seed, and evaluated on that fold. Rows differ only as their names state: encoder, width of the
decoders, data, order of the data, steps and seed are the same.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mddnet.config import Recipe
from mddnet.data.scene_pool import SceneEntry
from mddnet.types import FrameRecord

FOLDS = 3
PHOTOS = "photos"
"""Sharp photos with synthetic depth: they are not used for evaluation, so every fold trains on them."""
SINGLE_DEPTH, SINGLE_DEFOCUS, TWO, SOFT, LAW, FULL = "depth", "defocus", "two", "soft", "law", "full"
REAL, RENDERED, BOTH = "real", "rendered", "both"
LONG = "-long"
TIMES_AS_LONG = 3

_MODEL: dict[str, Any] = {
    "encoder": "tf_efficientnet_lite0",
    "soft_connection": False,
    "sign": False,
    "camera": False,
}
_LOSS: dict[str, float] = {
    "depth": 1.0,
    "depth_gradient": 0.5,
    "ranking": 1.0,
    "defocus": 5.0,
    "defocus_gradient": 2.5,
    "sign": 0.0,
    "lens_law": 0.0,
    "depth_uncertainty": 0.0,
    "defocus_uncertainty": 0.0,
    "camera": 0.0,
}
_BALANCED = {"depth": 0.2, "depth_gradient": 0.1, "ranking": 0.2}
"""With weights of 1 the gradient of the depth losses was five times that of the defocus losses in the shared encoder
(``python -m research.claims.gradients``), and depth dominated. For a single task
the factor makes no difference, because AdamW normalises it."""
_HALVED = {"depth": 0.5, "depth_gradient": 0.25, "ranking": 0.5}
"""For longer training, where depth is learnt after blur: between these weights and those of the shipped model."""
_NO_DEPTH = {"depth": 0.0, "depth_gradient": 0.0, "ranking": 0.0}
_NO_DEFOCUS = {"defocus": 0.0, "defocus_gradient": 0.0}
_FULL_MODEL: tuple[dict[str, Any], dict[str, float]] = (
    {"soft_connection": True, "sign": True},
    {**_BALANCED, "lens_law": 2.0, "sign": 0.75},
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the tables."""

    name: str  # for file names
    title: str  # for tables
    model: Mapping[str, Any]  # changes of [model]
    loss: Mapping[str, float]  # changes of [loss]
    frames: str = REAL  # frames of the focal stacks: "real", "rendered" or "both"
    stacks_only: bool = False  # whether it is trained on focal stacks alone


LADDER = (
    Row(SINGLE_DEPTH, "depth alone", {"tasks": "depth"}, _NO_DEFOCUS),
    Row(SINGLE_DEFOCUS, "defocus alone", {"tasks": "defocus"}, _NO_DEPTH),
    Row(TWO, "two decoders on one encoder", {}, _BALANCED),
    Row(SOFT, "+ soft connection", {"soft_connection": True}, _BALANCED),
    Row(LAW, "+ lens-law loss", {"soft_connection": True}, {**_BALANCED, "lens_law": 2.0}),
    Row(FULL, "+ sign of the defocus (full)", *_FULL_MODEL),
)
"""Each row from the fourth on adds to the one before it."""

FRAMES = (
    Row(REAL, "real frames", *_FULL_MODEL, REAL, True),
    Row(RENDERED, "rendered frames of the same scenes", *_FULL_MODEL, RENDERED, True),
    Row(BOTH, "half of each", *_FULL_MODEL, BOTH, True),
)

LONGER = (
    *(replace(single, name=single.name + LONG) for single in LADDER[:2]),
    *(replace(row, name=row.name + LONG, loss={**row.loss, **_HALVED}) for row in LADDER[2:5]),
    Row(FULL + LONG, "full", _FULL_MODEL[0], {**_HALVED, "lens_law": 2.0, "sign": 1.0}),
)
"""The ladder, trained three times as long."""


@dataclass(frozen=True, slots=True)
class Effort:
    """The amount of training, the same for all rows."""

    steps: int = 600
    batch_size: int = 8
    crop_px: int = 192
    pretrained: bool = True  # encoder


QUICK = Effort(steps=2, batch_size=2, crop_px=64, pretrained=False)
"""For a smoke test."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training run: a row without the locations of one fold."""

    row: Row
    fold: int
    effort: Effort

    @property
    def seed(self) -> int:
        return self.fold

    @property
    def name(self) -> str:
        return f"{self.row.name}-{self.fold}"


def runs(effort: Effort, folds: int = FOLDS) -> list[Run]:
    """All runs, the ladder first and the longest last."""
    ladder = [Run(row, fold, effort) for fold in range(folds) for row in LADDER]
    shorter = replace(effort, steps=max(2, effort.steps // 2))  # less data
    longer = replace(effort, steps=TIMES_AS_LONG * effort.steps)
    return [
        *ladder,
        *(Run(row, fold, shorter) for fold in range(folds) for row in FRAMES),
        *(Run(row, fold, longer) for fold in range(folds) for row in LONGER),
    ]


def run_named(name: str) -> Run:
    """The run of a name of row and fold, such as ``full-long-0``; used as the type of an argument.

    Raises:
        ArgumentTypeError: if there is none.
    """
    for run in runs(Effort()):
        if run.name == name:
            return run
    known = ", ".join(row.name for row in (*LADDER, *FRAMES, *LONGER))
    raise ArgumentTypeError(
        f"{name}: no such run; expected a row and a fold from 0 to {FOLDS - 1}, as in full-0; rows: {known}"
    )


def recipe(run: Run, out: Path, groups: Sequence[str]) -> Recipe:
    """The recipe of a run.

    Args:
        run: the run.
        out: its folder.
        groups: the available kinds of scenes; shares of others are omitted.
    """
    effort = run.effort
    shares = {"focal_stacks": 0.5, "light_fields": 0.06, "rgbd": 0.1, "stereo": 0.08, PHOTOS: 0.26}
    mixture = {
        kind: share
        for kind, share in shares.items()
        if kind in groups and (kind == "focal_stacks" or not run.row.stacks_only)
    }
    return Recipe.model_validate(
        {
            "name": f"claims-{run.name}",
            "model": {**_MODEL, "pretrained": effort.pretrained, **run.row.model},
            "data": {
                "crop": [effort.crop_px, effort.crop_px],
                "batch_size": effort.batch_size,
                "workers": 0,
                "mixture": mixture,
                "late_share": 0.0,
            },
            "loss": {**_LOSS, **run.row.loss},
            "optim": {"steps": effort.steps, "warmup_steps": effort.steps // 10, "ema": 0.99},
            "train": {
                "seed": run.seed,
                "out": out,
                "threads": 1,
                "save_every": 50,
                "validate_every": 0,
            },
        }
    )


def folds_of(locations: Mapping[str, Sequence[str]], count: int = FOLDS) -> dict[str, int]:
    """Fold of every location: those of a kind (the keys) are distributed in turn, sorted by name.

    Neighbours are mostly captures of one camera, so that each fold has some of each.
    """
    fold: dict[str, int] = {}
    for names in locations.values():
        for n, name in enumerate(sorted(set(names))):
            fold[name] = n % count
    return fold


def split_by_fold(
    entries: Sequence[SceneEntry], fold: int, count: int = FOLDS
) -> tuple[list[SceneEntry], list[SceneEntry]]:
    """Training scenes and held-out scenes of a fold."""
    locations: dict[str, list[str]] = {}
    for entry in entries:
        if entry.group != PHOTOS:
            locations.setdefault(entry.group, []).append(entry.record.location)
    of = folds_of(locations, count)
    train = [entry for entry in entries if of.get(entry.record.location) != fold]
    return train, [entry for entry in entries if of.get(entry.record.location) == fold]


def training_scenes(
    row: Row, train: Sequence[SceneEntry], counterparts: Mapping[str, SceneEntry], frames_per_stack: int
) -> list[SceneEntry]:
    """The training scenes of a row.

    Args:
        row: the row.
        train: training scenes of the fold.
        counterparts: rendered counterpart of each focal stack, by name of the scene.
        frames_per_stack: largest number of frames of a real stack, that of its counterpart.
    """
    if not row.stacks_only:
        return list(train)
    stacks = [entry for entry in train if entry.group == "focal_stacks" and entry.record.name in counterparts]
    real = [
        replace(entry, record=replace(entry.record, frames=evenly_spaced_frames(entry.record.frames, frames_per_stack)))
        for entry in stacks
    ]
    rendered = [counterparts[entry.record.name] for entry in stacks]
    return {REAL: real, RENDERED: rendered, BOTH: [*real, *rendered]}[row.frames]


def evenly_spaced_frames(frames: Sequence[FrameRecord], count: int) -> list[FrameRecord]:
    """Evenly spaced frames of a stack, including both ends."""
    if len(frames) <= count:
        return list(frames)
    return [frames[round(i * (len(frames) - 1) / (count - 1))] for i in range(count)]

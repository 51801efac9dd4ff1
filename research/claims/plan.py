"""What is trained and on which locations: the ladder from one task to the whole network, and real against rendered
blur.

Every location is kept out once: the places of each kind are dealt to three folds, and every row is trained three times,
each time without the places of one fold and with another seed, and measured on these. Rows differ in nothing but what
their name says: encoder, width of the decoders, data, order of the data, steps and seed are the same.
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
"""Sharp photos with a synthetic depth have no true depth: nothing is measured on them, so every fold trains on them."""
SINGLE_DEPTH, SINGLE_DEFOCUS, TWO, SOFT, LAW, FULL = "depth", "defocus", "two", "soft", "law", "full"
REAL, RENDERED, BOTH = "real", "rendered", "both"
LONG = "-long"
TIMES_AS_LONG = 3

_MODEL: dict[str, Any] = {
    "encoder": "tf_efficientnet_lite0",
    "soft_connection": False,
    "sign": False,
    "chromatic_cue": False,
    "law_path": False,
}
_LOSS: dict[str, float] = {
    "depth": 1.0,
    "depth_gradient": 0.5,
    "ranking": 1.0,
    "defocus": 5.0,
    "defocus_gradient": 2.5,
    "sign": 0.0,
    "cue_sign": 0.0,
    "lens_law": 0.0,
}
_BALANCED = {"depth": 0.2, "depth_gradient": 0.1, "ranking": 0.2}
"""With weights of 1 the gradient of the depth losses was five times that of the defocus losses in the shared encoder
(``python -m research.claims.gradients``), and the encoder followed depth. To a single task its own factor makes no
difference: AdamW takes it out again."""
_HALVED = {"depth": 0.5, "depth_gradient": 0.25, "ranking": 0.5}
"""Once blur is learnt depth can be: between these weights and those of the shipped model."""
_NO_DEPTH = {"depth": 0.0, "depth_gradient": 0.0, "ranking": 0.0}
_NO_DEFOCUS = {"defocus": 0.0, "defocus_gradient": 0.0}
_ALL_OF_IT: tuple[dict[str, Any], dict[str, float]] = (
    {"soft_connection": True, "sign": True, "chromatic_cue": True, "law_path": True},
    {**_BALANCED, "lens_law": 2.0, "sign": 0.75, "cue_sign": 2.0},
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the tables.

    Attributes:
        name: short, for file names.
        title: as the tables say it.
        model: what its ``[model]`` sets besides what all have in common.
        loss: what its ``[loss]`` sets likewise.
        frames: which frames of the focal stacks it sees: ``"real"``, ``"rendered"`` ones in their place, or ``"both"``.
        stacks_only: whether it is trained on focal stacks alone, without photos, RGB-D, stereo and light fields.
    """

    name: str
    title: str
    model: Mapping[str, Any]
    loss: Mapping[str, float]
    frames: str = REAL
    stacks_only: bool = False


LADDER = (
    Row(SINGLE_DEPTH, "depth alone", {"tasks": "depth"}, _NO_DEFOCUS),
    Row(SINGLE_DEFOCUS, "defocus alone", {"tasks": "defocus"}, _NO_DEPTH),
    Row(TWO, "two decoders on one encoder", {}, _BALANCED),
    Row(SOFT, "+ soft connection", {"soft_connection": True}, _BALANCED),
    Row(LAW, "+ lens-law loss", {"soft_connection": True}, {**_BALANCED, "lens_law": 2.0}),
    Row(FULL, "+ side of the plane of focus, depth by the law (full)", *_ALL_OF_IT),
)
"""Each row from the fourth on adds to the one before it."""

FRAMES = (
    Row(REAL, "real frames", *_ALL_OF_IT, REAL, True),
    Row(RENDERED, "rendered frames of the same scenes", *_ALL_OF_IT, RENDERED, True),
    Row(BOTH, "half of each", *_ALL_OF_IT, BOTH, True),
)

LONGER = (
    *(replace(single, name=single.name + LONG) for single in LADDER[:2]),
    *(replace(row, name=row.name + LONG, loss={**row.loss, **_HALVED}) for row in LADDER[2:5]),
    Row(FULL + LONG, "full", _ALL_OF_IT[0], {**_HALVED, "lens_law": 2.0, "sign": 1.0, "cue_sign": 2.0}),
)
"""The ladder, trained three times as long."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a row is trained; the same for all.

    Attributes:
        steps: of the optimiser.
        batch_size: crops per step.
        crop_px: side of a crop.
        pretrained: whether the encoder starts from ImageNet.
    """

    steps: int = 600
    batch_size: int = 8
    crop_px: int = 192
    pretrained: bool = True


QUICK = Effort(steps=2, batch_size=2, crop_px=64, pretrained=False)
"""Enough to see that everything runs, and to learn nothing."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training: a row, without the places of one fold."""

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
    """All runs, the ladder first and what takes longest last."""
    ladder = [Run(row, fold, effort) for fold in range(folds) for row in LADDER]
    shorter = replace(effort, steps=max(2, effort.steps // 2))  # the stacks alone are less to learn
    longer = replace(effort, steps=TIMES_AS_LONG * effort.steps)
    return [
        *ladder,
        *(Run(row, fold, shorter) for fold in range(folds) for row in FRAMES),
        *(Run(row, fold, longer) for fold in range(folds) for row in LONGER),
    ]


def run_named(name: str) -> Run:
    """The run of a name, such as ``full-long-0``: its row, and its fold; as the type of an argument.

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
        groups: the kinds of scenes that there are to train on; shares of others are left out.
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
                "scale_range": [0.33, 0.85],
                "photometric": 0.5,
                "pair_share": 0.5,
            },
            "loss": {**_LOSS, **run.row.loss},
            "optim": {"steps": effort.steps, "warmup_steps": effort.steps // 10, "ema": 0.99},
            "train": {
                "seed": run.seed,
                "out": out,
                "threads": 1,
                "save_every": 50,
                "validate_every": 0,
                # the curve is set on photos blurred by discs, after training: here, what was learnt is measured
                "keep_curve": True,
            },
        }
    )


def folds_of(locations: Mapping[str, Sequence[str]], count: int = FOLDS) -> dict[str, int]:
    """Fold of every location: those of a kind, in the order of their names, are dealt one after another.

    Neighbours in that order are mostly captures of one camera, so each fold has some of each.

    Args:
        locations: by kind of scene.
        count: of the folds.
    """
    fold: dict[str, int] = {}
    for names in locations.values():
        for n, name in enumerate(sorted(set(names))):
            fold[name] = n % count
    return fold


def sides(entries: Sequence[SceneEntry], fold: int, count: int = FOLDS) -> tuple[list[SceneEntry], list[SceneEntry]]:
    """Scenes to train on and scenes that are kept out of a fold."""
    locations: dict[str, list[str]] = {}
    for entry in entries:
        if entry.group != PHOTOS:
            locations.setdefault(entry.group, []).append(entry.record.location)
    of = folds_of(locations, count)
    train = [entry for entry in entries if of.get(entry.record.location) != fold]
    return train, [entry for entry in entries if of.get(entry.record.location) == fold]


def seen_scenes(
    row: Row, train: Sequence[SceneEntry], counterparts: Mapping[str, SceneEntry], frames_per_stack: int
) -> list[SceneEntry]:
    """The scenes that a row is trained on.

    Args:
        row: the row.
        train: the scenes that the fold leaves to train on.
        twins: rendered twin of each focal stack, by name of the scene.
        frames_per_stack: most frames of a real stack where it stands against its twin, which has as many.
    """
    if not row.stacks_only:
        return list(train)
    stacks = [entry for entry in train if entry.group == "focal_stacks" and entry.record.name in counterparts]
    real = [
        replace(entry, record=replace(entry.record, frames=some_frames(entry.record.frames, frames_per_stack)))
        for entry in stacks
    ]
    rendered = [counterparts[entry.record.name] for entry in stacks]
    return {REAL: real, RENDERED: rendered, BOTH: [*real, *rendered]}[row.frames]


def some_frames(frames: Sequence[FrameRecord], count: int) -> list[FrameRecord]:
    """Frames spread evenly over a stack, its ends among them."""
    if len(frames) <= count:
        return list(frames)
    return [frames[round(i * (len(frames) - 1) / (count - 1))] for i in range(count)]

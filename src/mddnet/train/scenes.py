"""The scenes of a run, for training and for validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mddnet.config import Recipe
from mddnet.data.scene_pool import SceneEntry, open_by_split
from mddnet.data.split import read_split
from mddnet.kinds import REAL_KINDS
from mddnet.scenes.shard_source import Shard, count_samples, expand_shards


@dataclass(frozen=True, slots=True)
class Scenes:
    """The scenes of a run."""

    train: Sequence[SceneEntry]  # empty if shards are streamed
    held_out: Sequence[SceneEntry]  # for validation; may be empty
    shards: Sequence[Shard] = ()  # streamed instead of train

    @property
    def size(self) -> str:
        """Amount of training data, as text."""
        if self.shards:
            return f"{sum(shard.samples for shard in self.shards)} samples in {len(self.shards)} shards"
        return f"{len(self.train)} scenes"


def open_run_scenes(recipe: Recipe) -> Scenes:
    """Open the scenes of a recipe; only real captures are used for validation.

    CaptureError if a split has no scene, a location is not listed, or a shard cannot be read.
    """
    data = recipe.data
    shards = count_samples(expand_shards(data.shards)) if data.shards else ()
    if shards and "scenes" not in data.model_fields_set:
        return Scenes((), (), shards)
    found = open_by_split(data.scenes, read_split(data.split), ("dev",) if shards else ("train", "dev"))
    return Scenes(found.get("train", ()), [entry for entry in found["dev"] if entry.group in REAL_KINDS], shards)

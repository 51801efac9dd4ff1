"""The scenes of a run: those to train on, those to measure on."""

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
    """The scenes of a run.

    Attributes:
        train: those to train on; none where shards are streamed.
        held_out: those that the run is measured on; may be empty.
        shards: what is streamed instead of ``train``.
    """

    train: Sequence[SceneEntry]
    held_out: Sequence[SceneEntry]
    shards: Sequence[Shard] = ()

    @property
    def size(self) -> str:
        """How much there is to train on."""
        if self.shards:
            return f"{sum(shard.samples for shard in self.shards)} samples in {len(self.shards)} shards"
        return f"{len(self.train)} scenes"


def open_run_scenes(recipe: Recipe) -> Scenes:
    """The scenes of a recipe; it is measured on real captures only, which are fewer and say more.

    Raises:
        CaptureError: if a side of the split has no scene, or a scene no side; if a shard cannot be read.
    """
    data = recipe.data
    shards = count_samples(expand_shards(data.shards)) if data.shards else ()
    if shards and "scenes" not in data.model_fields_set:
        return Scenes((), (), shards)
    sides = open_by_split(data.scenes, read_split(data.split), ("dev",) if shards else ("train", "dev"))
    return Scenes(sides.get("train", ()), [entry for entry in sides["dev"] if entry.group in REAL_KINDS], shards)

"""Model card: training data, licences, measurements."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mddnet.config import Recipe
from mddnet.io.atomic import atomic_write_text
from mddnet.model.checkpoint import INPUT_LONG_SIDE
from mddnet.model.folder import CARD_FILE
from mddnet.scenes.shard_source import shard_licences
from mddnet.train.held_out import MEASURES, HeldOut
from mddnet.train.scenes import Scenes
from mddnet.version import __version__

TEMPLATE = """# Model card: {name}

Depth and defocus of one photo, by mddnet {version}. Encoder `{encoder}`, trained from {start} on {scenes} scenes of \
{locations} locations, {frames} focused frames, recipe {recipe}.

## Training data

| kind | source | licence stated there | scenes |
|---|---|---|---|
{data}{more_data}
## Licence

The licence of the weights follows from that of the training data: {licences}.

## Measured

{measured}

## Known failures

Not examined for this model. Known for every model of this kind: a photo that is sharp everywhere contains little \
information about depth, motion blur is taken for defocus, and blur of more than {largest_px:g} px (long side of \
{long_side} px) cannot be predicted.
"""


def write_card(folder: Path, recipe: Recipe, scenes: Scenes, start: str | None, held_out: HeldOut | None) -> None:
    """Write ``card.md`` of a model; ``start`` is its initial model, ``held_out`` None if it was not evaluated."""
    counts, locations, frames = _trained_on(scenes)
    begun = "an encoder trained on ImageNet" if recipe.model.pretrained else "scratch"
    text = TEMPLATE.format(
        name=recipe.name,
        version=__version__,
        encoder=recipe.model.encoder,
        start=f"the weights of `{start}`" if start else begun,
        scenes=counts.total(),
        locations=locations,
        frames=frames,
        recipe=recipe.config_hash,
        data="".join(
            f"| {' | '.join(_cell(name) for name in key)} | {count} |\n" for key, count in sorted(counts.items())
        ),
        more_data=f"\nIn addition, the data and licences of `{start}` apply: see its card.\n" if start else "",
        licences=", ".join(sorted({_cell(licence) for _, _, licence in counts})),
        measured=_measured(held_out),
        largest_px=recipe.model.defocus_cap_px,
        long_side=INPUT_LONG_SIDE,
    )
    atomic_write_text(folder / CARD_FILE, text)


def _measured(held_out: HeldOut | None) -> str:
    if held_out is None:
        return "Not evaluated yet: run `mddnet evaluate` on held-out locations."
    if not held_out:
        return "Not evaluated: no location was held out, so the performance on unseen locations is unknown."
    *locations, _ = held_out
    lines = [f"| {MEASURES[name]} | {old:.3f} | {new:.3f} |" for name, (old, new) in held_out["mean"].items()]
    return (
        f"On {len(locations)} held-out locations ({', '.join(locations)}), means over locations, at a long "
        "side of 384 px; chance level of the accuracies is 0.5.\n\n"
        "| measure | before | after |\n|---|---|---|\n" + "\n".join(lines)
    )


def _trained_on(scenes: Scenes) -> tuple[Counter[tuple[str, str, str]], int, int]:
    """Scenes by kind, source and licence; number of locations; number of focused frames."""
    if scenes.shards:
        listed = shard_licences(scenes.shards)
        counts = Counter((row["group"], row["source"], row["licence"]) for row in listed)
        return counts, len({row["place"] for row in listed}), sum(shard.samples for shard in scenes.shards)
    counts = Counter((e.group, e.record.source, e.record.licence) for e in scenes.train)
    frames = sum(len(entry.record.frames) for entry in scenes.train)
    return counts, len({entry.record.location for entry in scenes.train}), frames


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")

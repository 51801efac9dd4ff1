"""The card of a model trained on one's own scenes: what it saw, under which licences, what it was measured to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mddnet.config import Recipe
from mddnet.io.atomic import atomic_write_text
from mddnet.model.checkpoint import INPUT_LONG_SIDE
from mddnet.model.folder import CARD_FILE
from mddnet.scenes.shard_source import shard_licences
from mddnet.train.held_out import MEASURES, HeldOutRow
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

What may be done with the weights follows from what they were trained on; stated there: {licences}.

## Measured

{measured}

## Known failures

Nobody has looked for those of this model. Of every model of this kind: a photo that is sharp all over says little \
about depth, blur from motion is taken for defocus, and blur of more than {largest_px:g} px (long side of {long_side} \
px) cannot be stated.
"""


def write_card(
    folder: Path, recipe: Recipe, scenes: Scenes, start: str | None, rows: Sequence[HeldOutRow] | None
) -> None:
    """Write ``card.md`` of a model.

    Args:
        folder: the model folder.
        recipe: the run.
        scenes: what it was trained and measured on.
        start: the model that it started from, or None.
        rows: what it was measured to do; None where it was not measured.
    """
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
        more_data=f"\nThe data and licences of `{start}` come on top of these: see its card.\n" if start else "",
        licences=", ".join(sorted({_cell(licence) for _, _, licence in counts})),
        measured=_measured(rows),
        largest_px=recipe.model.largest_defocus_px,
        long_side=INPUT_LONG_SIDE,
    )
    atomic_write_text(folder / CARD_FILE, text)


def _measured(rows: Sequence[HeldOutRow] | None) -> str:
    if rows is None:
        return "Not yet: `mddnet evaluate` measures it on the held-out locations."
    if not rows:
        return "On nothing: no location was held out, so nothing is known of locations that it has not seen."
    locations = sorted({row.location for row in rows} - {"mean"})
    lines = [f"| {MEASURES[r.measure]} | {r.before:.3f} | {r.after:.3f} |" for r in rows if r.location == "mean"]
    return (
        f"On {len(locations)} held-out locations ({', '.join(locations)}), means over locations, at a long "
        "side of 384 px; accuracies are shares of 1, of which chance has .5.\n\n"
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

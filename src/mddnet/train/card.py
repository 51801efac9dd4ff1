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
from mddnet.train.loop import Scenes
from mddnet.version import __version__


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
    rows_of_data, places, frames = _trained_on(scenes)
    begun = (
        f"the weights of `{start}`"
        if start
        else "an encoder trained on ImageNet"
        if recipe.model.pretrained
        else "scratch"
    )
    lines = [
        f"# Model card: {recipe.name}",
        "",
        f"Depth and defocus of one photo, by mddnet {__version__}. Encoder `{recipe.model.encoder}`, trained from "
        f"{begun} on {sum(rows_of_data.values())} scenes of {places} places, {frames} focused frames, recipe "
        f"{recipe.config_hash}.",
        "",
        "## Training data",
        "",
        "| group | source | licence stated there | scenes |",
        "|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(_cell(name) for name in key)} | {count} |" for key, count in sorted(rows_of_data.items())]
    if start:
        lines += ["", f"The data and licences of `{start}` come on top of these: see its card."]
    licences = ", ".join(sorted({_cell(licence) for _, _, licence in rows_of_data}))
    lines += [
        "",
        "## Licence",
        "",
        f"What may be done with the weights follows from what they were trained on; stated there: {licences}.",
        "",
        "## Measured",
        "",
    ]
    if rows is None:
        lines.append("Not yet: `mddnet evaluate` measures it on the held-out places.")
    elif rows:
        held_out = sorted({row.place for row in rows} - {"mean"})
        lines += [
            f"On {len(held_out)} held-out places ({', '.join(held_out)}), means over places, at a long side of 384 px; "
            "order and side are shares of 1, of which chance has .5.",
            "",
            "| measure | before | after |",
            "|---|---|---|",
        ]
        lines += [f"| {MEASURES[r.measure]} | {r.before:.3f} | {r.after:.3f} |" for r in rows if r.place == "mean"]
    else:
        lines.append("On nothing: no place was held out, so nothing is known of places that it has not seen.")
    lines += [
        "",
        "## Known failures",
        "",
        "Nobody has looked for those of this model. Of every model of this kind: a photo that is sharp all over says "
        "little about depth, blur from motion is taken for defocus, and blur of more than "
        f"{recipe.model.largest_defocus_px:g} px (long side of {INPUT_LONG_SIDE} px) cannot be stated.",
    ]
    text = "\n".join(lines) + "\n"
    atomic_write_text(folder / CARD_FILE, text)


def _trained_on(scenes: Scenes) -> tuple[Counter[tuple[str, str, str]], int, int]:
    """Scenes by group, source and licence; number of places; number of focused frames."""
    if not scenes.shards:
        counts = Counter((e.group, e.record.source, e.record.licence) for e in scenes.train)
        frames = sum(len(entry.record.frames) for entry in scenes.train)
        return counts, len({entry.record.place for entry in scenes.train}), frames
    counts = Counter()
    places = set()
    for row in shard_licences(scenes.shards):
        counts[row["group"], row["source"], row["licence"]] += 1
        places.add(row["place"])
    return counts, len(places), sum(shard.sets for shard in scenes.shards)


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")

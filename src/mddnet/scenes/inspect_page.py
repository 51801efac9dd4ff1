"""The report of ``mddnet inspect``: one self-contained HTML page without scripts.

Needs Jinja and matplotlib (the extra ``report``). All text is escaped, and the page has a strict content policy.
"""

from __future__ import annotations

import base64
import io
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from mddnet.io.atomic import atomic_write
from mddnet.scenes.inspect import Inspection, SceneFacts, histograms
from mddnet.scenes.inspect_pictures import ContactSheet
from mddnet.types import SPLITS
from mddnet.version import __version__

Row = list[object]


def write_report(path: Path, title: str, inspection: Inspection, sheets: Sequence[ContactSheet]) -> None:
    """Write the page; ``sheets`` are pictures of some scenes, whose facts replace those of the inspection."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page = report_page(title, inspection, sheets)
    # File names that are not UTF-8 contain lone surrogates.
    atomic_write(path, lambda stream: stream.write(page.encode("utf-8", "backslashreplace")))


def report_page(title: str, inspection: Inspection, sheets: Sequence[ContactSheet]) -> str:
    """The page as text; see :func:`write_report`."""
    environment = Environment(
        loader=PackageLoader("mddnet.scenes", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["address"] = lambda picture: _address(picture.jpeg, "jpeg")
    by_scene = {(sheet.facts.kind, sheet.facts.folder.name): sheet for sheet in sheets}
    scenes = []
    for facts in inspection.scenes:
        sheet = by_scene.get((facts.kind, facts.folder.name))
        scenes.append((facts, math.nan) if sheet is None else (sheet.facts, sheet.blur_order))
    found = [facts for facts, _ in scenes]
    kinds = sorted({facts.kind for facts in found})
    columns = ("group", "scene", "place", "split", "state", "reason")
    return environment.get_template("inspect_page.html.jinja").render(
        title=title,
        version=__version__,
        counts=_counts(inspection),
        damaged=[(_kind(scene.kind), scene.name, scene.reason) for scene in inspection.damaged],
        remarks=[(_kind(f.kind), f.folder.name, "; ".join(f.remarks)) for f in found if f.remarks],
        rejected=[[row.get(name, "") for name in columns] for row in inspection.rejected],
        licences=_licences(found),
        plots=[(_kind(kind), *_plots([f for f in inspection.scenes if f.kind == kind])) for kind in kinds],
        sheets=[_sheets(kind, sheets, inspection) for kind in sorted({sheet.facts.kind for sheet in sheets})],
        scenes=[(_kind(k), [_scene_row(f, inspection, order) for f, order in scenes if f.kind == k]) for k in kinds],
    )


def _kind(name: str) -> str:
    return name or "no kind"


def _address(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _counts(inspection: Inspection) -> list[Row]:
    rows: list[Row] = []
    kinds = {facts.kind for facts in inspection.scenes} | {scene.kind for scene in inspection.damaged}
    for kind in sorted(kinds | {row.get("group", "") for row in inspection.rejected}):
        of_kind = [facts for facts in inspection.scenes if facts.kind == kind]
        splits = Counter(inspection.split_of(facts.record.location) for facts in of_kind)
        rows.append(
            [
                _kind(kind),
                len(of_kind),
                sum(len(facts.record.frames) for facts in of_kind),
                len({facts.record.location for facts in of_kind}),
                *(splits[split] for split in (*SPLITS, "")),
                sum(bool(facts.remarks) for facts in of_kind),
                sum(scene.kind == kind for scene in inspection.damaged),
                sum(row.get("group", "") == kind for row in inspection.rejected),
            ]
        )
    if len(rows) > 1:
        rows.append(["all", *(sum(map(int, map(str, column))) for column in list(zip(*rows, strict=True))[1:])])
    return rows


def _licences(scenes: Sequence[SceneFacts]) -> list[Row]:
    counted: dict[tuple[str, str], list[SceneFacts]] = {}
    for facts in scenes:
        counted.setdefault((facts.kind, facts.record.licence), []).append(facts)
    rows: list[Row] = []
    for (kind, licence), group in sorted(counted.items()):
        sources = sorted({facts.record.source for facts in group})
        named = ", ".join(sources[:3]) + (f" and {len(sources) - 3} more" if len(sources) > 3 else "")
        rows.append([_kind(kind), licence, len(group), sum(len(facts.record.frames) for facts in group), named])
    return rows


def _plots(scenes: Sequence[SceneFacts]) -> tuple[int, str]:
    """The number of scenes, and the data URL of a picture of their histograms, with bars of equal width."""
    plots = histograms(scenes)
    figure = Figure(figsize=(3.1 * len(plots), 1.6), layout="constrained")
    for axes, plot in zip(np.atleast_1d(figure.subplots(1, len(plots))), plots, strict=True):
        axes.bar(np.arange(len(plot.shares)), plot.shares, align="edge", width=0.9)
        at = np.linspace(0, len(plot.shares), 6).round().astype(int)
        axes.set_xticks(at, [f"{plot.edges[k]:.2g}" for k in at], fontsize=7)
        axes.set_yticks([])
        axes.set_title(plot.title, fontsize=8)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return len(scenes), _address(stream.getvalue(), "png")


def _sheets(kind: str, sheets: Sequence[ContactSheet], inspection: Inspection) -> tuple[str, int, list[Any]]:
    of_kind = []
    for sheet in sheets:
        if sheet.facts.kind == kind:
            record = sheet.facts.record
            caption = (
                f"{record.location}, {inspection.split_of(record.location) or 'no split'}; {record.provenance} frames: "
                f"{len(record.frames)}; licence: {record.licence}"
            )
            of_kind.append((sheet, caption))
    return _kind(kind), sum(facts.kind == kind for facts in inspection.scenes), of_kind


def _scene_row(facts: SceneFacts, inspection: Inspection, order: float) -> Row:
    record = facts.record
    return [
        facts.folder.name,
        record.location,
        inspection.split_of(record.location),
        record.unit,
        f"{facts.width} x {facts.height}",
        len(record.frames),
        _span([frame.kappa_px for frame in record.frames]),
        _number(facts.largest_coc_px),
        _span([facts.position(frame.u_focus) for frame in record.frames], 2),
        _number(record.measures.get("rerender_error_fraction", math.nan), 2),
        _number(order, 2),
        _number(facts.kappa_of_lens, 2),
        f"{facts.unknown_share:.0%}",
    ]


def _number(value: float, digits: int = 3) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def _span(values: Sequence[float], digits: int = 3) -> str:
    if not values:
        return ""
    low, high = _number(min(values), digits), _number(max(values), digits)
    return low if low == high else f"{low} to {high}"

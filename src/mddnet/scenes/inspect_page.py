"""The report of ``mddnet inspect``: one HTML page that holds its pictures, runs no script and loads nothing.

The pieces are those of :mod:`mddnet.scenes.html_page`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mddnet.scenes.html_page import bar_plot, figures, html_page, number, table, text, write_page
from mddnet.scenes.inspect import (
    COC_PX_EDGES,
    POSITION_EDGES,
    Histograms,
    Inspection,
    SceneFacts,
)
from mddnet.scenes.inspect_pictures import ContactSheet
from mddnet.version import __version__


def write_report(path: Path, title: str, inspection: Inspection, sheets: Sequence[ContactSheet]) -> None:
    """Write the page; its folder is made if it is missing.

    Args:
        path: target file.
        title: name of the folder of scenes.
        inspection: what was measured.
        sheets: the scenes that are shown in pictures; their facts stand for those of the same scene.
    """
    write_page(path, report_page(title, inspection, sheets))


def report_page(title: str, inspection: Inspection, sheets: Sequence[ContactSheet]) -> str:
    """The page as text; see :func:`write_report`."""
    shown = {(sheet.facts.group, sheet.facts.folder.name): sheet for sheet in sheets}

    def latest(facts: SceneFacts) -> SceneFacts:
        sheet = shown.get((facts.group, facts.folder.name))
        return facts if sheet is None else sheet.facts

    scenes = [latest(facts) for facts in inspection.scenes]
    orders = {name: sheet.blur_order for name, sheet in shown.items()}
    parts = [
        _counts(inspection),
        _damaged(inspection),
        _remarks(scenes),
        _rejected(inspection),
        _licences(scenes),
        _distributions(inspection),
        _contact_sheets(sheets, inspection),
        _all_scenes(scenes, inspection, orders),
    ]
    return html_page(
        f"Scenes of {title}", f"<h1>Scenes of {text(title)}</h1><p>Made by mddnet {text(__version__)}.</p>", parts
    )


# --- pieces -----------------------------------------------------------------------------------------------------------


def _group(name: str) -> str:
    return name or "no group"


def _groups(inspection: Inspection) -> list[str]:
    names = {facts.group for facts in inspection.scenes} | {scene.group for scene in inspection.damaged}
    return sorted(names | {row.get("group", "") for row in inspection.rejected})


def _counts(inspection: Inspection) -> str:
    head = ("group", "scenes", "sets", "places", "train", "dev", "no split", "with remarks", "damaged", "rejected")
    rows: list[list[object]] = []
    for group in _groups(inspection):
        mine = [facts for facts in inspection.scenes if facts.group == group]
        sides = Counter(inspection.side_of(facts.record.place) for facts in mine)
        rows.append(
            [
                _group(group),
                len(mine),
                sum(len(facts.record.frames) for facts in mine),
                len({facts.record.place for facts in mine}),
                *(sides[side] for side in ("train", "dev", "")),
                sum(bool(facts.remarks) for facts in mine),
                sum(scene.group == group for scene in inspection.damaged),
                sum(row.get("group", "") == group for row in inspection.rejected),
            ]
        )
    if len(rows) > 1:
        columns = list(zip(*rows, strict=True))[1:]
        rows.append(["all", *(sum(int(str(value)) for value in column) for column in columns)])
    note = "<p>A set is a sharp image, a focused frame with its plane of focus, a depth map and a defocus map.</p>"
    return "<h2>Counts</h2>" + note + table(head, rows, head[1:])


def _damaged(inspection: Inspection) -> str:
    if not inspection.damaged:
        return ""
    rows = [(_group(scene.group), scene.name, scene.reason) for scene in inspection.damaged]
    return "<h2>Damaged scenes</h2>" + table(("group", "scene", "error"), rows, wide="error")


def _remarks(scenes: Sequence[SceneFacts]) -> str:
    rows = [(_group(f.group), f.folder.name, "; ".join(f.remarks)) for f in scenes if f.remarks]
    if not rows:
        return "<h2>Remarks</h2><p>No scene stands out.</p>"
    remarks = table(("group", "scene", "remark"), rows, wide="remark")
    few = " open" if len(rows) <= 40 else ""
    return f"<h2>Remarks</h2><details{few}><summary>{len(rows)} scenes to look at</summary>{remarks}</details>"


def _rejected(inspection: Inspection) -> str:
    if not inspection.rejected:
        return "<h2>Captures without a scene</h2><p>None.</p>"
    head = ("group", "scene", "place", "split", "state", "reason")
    rows = [[row.get(name, "") for name in head] for row in inspection.rejected]
    return "<h2>Captures without a scene</h2>" + table(head, rows, wide="reason")


def _licences(scenes: Sequence[SceneFacts]) -> str:
    counted: dict[tuple[str, str], list[SceneFacts]] = {}
    for facts in scenes:
        counted.setdefault((facts.group, facts.record.licence), []).append(facts)
    head = ("group", "licence", "scenes", "sets", "sources")
    rows = []
    for (group, licence), mine in sorted(counted.items()):
        sources = sorted({facts.record.source for facts in mine})
        named = ", ".join(sources[:3]) + (f" and {len(sources) - 3} more" if len(sources) > 3 else "")
        rows.append([_group(group), licence, len(mine), sum(len(facts.record.frames) for facts in mine), named])
    return "<h2>Licences</h2>" + table(head, rows, ("scenes", "sets"))


# --- histograms -------------------------------------------------------------------------------------------------------


def _distributions(inspection: Inspection) -> str:
    if not inspection.histograms:
        return ""
    parts = [
        "<h2>Depth, focus and blur</h2><p>Every scene weighs the same; values beyond an axis count in its last bar. "
        "A place in the range is 0 at the far end (2 %) and 1 at the near end (98 %) of the scene's own inverse "
        "depths. The signed CoC is negative in front of the plane of focus.</p>"
    ]
    for group, counted in sorted(inspection.histograms.items()):
        parts.append(f"<h3>{text(_group(group))}: {counted.scenes} scenes</h3>")
        parts.append(f'<div class="plots">{"".join(_plots(counted))}</div>')
    return "".join(parts)


def _plots(counted: Histograms) -> list[str]:
    plots = []
    if counted.metric_scenes:
        ticks = [(f"{edge:g}", math.log10(edge / 0.1) / 3) for edge in (0.1, 1.0, 10.0, 100.0)]
        plots.append(bar_plot(f"depth, m ({counted.metric_scenes} metric scenes)", counted.depth_m, ticks))
    span = POSITION_EDGES[-1] - POSITION_EDGES[0]
    ticks = [(f"{value:g}", float((value - POSITION_EDGES[0]) / span)) for value in (0.0, 0.5, 1.0)]
    plots.append(bar_plot("inverse depth, place in the range", counted.position, ticks))
    plots.append(bar_plot("planes of focus, place in the range", counted.focus, ticks))
    bars = len(COC_PX_EDGES) - 1
    edges = [int(np.flatnonzero(value == COC_PX_EDGES)[0]) for value in (-64, -16, -4, -1, 1, 4, 16, 64)]
    plots.append(bar_plot("signed CoC, px", counted.coc_px, [(f"{COC_PX_EDGES[k]:g}", k / bars) for k in edges]))
    return plots


# --- scenes -----------------------------------------------------------------------------------------------------------


def _contact_sheets(sheets: Sequence[ContactSheet], inspection: Inspection) -> str:
    if not sheets:
        return ""
    parts = [
        "<h2>Contact sheet</h2><p>Unknown depth is grey. Of the frames, the one whose blur varies most is shown.</p>"
    ]
    for group in sorted({sheet.facts.group for sheet in sheets}):
        mine = [sheet for sheet in sheets if sheet.facts.group == group]
        total = sum(facts.group == group for facts in inspection.scenes)
        parts.append(f"<h3>{text(_group(group))}: {len(mine)} of {total} scenes</h3>")
        parts += [_sheet(sheet, inspection) for sheet in mine]
    return "".join(parts)


def _sheet(sheet: ContactSheet, inspection: Inspection) -> str:
    facts = sheet.facts
    pictures = figures(sheet.pictures, facts.folder.name)
    remarks = "".join(f'<li class="warn">{text(remark)}</li>' for remark in facts.remarks)
    listed = f'<ul class="remarks">{remarks}</ul>' if remarks else ""
    side = inspection.side_of(facts.record.place) or "no split"
    said = (
        f"{facts.record.place}, {side}; {facts.record.provenance} frames: {len(facts.record.frames)}; "
        f"licence: {facts.record.licence}"
    )
    return (
        f'<div class="sheet"><h4>{text(facts.folder.name)}</h4>{pictures}'
        f'<div class="soft">{text(said)}</div>{listed}</div>'
    )


SCENE_HEAD = (
    *("scene", "place", "split", "unit", "size", "frames", "kappa px", "largest CoC px", "focus in the range"),
    *("law leaves", "blur order", "kappa / lens", "unknown"),
)


def _all_scenes(scenes: Sequence[SceneFacts], inspection: Inspection, orders: dict[tuple[str, str], float]) -> str:
    parts = [
        "<h2>All scenes</h2><p>Law leaves: what blur by the lens law leaves of the difference between the sharp image "
        "and the frames (real captures). Blur order: rank correlation of the CoC with the sharpness that the frame "
        "shown has lost (scenes of the contact sheet). Kappa / lens: kappa over that of the lens facts.</p>"
    ]
    for group in sorted({facts.group for facts in scenes}):
        mine = [facts for facts in scenes if facts.group == group]
        rows = [
            _scene_row(f, inspection.side_of(f.record.place), orders.get((f.group, f.folder.name), math.nan))
            for f in mine
        ]
        listed = table(SCENE_HEAD, rows, SCENE_HEAD[4:])
        parts.append(f"<details><summary>{text(_group(group))}: {len(mine)} scenes</summary>{listed}</details>")
    return "".join(parts)


def _scene_row(facts: SceneFacts, side: str, order: float) -> list[object]:
    record = facts.record
    kappas = [frame.kappa_px for frame in record.frames]
    at = [facts.position(frame.u_focus) for frame in record.frames]
    return [
        facts.folder.name,
        record.place,
        side,
        record.unit,
        f"{facts.width} x {facts.height}",
        len(record.frames),
        _span(kappas),
        number(facts.largest_coc_px),
        _span(at, 2),
        number(record.measures.get("rerender_error_fraction", math.nan), 2),
        number(order, 2),
        number(facts.kappa_of_lens, 2),
        f"{facts.unknown_share:.0%}",
    ]


def _span(values: Sequence[float], digits: int = 3) -> str:
    if not values:
        return ""
    low, high = number(min(values), digits), number(max(values), digits)
    return low if low == high else f"{low} to {high}"

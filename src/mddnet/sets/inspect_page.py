"""The report of ``mddnet inspect``: one HTML page that holds its pictures, runs no script and loads nothing.

Every text that comes from a file or a file name goes through :func:`_text`; the page's content policy forbids whatever
slipped through.
"""

from __future__ import annotations

import base64
import html
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mddnet.sets.inspect import (
    COC_PX_EDGES,
    POSITION_EDGES,
    Histograms,
    Inspection,
    SceneFacts,
)
from mddnet.sets.inspect_pictures import ContactSheet
from mddnet.sets.store import atomic_write
from mddnet.version import __version__

MAX_ROWS = 2000
"""Rows of a table of scenes; beyond them the page says how many are left out."""
PLOT_WIDTH, PLOT_HEIGHT, AXIS_HEIGHT = 250, 70, 16

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1c22; --soft: #5d5d68; --line: #d9d9e0; --bar: #3565b0;
  --box: #f4f4f7; --warn: #9a3b00; }
@media (prefers-color-scheme: dark) { :root { --paper: #18181c; --ink: #e8e8ea; --soft: #a3a3ad; --line: #3a3a42;
  --bar: #7fa8ea; --box: #222228; --warn: #ffb27a; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; margin: 0 auto;
  max-width: 1280px; padding: 1rem 1.25rem 3rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { border-top: 1px solid var(--line); font-size: 1.2rem; margin: 2rem 0 .5rem; padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .5rem; }
p, figcaption, .soft { color: var(--soft); margin: .25rem 0 .75rem; max-width: 75ch; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
th { font-weight: 600; }
td.number, th.number { text-align: right; white-space: nowrap; }
td:first-child { min-width: 12ch; }
td.wide { min-width: 24ch; }
.sheet { background: var(--box); border-radius: 6px; margin: 0 0 .8rem; padding: .6rem .8rem; }
.sheet h4 { font-size: .95rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem; }
figure { margin: 0; }
figure figcaption { font-size: .75rem; margin: .15rem 0 0; max-width: 220px; overflow-wrap: anywhere; }
img { display: block; }
.warn { color: var(--warn); }
ul.remarks { margin: .4rem 0 0; padding-left: 1.2rem; }
.plots { display: grid; gap: .5rem 1.5rem; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); }
svg { display: block; max-width: 100%; }
svg rect { fill: var(--bar); }
svg text { fill: var(--soft); font: 10px system-ui, sans-serif; }
svg line { stroke: var(--line); }
details { margin: .5rem 0; }
summary { cursor: pointer; }
"""


def write_report(path: Path, title: str, inspection: Inspection, sheets: Sequence[ContactSheet]) -> None:
    """Write the page; its folder is made if it is missing.

    Args:
        path: target file.
        title: name of the folder of scenes.
        inspection: what was measured.
        sheets: the scenes that are shown in pictures; their facts stand for those of the same scene.
    """
    page = report_page(title, inspection, sheets)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file name that is no UTF-8 reaches Python as lone surrogates, which no encoder takes.
    atomic_write(path, lambda stream: stream.write(page.encode("utf-8", "backslashreplace")))


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
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>Scenes of {_text(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>Scenes of {_text(title)}</h1><p>Made by mddnet {_text(__version__)}.</p>"
        + "".join(parts)
        + "</body></html>\n"
    )


# --- pieces -----------------------------------------------------------------------------------------------------------


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _number(value: float, digits: int = 3) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[str] = (), wide: str = "") -> str:
    """A table; the columns named in ``numbers`` stand to the right."""

    def attribute(name: str) -> str:
        return ' class="number"' if name in numbers else ' class="wide"' if name == wide else ""

    lines = [
        "<tr>" + "".join(f"<td{attribute(n)}>{_text(c)}</td>" for n, c in zip(head, row, strict=True)) + "</tr>"
        for row in rows
    ]
    top = "".join(f'<th scope="col"{attribute(name)}>{_text(name)}</th>' for name in head)
    left_out = len(lines) - MAX_ROWS
    more = f"<p>and {left_out} more</p>" if left_out > 0 else ""
    body = "".join(lines[:MAX_ROWS])
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>{more}'


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
    return "<h2>Counts</h2>" + note + _table(head, rows, head[1:])


def _damaged(inspection: Inspection) -> str:
    if not inspection.damaged:
        return ""
    rows = [(_group(scene.group), scene.name, scene.reason) for scene in inspection.damaged]
    return "<h2>Damaged scenes</h2>" + _table(("group", "scene", "error"), rows, wide="error")


def _remarks(scenes: Sequence[SceneFacts]) -> str:
    rows = [(_group(f.group), f.folder.name, "; ".join(f.remarks)) for f in scenes if f.remarks]
    if not rows:
        return "<h2>Remarks</h2><p>No scene stands out.</p>"
    table = _table(("group", "scene", "remark"), rows, wide="remark")
    few = " open" if len(rows) <= 40 else ""
    return f"<h2>Remarks</h2><details{few}><summary>{len(rows)} scenes to look at</summary>{table}</details>"


def _rejected(inspection: Inspection) -> str:
    if not inspection.rejected:
        return "<h2>Captures without a scene</h2><p>None.</p>"
    head = ("group", "scene", "place", "split", "state", "reason")
    rows = [[row.get(name, "") for name in head] for row in inspection.rejected]
    return "<h2>Captures without a scene</h2>" + _table(head, rows, wide="reason")


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
    return "<h2>Licences</h2>" + _table(head, rows, ("scenes", "sets"))


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
        parts.append(f"<h3>{_text(_group(group))}: {counted.scenes} scenes</h3>")
        parts.append(f'<div class="plots">{"".join(_plots(counted))}</div>')
    return "".join(parts)


def _plots(counted: Histograms) -> list[str]:
    plots = []
    if counted.metric_scenes:
        ticks = [(f"{edge:g}", math.log10(edge / 0.1) / 3) for edge in (0.1, 1.0, 10.0, 100.0)]
        plots.append(_plot(f"depth, m ({counted.metric_scenes} metric scenes)", counted.depth_m, ticks))
    span = POSITION_EDGES[-1] - POSITION_EDGES[0]
    ticks = [(f"{value:g}", float((value - POSITION_EDGES[0]) / span)) for value in (0.0, 0.5, 1.0)]
    plots.append(_plot("inverse depth, place in the range", counted.position, ticks))
    plots.append(_plot("planes of focus, place in the range", counted.focus, ticks))
    bars = len(COC_PX_EDGES) - 1
    edges = [int(np.flatnonzero(value == COC_PX_EDGES)[0]) for value in (-64, -16, -4, -1, 1, 4, 16, 64)]
    plots.append(_plot("signed CoC, px", counted.coc_px, [(f"{COC_PX_EDGES[k]:g}", k / bars) for k in edges]))
    return plots


def _plot(title: str, counts: NDArray[np.float64], ticks: Sequence[tuple[str, float]]) -> str:
    """Bars of equal width as SVG; ticks are labels with their place in [0, 1]."""
    share = counts / max(float(counts.sum()), 1e-12)
    top = max(float(share.max()), 1e-12)
    step = PLOT_WIDTH / len(share)
    bars = "".join(
        f'<rect x="{k * step:.1f}" y="{PLOT_HEIGHT * (1 - value / top):.1f}" width="{step - 0.8:.1f}" '
        f'height="{PLOT_HEIGHT * value / top:.1f}"><title>{value:.1%}</title></rect>'
        for k, value in enumerate(share)
        if value > 0
    )
    labels = "".join(_tick(label, place) for label, place in ticks)
    line = f'<line x1="0" x2="{PLOT_WIDTH}" y1="{PLOT_HEIGHT}" y2="{PLOT_HEIGHT}"/>'
    height = PLOT_HEIGHT + AXIS_HEIGHT
    return (
        f'<figure><figcaption>{_text(title)}</figcaption><svg viewBox="0 0 {PLOT_WIDTH} {height}" width="{PLOT_WIDTH}" '
        f'height="{height}" role="img" aria-label="{_text(title)}">{bars}{line}{labels}</svg></figure>'
    )


def _tick(label: str, place: float) -> str:
    anchor = "start" if place < 0.03 else "end" if place > 0.97 else "middle"
    return f'<text x="{place * PLOT_WIDTH:.1f}" y="{PLOT_HEIGHT + 12}" text-anchor="{anchor}">{_text(label)}</text>'


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
        parts.append(f"<h3>{_text(_group(group))}: {len(mine)} of {total} scenes</h3>")
        parts += [_sheet(sheet, inspection) for sheet in mine]
    return "".join(parts)


def _sheet(sheet: ContactSheet, inspection: Inspection) -> str:
    facts = sheet.facts
    pictures = "".join(
        f'<figure><img src="data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode()}" '
        f'alt="{_text(f"{facts.folder.name}: {picture.title}")}" width="{picture.width}" height="{picture.height}">'
        f"<figcaption>{_text(picture.title)}</figcaption></figure>"
        for picture in sheet.pictures
    )
    remarks = "".join(f'<li class="warn">{_text(remark)}</li>' for remark in facts.remarks)
    listed = f'<ul class="remarks">{remarks}</ul>' if remarks else ""
    side = inspection.side_of(facts.record.place) or "no split"
    said = (
        f"{facts.record.place}, {side}; {facts.record.provenance} frames: {len(facts.record.frames)}; "
        f"licence: {facts.record.licence}"
    )
    return (
        f'<div class="sheet"><h4>{_text(facts.folder.name)}</h4><div class="pictures">{pictures}</div>'
        f'<div class="soft">{_text(said)}</div>{listed}</div>'
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
        table = _table(SCENE_HEAD, rows, SCENE_HEAD[4:])
        parts.append(f"<details><summary>{_text(_group(group))}: {len(mine)} scenes</summary>{table}</details>")
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
        _number(facts.largest_coc_px),
        _span(at, 2),
        _number(record.measures.get("rerender_error_fraction", math.nan), 2),
        _number(order, 2),
        _number(facts.kappa_of_lens, 2),
        f"{facts.unknown_share:.0%}",
    ]


def _span(values: Sequence[float], digits: int = 3) -> str:
    if not values:
        return ""
    low, high = _number(min(values), digits), _number(max(values), digits)
    return low if low == high else f"{low} to {high}"

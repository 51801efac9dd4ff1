"""Pieces of the reports: HTML pages that hold their pictures and plots, run no script and load nothing.

Every text that comes from a file or a file name goes through :func:`text`; the page's content policy forbids whatever
slipped through.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mddnet.io.atomic import atomic_write
from mddnet.scenes.small_pictures import SmallPicture

MAX_ROWS = 2000
"""Rows of a table; beyond them the page says how many are left out."""
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


def html_page(title: str, top: str, parts: Sequence[str], style: str = "") -> str:
    """The whole page.

    Args:
        title: plain text, for the browser's tab.
        top: HTML before the parts: heading and what made the page.
        parts: HTML.
        style: further CSS.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{text(title)}</title><style>{STYLE}{style}</style></head><body>{top}"
        + "".join(parts)
        + "</body></html>\n"
    )


def write_page(path: Path, page: str) -> None:
    """Write a page whole; its folder is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file name that is no UTF-8 reaches Python as lone surrogates, which no encoder takes.
    atomic_write(path, lambda stream: stream.write(page.encode("utf-8", "backslashreplace")))


def text(value: object) -> str:
    """Any text as HTML."""
    return html.escape(str(value), quote=True)


def number(value: float, digits: int = 3) -> str:
    """A number with so many digits; nothing for NaN."""
    return "" if math.isnan(value) else f"{value:.{digits}g}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[str] = (), wide: str = "") -> str:
    """A table; the columns named in ``numbers`` stand to the right, the one named ``wide`` gets room."""

    def attribute(name: str) -> str:
        return ' class="number"' if name in numbers else ' class="wide"' if name == wide else ""

    lines = [
        "<tr>" + "".join(f"<td{attribute(n)}>{text(c)}</td>" for n, c in zip(head, row, strict=True)) + "</tr>"
        for row in rows
    ]
    top = "".join(f'<th scope="col"{attribute(name)}>{text(name)}</th>' for name in head)
    left_out = len(lines) - MAX_ROWS
    more = f"<p>and {left_out} more</p>" if left_out > 0 else ""
    body = "".join(lines[:MAX_ROWS])
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>{more}'


def figures(pictures: Iterable[SmallPicture], of: str) -> str:
    """Pictures side by side, each with its title; ``of`` says in words what they show."""
    shown = "".join(
        f'<figure><img src="data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode()}" '
        f'alt="{text(f"{of}: {picture.title}")}" width="{picture.width}" height="{picture.height}">'
        f"<figcaption>{text(picture.title)}</figcaption></figure>"
        for picture in pictures
    )
    return f'<div class="pictures">{shown}</div>'


def bar_plot(title: str, counts: NDArray[np.float64], ticks: Sequence[tuple[str, float]]) -> str:
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
    labels = "".join(_bar_tick(label, place) for label, place in ticks)
    line = f'<line x1="0" x2="{PLOT_WIDTH}" y1="{PLOT_HEIGHT}" y2="{PLOT_HEIGHT}"/>'
    height = PLOT_HEIGHT + AXIS_HEIGHT
    return (
        f'<figure><figcaption>{text(title)}</figcaption><svg viewBox="0 0 {PLOT_WIDTH} {height}" width="{PLOT_WIDTH}" '
        f'height="{height}" role="img" aria-label="{text(title)}">{bars}{line}{labels}</svg></figure>'
    )


def _bar_tick(label: str, place: float) -> str:
    anchor = "start" if place < 0.03 else "end" if place > 0.97 else "middle"
    return f'<text x="{place * PLOT_WIDTH:.1f}" y="{PLOT_HEIGHT + 12}" text-anchor="{anchor}">{text(label)}</text>'

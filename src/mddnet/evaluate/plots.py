"""Plots of a report as SVG: points against a baseline, curves, answers in bins; colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mddnet.scenes.html_page import text

WIDTH, HEIGHT = 330, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 8, 36

PLOT_STYLE = """
:root { --one: #2f5fae; --two: #b4540a; --three: #6b6b76; --worse: rgba(180, 84, 10, .09); }
@media (prefers-color-scheme: dark) { :root { --one: #8db4f2; --two: #f0a361; --three: #9b9ba6;
  --worse: rgba(240, 163, 97, .12); } }
.sheet h5 { font-size: .95rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h4 { font-size: .95rem; margin: 1rem 0 .4rem; }
.wide-plots { display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); }
.wide-plots figure figcaption { font-size: .82rem; max-width: 330px; }
.wide-plots svg .dot { fill: var(--one); fill-opacity: .35; }
.wide-plots svg .place { fill: var(--one); stroke: var(--paper); stroke-width: 1; }
.wide-plots svg .worse { fill: var(--worse); }
.wide-plots svg .band { fill: var(--one); fill-opacity: .2; stroke: none; }
.wide-plots svg polyline { fill: none; stroke-width: 2; }
.wide-plots svg .one { stroke: var(--one); } .wide-plots svg .two { stroke: var(--two); stroke-dasharray: 5 3; }
.wide-plots svg .three { stroke: var(--three); stroke-dasharray: 2 3; }
.wide-plots svg .named { font-size: 9px; }
.wide-plots svg .label { fill: var(--ink); font-size: 11px; }
"""


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of numbers along one side.

    Attributes:
        low: at the origin.
        high: at the end.
        label: what it shows, with unit.
    """

    low: float
    high: float
    label: str

    def share(self, value: float) -> float:
        """Place of a value along the axis, 0 to 1; beyond the ends, the end."""
        return min(max((value - self.low) / max(self.high - self.low, 1e-12), 0.0), 1.0)

    def ticks(self) -> list[float]:
        """Round numbers inside the range, about five."""
        step = _round_step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, int(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True, slots=True)
class Point:
    """A point with its name.

    Attributes:
        x: along the horizontal axis.
        y: along the vertical one.
        name: shown when one points at it, and beside it where ``named``.
        named: a place; otherwise a photo, drawn small.
    """

    x: float
    y: float
    name: str
    named: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points.

    Attributes:
        name: for the legend.
        points: (x, y) in order; those that are no number are left out.
        style: ``one`` (solid), ``two`` (dashed) or ``three`` (dotted).
    """

    name: str
    points: tuple[tuple[float, float], ...]
    style: str = "one"


def against_baseline(
    title: str, x: Axis, y: Axis, points: Sequence[Point], *, larger_is_better: bool, caption: str
) -> str:
    """Points of the model (up) against a baseline (right); the side of the diagonal where it loses is shaded."""
    low, high = max(x.low, y.low), min(x.high, y.high)
    start, end = (_at(x, y, value, value) for value in (low, high))
    corner = (start[0], _at(x, y, low, y.high)[1]) if not larger_is_better else (end[0], _at(x, y, high, y.low)[1])
    shaded = " ".join(f"{a:.1f},{b:.1f}" for a, b in (start, end, corner))
    drawn = [f'<polygon class="worse" points="{shaded}"/>', _line(*start, *end)]
    labels: list[tuple[float, float, str]] = []
    for point in sorted((p for p in points if math.isfinite(p.x) and math.isfinite(p.y)), key=lambda p: p.named):
        a, b = _at(x, y, point.x, point.y)
        kind, radius = ("place", 4.5) if point.named else ("dot", 2)
        drawn.append(
            f'<circle class="{kind}" cx="{a:.1f}" cy="{b:.1f}" r="{radius}"><title>{text(point.name)}: '
            f"{point.y:.3g} beside {point.x:.3g}</title></circle>"
        )
        if point.named:
            labels.append((a, b, point.name))
    drawn += _labels(labels)
    return _figure(title, x, y, drawn, caption)


def curves_plot(title: str, x: Axis, y: Axis, curves: Sequence[Curve], *, caption: str) -> str:
    """Lines with a legend."""
    drawn = []
    for k, curve in enumerate(curves):
        points = [_at(x, y, *point) for point in curve.points if all(map(math.isfinite, point))]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        drawn.append(f'<polyline class="{curve.style}" points="{path}"/>')
        row = TOP + 10 + 14 * k
        drawn.append(f'<polyline class="{curve.style}" points="{WIDTH - 128},{row - 4} {WIDTH - 106},{row - 4}"/>')
        drawn.append(f'<text x="{WIDTH - 100}" y="{row}">{text(curve.name)}</text>')
    return _figure(title, x, y, drawn, caption)


def band_plot(title: str, x: Axis, y: Axis, rows: Sequence[tuple[float, float, float, float]], *, caption: str) -> str:
    """Medians with a band of quartiles, beside the diagonal of right answers; a row is x, low, middle, high."""
    up = [_at(x, y, a, high) for a, _, _, high in rows]
    down = [_at(x, y, a, low) for a, low, _, _ in reversed(rows)]
    band = " ".join(f"{a:.1f},{b:.1f}" for a, b in (*up, *down))
    middle = " ".join(f"{a:.1f},{b:.1f}" for a, b in (_at(x, y, row[0], row[2]) for row in rows))
    end = min(x.high, y.high)
    right = [f"{a:.1f},{b:.1f}" for a, b in (_at(x, y, 0.0, 0.0), _at(x, y, end, end))]
    drawn = [
        f'<polygon class="band" points="{band}"/>',
        f'<polyline class="three" points="{" ".join(right)}"/>',
        f'<polyline class="one" points="{middle}"/>',
    ]
    return _figure(title, x, y, drawn, caption)


LABEL_HEIGHT = 10
_LETTER_WIDTH = 4.9


def _labels(points: Sequence[tuple[float, float, str]]) -> list[str]:
    """Names beside their dots, each moved down or up until it covers no other."""
    taken: list[tuple[float, float, float]] = []
    drawn = []
    for a, b, name in sorted(points, key=lambda point: point[1]):
        width = _LETTER_WIDTH * len(name)
        left = a + 7 + width > WIDTH - 2
        start = a - 7 - width if left else a + 7
        for step in range(24):
            # 0, 1, -1, 2, -2 ... lines away
            row = b + 3 + LABEL_HEIGHT * ((step + 1) // 2) * (1 if step % 2 else -1)
            inside = TOP + 6 < row < HEIGHT - BOTTOM
            free = all(abs(row - y) >= LABEL_HEIGHT or start > high or start + width < low for low, high, y in taken)
            if inside and free:
                break
        taken.append((start, start + width, row))
        drawn.append(f'<text class="named" x="{start:.1f}" y="{row:.1f}">{text(name)}</text>')
    return drawn


def _round_step(least: float) -> float:
    if not least > 0:
        return 1.0
    ten = 10.0 ** math.floor(math.log10(least))
    return next(step * ten for step in (1, 2, 2.5, 5, 10) if step * ten >= least - 1e-12)


def _at(x: Axis, y: Axis, a: float, b: float) -> tuple[float, float]:
    return (
        LEFT + x.share(a) * (WIDTH - LEFT - RIGHT),
        HEIGHT - BOTTOM - y.share(b) * (HEIGHT - TOP - BOTTOM),
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _figure(title: str, x: Axis, y: Axis, drawn: Sequence[str], caption: str) -> str:
    bottom, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    axes = [_line(LEFT, bottom, end, bottom), _line(LEFT, TOP, LEFT, bottom)]
    for value in x.ticks():
        at, _ = _at(x, y, value, y.low)
        axes.append(_line(at, bottom, at, bottom + 3))
        axes.append(f'<text x="{at:.1f}" y="{bottom + 14}" text-anchor="middle">{value:g}</text>')
    for value in y.ticks():
        _, at = _at(x, y, x.low, value)
        axes.append(_line(LEFT - 3, at, LEFT, at))
        axes.append(f'<text x="{LEFT - 6}" y="{at + 3:.1f}" text-anchor="end">{value:g}</text>')
    middle = (TOP + bottom) / 2
    axes.append(
        f'<text class="label" x="{(LEFT + end) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{text(x.label)}</text>'
    )
    axes.append(
        f'<text class="label" x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">'
        f"{text(y.label)}</text>"
    )
    return (
        f"<figure><strong>{text(title)}</strong>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{text(title)}">{"".join(drawn)}{"".join(axes)}</svg>'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )

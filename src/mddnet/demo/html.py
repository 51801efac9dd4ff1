"""HTML of the page: colour scales, values at a point, facts, and the plot of the lens law as SVG."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape

import numpy as np

from mddnet.demo.page_maps import PageMaps, PointValues
from mddnet.demo.pictures import Panel, metres
from mddnet.optics import signed_defocus_px
from mddnet.predict.point_cloud import FAR_OVER_NEAR, PointCloud

PLOT_POINTS = 700
PLOT_SIZE = (640, 380)
FRONT_COLOUR, BEHIND_COLOUR, LAW_COLOUR = "#4a8fe0", "#d9822b", "#12a37a"


def scale_html(name: str, panel: Panel) -> str:
    """The colour scale of a picture, with quantity, unit and both ends."""
    if panel.scale is None:
        return f'<div class="mdd-scale"><p>{escape(name)}</p></div>'
    scale = panel.scale
    stops = ",".join("rgb({},{},{})".format(*scale.table[i]) for i in range(0, 256, 17))
    title, low, high = escape(scale.title), escape(scale.low), escape(scale.high)
    return (
        f'<div class="mdd-scale" role="img" aria-label="colour scale: {title}, from {low} to {high}">'
        f'<p>{title}</p><div style="height:12px;border-radius:3px;background:linear-gradient(to right,{stops})"></div>'
        f'<div class="mdd-ends"><span>{low}</span><span>{high}</span></div></div>'
    )


def depth_text(values: PointValues, unit: str) -> str:
    """Inverse depth of a point with its unit, and metres if known."""
    if values.depth_m is not None:
        return f"{values.inv_depth:.3g} 1/m = {metres(values.inv_depth)}"
    return f"{values.inv_depth:.3g} ({unit}; larger is nearer)"


def defocus_text(signed_px: float) -> str:
    """A signed CoC as text: ``3.2 px, behind the plane of focus``."""
    if abs(signed_px) < 0.5:
        return f"{abs(signed_px):.2g} px, in focus"
    return f"{abs(signed_px):.3g} px, {'behind' if signed_px > 0 else 'in front of'} the plane of focus"


def point_html(values: PointValues | None, unit: str = "") -> str:
    """The values at a point as a small table."""
    if values is None:
        return '<p class="mdd-point">No point selected: click a picture, or enter column and row.</p>'
    rows = (
        ("point", f"column {values.x_px}, row {values.y_px}"),
        ("inverse depth", depth_text(values, unit)),
        ("circle of confusion", defocus_text(values.signed_defocus_px)),
        ("confidence", f"{values.confidence:.2f} of 1"),
    )
    cells = "".join(f"<tr><th scope='row'>{name}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f'<table class="mdd-point"><caption>Values at the point</caption>{cells}</table>'


def facts_html(maps: PageMaps) -> str:
    """Size, unit, plane of focus and notes as text."""
    focus = maps.focus
    residual = f"residual of the lens law {focus.residual_px:.2g} px"
    if not focus.found:
        where = f"No plane of focus found: {focus.reason}."
    elif maps.unit == "1/m":
        distance = f"{metres(focus.u_focus)} from the lens" if focus.u_focus > 1e-4 else "infinity"
        where = f"Depth is in metres. In focus at {distance}; {focus.kappa_px:.3g} px of blur per 1/m, {residual}."
    elif maps.unit == "1/m from focus":
        where = (
            f"Depth is in 1/m from the plane of focus; {focus.kappa_px:.3g} px of blur per 1/m, {residual}. "
            "Enter the focus distance to get metres."
        )
    else:
        where = (
            f"In focus at u = {focus.u_focus:.3g}; {residual}. Depth is relative: enter focal length, f-number, pixel "
            "pitch and focus distance to get metres."
        )
    seconds = "" if maps.model_s is None else f" Predicted in {maps.model_s:.2f} s."
    notes = "".join(f"<li>{escape(note)}</li>" for note in maps.notes)
    text = escape(f"{maps.width_px} × {maps.height_px} px. {where}{seconds}")
    return f"<p>{text}</p>" + (f"<ul>{notes}</ul>" if notes else "")


def point_cloud_text(cloud: PointCloud) -> str:
    """Number, unit and extent of the points."""
    z = -cloud.positions[:, 2]
    if cloud.metric:
        unit = f"in metres, from {metres(1 / float(z.min()))} to {metres(1 / float(z.max()))} from the lens"
    else:
        unit = f"without a unit: only their order is valid, scaled to distances of 1 to {FAR_OVER_NEAR:g}"
    camera = "assumed field of view" if cloud.camera.assumed else "field of view by the lens facts"
    return f"{len(z)} points {unit}; {camera}."


@dataclass(frozen=True)
class _Plot:
    """Axes of the plot: inverse depth from ``low`` to ``high``, CoC from 0 to ``most``; the rest is in SVG units."""

    low: float
    high: float
    most: float
    left: int = 70
    right: int = 604
    bottom: int = 316
    top: int = 14

    def x(self, inv_depth: float) -> float:
        return self.left + (inv_depth - self.low) / (self.high - self.low) * (self.right - self.left)

    def y(self, coc_px: float) -> float:
        return self.bottom - min(coc_px, self.most) / self.most * (self.bottom - self.top)

    def at(self, inv_depth: float, signed_px: float) -> str:
        return f'cx="{self.x(inv_depth):.1f}" cy="{self.y(abs(signed_px)):.1f}"'

    def axes(self, unit: str) -> str:
        middle_x, middle_y, below = (self.left + self.right) / 2, (self.top + self.bottom) / 2, self.bottom
        marks = f'<path d="M{self.left} {self.top}V{below}H{self.right}" fill="none" stroke="currentColor"/>'
        for u in _ticks(self.low, self.high):
            x, text = self.x(u), f'text-anchor="middle" x="{self.x(u):.1f}"'
            marks += f'<path d="M{x:.1f} {below}v4" stroke="currentColor"/><text y="{below + 18}" {text}>{u:.3g}</text>'
            marks += f'<text y="{below + 34}" {text}>{metres(u)}</text>' if unit == "1/m" else ""
        for px in _ticks(0.0, self.most):
            y = self.y(px)
            marks += f'<path d="M{self.left - 4} {y:.1f}h4" stroke="currentColor"/>'
            marks += f'<text x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">{px:g}</text>'
        title = f"inverse depth, {unit}{' (metres below)' if unit == '1/m' else ''}; nearer to the right"
        return (
            f'{marks}<text x="{middle_x}" y="{PLOT_SIZE[1] - 8}" text-anchor="middle">{title}</text>'
            f'<text transform="translate(16 {middle_y}) rotate(-90)" text-anchor="middle">'
            "circle of confusion, px of the photo</text>"
        )


def law_svg(maps: PageMaps, values: PointValues | None = None) -> str:
    """Defocus over inverse depth of random pixels as SVG, with the V of the lens law; the opacity is the confidence."""
    u = maps.inv_depth.reshape(-1)
    at = np.random.default_rng(0).choice(u.size, min(PLOT_POINTS, u.size), replace=False)
    u, signed, confidence = u[at], maps.signed_defocus_px.reshape(-1)[at], maps.confidence.reshape(-1)[at]
    low, high = (float(value) for value in np.percentile(u, [0.5, 99.5]))
    tip, kappa = maps.focus.u_focus, maps.focus.kappa_px
    if maps.focus.found and low - (high - low) < tip < high + (high - low):
        low, high = min(low, tip), max(high, tip)
    margin = 0.05 * max(high - low, 1e-6)
    plot = _Plot(low - margin, high + margin, max(2.0, 1.1 * float(np.percentile(np.abs(signed), 99.5))))
    low, high = plot.low, plot.high

    marks = []
    for value, coc, trust in zip(u.tolist(), signed.tolist(), confidence.tolist(), strict=True):
        if low <= value <= high and abs(coc) <= plot.most:
            fill = f'fill="{BEHIND_COLOUR if coc > 0 else FRONT_COLOUR}" fill-opacity="{0.15 + 0.75 * trust:.2f}"'
            marks.append(f'<circle {plot.at(value, coc)} r="2.4" {fill}/>')
    law, legend = "", "no plane of focus was found"
    if maps.focus.found:
        legend = f"the fitted lens law is a V with its tip at {tip:.3g}"
        # The part of the V inside the plot: up to ``reach`` from its tip.
        reach = plot.most / kappa
        ends = [value for value in (max(low, tip - reach), tip, min(high, tip + reach)) if low <= value <= high]
        corners = " ".join(f"{plot.x(end):.1f},{plot.y(abs(signed_defocus_px(end, tip, kappa))):.1f}" for end in ends)
        law = f'<polyline points="{corners}" fill="none" stroke="{LAW_COLOUR}" stroke-width="2.5"/>'
    cross = ""
    if values is not None and low <= values.inv_depth <= high:
        position = plot.at(values.inv_depth, values.signed_defocus_px)
        cross = f'<circle {position} r="7" fill="none" stroke="currentColor" stroke-width="2.5"/>'
    label = escape(f"Defocus in pixels of the photo over inverse depth ({maps.unit}) of {len(marks)} pixels; {legend}.")
    key = (
        f'<div class="mdd-key"><span style="color:{FRONT_COLOUR}">●</span> in front of the plane of focus '
        f'<span style="color:{BEHIND_COLOUR}">●</span> behind it <span style="color:{LAW_COLOUR}">━</span> '
        "lens law ○ selected point; dashed: point under the pointer. Fainter points are less confident.</div>"
    )
    return (
        f'<svg viewBox="0 0 {PLOT_SIZE[0]} {PLOT_SIZE[1]}" role="img" aria-label="{label}" class="mdd-law" '
        f'data-plot="{escape(json.dumps(vars(plot)))}">{"".join(marks)}{plot.axes(maps.unit)}{law}{cross}</svg>{key}'
    )


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers in [low, high]."""
    step = 10.0 ** np.floor(np.log10(max(high - low, 1e-12) / 4))
    for factor in (1, 2, 5, 10):
        first = np.ceil(low / (step * factor)) * step * factor
        ticks = np.arange(first, high + 1e-9 * (high - low), step * factor)
        if len(ticks) <= 8:
            break
    return [0.0 if abs(tick) < 1e-12 else float(tick) for tick in ticks]

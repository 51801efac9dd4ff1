"""What stands beside the pictures as HTML: scales, values at a point, the lens law as a plot. It needs no network."""

from __future__ import annotations

import json
from html import escape

import numpy as np

from mddnet.demo.look import Look, PointValues
from mddnet.demo.pictures import Panel, metres
from mddnet.optics import signed_defocus_px
from mddnet.predict.point_cloud import FAR_OVER_NEAR, PointCloud

PLOT_POINTS = 700
PLOT_SIZE = (640, 380)
PLOT_MARGIN = (70, 36, 64, 14)  # left, right, bottom, top
FRONT_COLOUR, BEHIND_COLOUR, LAW_COLOUR = "#4a8fe0", "#d9822b", "#12a37a"


def scale_html(name: str, panel: Panel) -> str:
    """The colour scale of a picture, with its quantity, unit and both ends."""
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


def depth_words(values: PointValues, unit: str) -> str:
    """Inverse depth of a point with its unit, and metres where they are known."""
    if values.depth_m is not None:
        return f"{values.inv_depth:.3g} 1/m = {metres(values.inv_depth)}"
    return f"{values.inv_depth:.3g} ({unit}; larger is nearer)"


def defocus_words(signed_px: float) -> str:
    """A signed CoC in words: ``3.2 px, behind the plane of focus``."""
    if abs(signed_px) < 0.5:
        return f"{abs(signed_px):.2g} px, in focus"
    return f"{abs(signed_px):.3g} px, {'behind' if signed_px > 0 else 'in front of'} the plane of focus"


def point_html(values: PointValues | None, look: Look | None) -> str:
    """The values at a point as a small table."""
    if values is None or look is None:
        return '<p class="mdd-point">No point chosen: click a picture, or give its column and row.</p>'
    rows = (
        ("point", f"column {values.x_px}, row {values.y_px}"),
        ("inverse depth", depth_words(values, look.unit)),
        ("circle of confusion", defocus_words(values.signed_defocus_px)),
        ("confidence", f"{values.confidence:.2f} of 1"),
    )
    cells = "".join(f"<tr><th scope='row'>{name}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f'<table class="mdd-point"><caption>Values at the point</caption>{cells}</table>'


def facts_html(look: Look) -> str:
    """What was found, in sentences: size, unit, plane of focus, and the notes."""
    focus = look.focus
    if not focus.found:
        where = f"No plane of focus found: {focus.reason}."
    elif look.unit == "1/m":
        distance = f"{metres(focus.u_focus)} from the lens" if focus.u_focus > 1e-4 else "infinity"
        where = f"In focus at {distance}; {focus.kappa_px:.3g} px of blur per 1/m, residual {focus.residual_px:.2g} px."
    elif look.unit == "1/m from focus":
        where = (
            f"Depth counts in 1/m from the plane of focus; {focus.kappa_px:.3g} px of blur per 1/m, residual "
            f"{focus.residual_px:.2g} px. Give the focus distance to get metres."
        )
    else:
        where = (
            f"In focus at u = {focus.u_focus:.3g}; residual of the lens law {focus.residual_px:.2g} px. Depth is "
            "relative: give focal length, f-number, pixel pitch and focus distance to get metres."
        )
    sentences = [f"{look.width_px} × {look.height_px} px."]
    if look.unit == "1/m":
        sentences.append("Depth is in metres.")
    sentences.append(where)
    if look.model_s is not None:
        sentences.append(f"Predicted in {look.model_s:.2f} s.")
    notes = "".join(f"<li>{escape(note)}</li>" for note in look.notes)
    return f"<p>{escape(' '.join(sentences))}</p>" + (f"<ul>{notes}</ul>" if notes else "")


def cloud_words(cloud: PointCloud) -> str:
    """What the points of a cloud are: how many, their unit, and how far they reach."""
    z = -cloud.positions[:, 2]
    if cloud.metric:
        reach = f"from {metres(1 / float(z.min()))} to {metres(1 / float(z.max()))} from the lens"
        unit = f"in metres, {reach}"
    else:
        unit = f"without a unit: the order in depth is the map's, far was put {FAR_OVER_NEAR:g} times as far as near"
    camera = "a field of view that is assumed" if cloud.camera.assumed else "the field of view of the lens facts"
    return f"{len(z)} points {unit}; {camera}."


def law_svg(look: Look, values: PointValues | None = None) -> str:
    """Defocus against inverse depth as SVG, with the V of the fitted lens law and the chosen point.

    Points are a fixed random draw of pixels; the more confident a pixel, the more opaque.
    """
    u = look.inv_depth.reshape(-1)
    at = np.random.default_rng(0).choice(u.size, min(PLOT_POINTS, u.size), replace=False)
    u, signed = u[at], look.signed_defocus_px.reshape(-1)[at]
    confidence = look.confidence.reshape(-1)[at]
    low, high = (float(value) for value in np.percentile(u, [0.5, 99.5]))
    if look.focus.found and low - (high - low) < look.focus.u_focus < high + (high - low):
        low, high = min(low, look.focus.u_focus), max(high, look.focus.u_focus)
    span = max(high - low, 1e-6)
    low, high = low - 0.05 * span, high + 0.05 * span
    top = max(2.0, 1.1 * float(np.percentile(np.abs(signed), 99.5)))
    width, height = PLOT_SIZE
    left, right, bottom, over = PLOT_MARGIN

    def x_of(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - right)

    def y_of(value: float) -> float:
        return over + (1 - value / top) * (height - over - bottom)

    marks = []
    for value, coc, trust in zip(u.tolist(), signed.tolist(), confidence.tolist(), strict=True):
        if low <= value <= high and abs(coc) <= top:
            colour = BEHIND_COLOUR if coc > 0 else FRONT_COLOUR
            marks.append(
                f'<circle cx="{x_of(value):.1f}" cy="{y_of(abs(coc)):.1f}" r="2.4" fill="{colour}" '
                f'fill-opacity="{0.15 + 0.75 * trust:.2f}"/>'
            )
    axes = [
        f'<path d="M{left} {over}V{height - bottom}H{width - right}" fill="none" stroke="currentColor"/>',
        *(_x_tick(value, x_of(value), height - bottom, look.unit) for value in _ticks(low, high)),
        *(
            f'<path d="M{left - 4} {y_of(value):.1f}h4" stroke="currentColor"/><text x="{left - 8}" '
            f'y="{y_of(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
            for value in _ticks(0.0, top)
        ),
        f'<text x="{(left + width - right) / 2}" y="{height - 8}" text-anchor="middle">'
        f"inverse depth, {look.unit}{' (metres below)' if look.unit == '1/m' else ''}; nearer to the right</text>",
        f'<text transform="translate(16 {(over + height - bottom) / 2}) rotate(-90)" text-anchor="middle">'
        "circle of confusion, px of the photo</text>",
    ]
    law, legend = "", "no plane of focus was found"
    if look.focus.found:
        legend = f"the fitted lens law is a V with its tip at {look.focus.u_focus:.3g}"
        # The V where it is inside the plot: up to ``reach`` on both sides of its tip.
        tip, reach = look.focus.u_focus, top / look.focus.kappa_px
        corners = []
        for value in (max(low, tip - reach), tip, min(high, tip + reach)):
            coc = abs(signed_defocus_px(value, tip, look.focus.kappa_px))
            if low <= value <= high:
                corners.append(f"{x_of(value):.1f},{y_of(min(coc, top)):.1f}")
        law = f'<polyline points="{" ".join(corners)}" fill="none" stroke="{LAW_COLOUR}" stroke-width="2.5"/>'
    cross = ""
    if values is not None and low <= values.inv_depth <= high:
        x, y = x_of(values.inv_depth), y_of(min(abs(values.signed_defocus_px), top))
        cross = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="none" stroke="currentColor" stroke-width="2.5"/>'
    label = escape(
        f"Defocus in pixels of the photo against inverse depth ({look.unit}) of {len(marks)} pixels; {legend}."
    )
    key = (
        f'<div class="mdd-key"><span style="color:{FRONT_COLOUR}">●</span> in front of the plane of focus '
        f'<span style="color:{BEHIND_COLOUR}">●</span> behind it <span style="color:{LAW_COLOUR}">━</span> '
        "lens law ○ chosen point; dashed, under the pointer. Fainter means less confident.</div>"
    )
    plot = {
        "left": left,
        "right": width - right,
        "low": low,
        "high": high,
        "bottom": height - bottom,
        "top": over,
        "most": top,
    }
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}" class="mdd-law" '
        f'data-plot="{escape(json.dumps(plot))}">' + "".join([*marks, *axes, law, cross]) + f"</svg>{key}"
    )


def _x_tick(value: float, x: float, y: float, unit: str) -> str:
    below = f'<text x="{x:.1f}" y="{y + 34}" text-anchor="middle">{metres(value)}</text>' if unit == "1/m" else ""
    return (
        f'<path d="M{x:.1f} {y}v4" stroke="currentColor"/><text x="{x:.1f}" y="{y + 18}" text-anchor="middle">'
        f"{value:.3g}</text>{below}"
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

"""HTML of the page: colour scales, values at a point, facts, and the plot of the lens law as SVG.

The markup is in ``parts.html.jinja``, which escapes all text.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from mddnet.demo.page_maps import PageMaps, PointValues
from mddnet.demo.pictures import Panel
from mddnet.demo.stack_view import StackView
from mddnet.optics import signed_defocus_px
from mddnet.predict.point_cloud import FAR_OVER_NEAR, PointCloud
from mddnet.predict.verdict import Verdict
from mddnet.predict.words import CALL_WORDS, metres

PLOT_SIZE = (640, 380)
COLOURS = {"front": "#4a8fe0", "behind": "#d9822b", "law": "#12a37a"}
_TEMPLATES = Environment(
    loader=PackageLoader("mddnet.demo", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_PARTS: Any = _TEMPLATES.get_template("parts.html.jinja").module


def scale_html(panel: Panel) -> str:
    """The colour scale of a picture, with quantity, unit and both ends."""
    stops = ",".join("rgb({},{},{})".format(*colour) for colour in panel.table[::17])
    return str(_PARTS.scale(panel, stops))


def verdict_html(verdict: Verdict) -> str:
    """What depth and defocus are worth, in words; nothing if that is unknown."""
    judged = {"Depth": verdict.depth, "Defocus": verdict.defocus}
    known = [
        (name, judgement.call, CALL_WORDS[judgement.call], judgement.reason)
        for name, judgement in judged.items()
        if judgement.call != "unknown"
    ]
    return str(_PARTS.verdict(known))


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
        return str(_PARTS.point(()))
    rows = {
        "point": f"column {values.x_px}, row {values.y_px}",
        "inverse depth": depth_text(values, unit),
        "circle of confusion": defocus_text(values.signed_defocus_px),
        "confidence": f"{values.confidence:.2f} of 1",
    }
    return str(_PARTS.point(rows.items()))


def facts_html(maps: PageMaps) -> str:
    """Verdict, plane of focus, unit, size and notes as text."""
    focus = maps.focus
    if not focus.found:
        where = f"No plane of focus found: {focus.reason}. Blur that you add follows the depth."
    elif maps.unit == "1/m":
        distance = f"{metres(focus.u_focus)} from the lens" if focus.u_focus > 1e-4 else "infinity"
        where = f"Depth is in metres. In focus at {distance}."
    elif maps.unit == "1/m from focus":
        where = "Depth is in 1/m from the plane of focus. Enter the focus distance to get metres."
    else:
        where = "Plane of focus found. Depth is relative: for metres, enter camera and lens."
    seconds = "" if maps.model_s is None else f" Predicted in {maps.model_s:.2f} s."
    size = f"{maps.width_px} × {maps.height_px} px.{seconds}"
    return verdict_html(maps.verdict) + str(_PARTS.facts(where, size, maps.notes))


def stack_html(view: StackView, frame: int) -> str:
    """The frame that is shown, and what is known of the stack, as text."""
    text = f"Left: {view.names[frame]}, {frame + 1} of {len(view.names)} from near to far"
    if view.sharp.unit == "1/m":
        text += f", in focus at {metres(view.u_focus[frame])} from the lens"
    return str(_PARTS.facts(f"{text}.", stack_facts(view), view.sharp.notes))


def stack_facts(view: StackView) -> str:
    """Unit and size of the maps of a stack as text."""
    maps = view.sharp
    unit = "in metres" if maps.unit == "1/m" else "relative" if maps.unit == "relative" else f"in {maps.unit}"
    return f"Depth is {unit}. {maps.width_px} × {maps.height_px} px after alignment."


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

    def at(self, inv_depth: float, signed_px: float) -> tuple[float, float]:
        share = (inv_depth - self.low) / (self.high - self.low), min(abs(signed_px), self.most) / self.most
        x, y = self.left + share[0] * (self.right - self.left), self.bottom - share[1] * (self.bottom - self.top)
        return round(x, 1), round(y, 1)


def law_svg(maps: PageMaps, values: PointValues | None = None) -> str:
    """Defocus over inverse depth of random pixels as SVG, with the V of the lens law; the opacity is the confidence."""
    u = maps.inv_depth.reshape(-1)
    sample = np.random.default_rng(0).choice(u.size, min(700, u.size), replace=False)
    u, signed, confidence = u[sample], maps.signed_defocus_px.reshape(-1)[sample], maps.confidence.reshape(-1)[sample]
    low, high = (float(value) for value in np.percentile(u, [0.5, 99.5]))
    tip, kappa = maps.focus.u_focus, maps.focus.kappa_px
    if maps.focus.found and low - (high - low) < tip < high + (high - low):
        low, high = min(low, tip), max(high, tip)
    margin = 0.05 * max(high - low, 1e-6)
    plot = _Plot(low - margin, high + margin, max(2.0, 1.1 * float(np.percentile(np.abs(signed), 99.5))))
    low, high = plot.low, plot.high

    shown = (u >= low) & (u <= high) & (np.abs(signed) <= plot.most)
    dots = [
        (plot.at(value, coc), COLOURS["behind" if coc > 0 else "front"], f"{0.15 + 0.75 * trust:.2f}")
        for value, coc, trust in zip(*(a[shown].tolist() for a in (u, signed, confidence)), strict=True)
    ]
    corners, legend = "", "no plane of focus was found"
    if maps.focus.found:
        legend = f"the fitted lens law is a V with its tip at {tip:.3g}, residual {maps.focus.residual_px:.2g} px"
        # The part of the V inside the plot: up to ``reach`` from its tip.
        reach = plot.most / kappa
        ends = [value for value in (max(low, tip - reach), tip, min(high, tip + reach)) if low <= value <= high]
        corners = " ".join("{},{}".format(*plot.at(end, signed_defocus_px(end, tip, kappa))) for end in ends)
    ring = None
    if values is not None and low <= values.inv_depth <= high:
        ring = plot.at(values.inv_depth, values.signed_defocus_px)
    label = f"Defocus in pixels of the photo over inverse depth ({maps.unit}) of {len(dots)} pixels; {legend}."
    ticks = {
        "x": [(plot.at(tick, 0)[0], f"{tick:.3g}", metres(tick)) for tick in _ticks(low, high)],
        "y": [(plot.at(low, tick)[1], f"{tick:g}") for tick in _ticks(0.0, plot.most)],
    }
    return str(_PARTS.law(asdict(plot), PLOT_SIZE, maps.unit, label, ticks, dots, corners, ring, COLOURS)).strip()


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers in [low, high]."""
    step = 10.0 ** np.floor(np.log10(max(high - low, 1e-12) / 4))
    for factor in (1, 2, 5, 10):
        first = np.ceil(low / (step * factor)) * step * factor
        ticks = np.arange(first, high + 1e-9 * (high - low), step * factor)
        if len(ticks) <= 8:
            break
    return [0.0 if abs(tick) < 1e-12 else float(tick) for tick in ticks]

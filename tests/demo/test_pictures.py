"""Maps as pictures, scales and the plot of the law."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.support.made_law_model import LawModel, ramp

from mddnet.demo.html import (
    _ticks,
    defocus_text,
    facts_html,
    law_svg,
    point_cloud_text,
    point_html,
    scale_html,
    verdict_html,
)
from mddnet.demo.page_maps import PageMaps, page_maps, points_of, values_at
from mddnet.demo.pictures import LINE_COLOUR, VIEW_BACKGROUND, focus_line, panels, rotated_view
from mddnet.predict.verdict import Judgement, Verdict
from mddnet.predict.words import metres
from mddnet.types import Lens, LensLawFit, Photo


def test_the_line_is_at_the_inverse_depth_of_the_focus() -> None:
    u = np.broadcast_to(np.linspace(0, 1, 200, dtype=np.float32), (100, 200))
    line = focus_line(np.ascontiguousarray(u), 0.25)
    rows, columns = np.nonzero(line)
    assert len(np.unique(rows)) == 100 and abs(columns - 50).max() <= 1


def test_the_line_is_wide_on_a_large_picture_and_has_a_halo() -> None:
    pixels = ramp(600, 800)
    views = panels(page_maps(LawModel().predict(Photo(pixels))))
    row = views["depth"].pixels[300].astype(int)
    green = np.flatnonzero((row == LINE_COLOUR).all(axis=1))
    black = np.flatnonzero((row == 0).all(axis=1))
    assert len(green) == 3 and set(black) == {green[0] - 1, green[-1] + 1}


def test_no_line_without_a_plane_of_focus() -> None:
    assert not focus_line(np.zeros((40, 40), np.float32), float("nan")).any()
    assert not focus_line(np.zeros((40, 40), np.float32), 0.5).any()


def test_panels_have_the_size_of_the_maps_and_units(maps: PageMaps) -> None:
    views = panels(maps)
    assert set(views) == {"depth", "defocus", "confidence"}
    assert all(view.pixels.shape == maps.pixels.shape for view in views.values())
    assert views["depth"].title == "inverse depth, relative"
    plain = panels(maps, with_line=False)["depth"].pixels
    assert (views["depth"].pixels == LINE_COLOUR).all(axis=2).any() and not (plain == LINE_COLOUR).all(axis=2).any()


def test_scales_of_metric_depth_say_metres() -> None:
    lens = Lens(focal_mm=50, f_number=2, pixel_um=400, focus_m=1.1025)
    maps = page_maps(LawModel().predict(Photo(ramp(), lens)))
    html = scale_html(panels(maps)["depth"])
    assert "inverse depth, 1/m" in html and " m)" in html and 'role="img"' in html
    assert "Depth is in metres." in facts_html(maps) and "(metres below)" in law_svg(maps)


def test_the_plot_is_well_formed_and_holds_the_v(maps: PageMaps) -> None:
    svg = law_svg(maps, values_at(maps, 70, 5)).partition("<div")[0]
    root = ElementTree.fromstring(svg)
    assert "Defocus in pixels" in root.attrib["aria-label"] and root.attrib["role"] == "img"
    line = next(child for child in root if child.tag == "polyline")
    corners = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert len(corners) == 3 and corners[0][1] < corners[1][1] > corners[2][1]
    assert corners[1][0] == pytest.approx((corners[0][0] + corners[2][0]) / 2, abs=2)  # the tip, at u = 0.5


def test_the_plot_marks_the_position_of_a_value(maps: PageMaps) -> None:
    values = values_at(maps, 70, 5)
    root = ElementTree.fromstring(law_svg(maps, values).partition("<div")[0])
    plot = json.loads(root.attrib["data-plot"])
    ring = list(root)[-1]
    share = (values.inv_depth - plot["low"]) / (plot["high"] - plot["low"])
    assert float(ring.attrib["cx"]) == pytest.approx(plot["left"] + share * (plot["right"] - plot["left"]), abs=0.1)
    share = abs(values.signed_defocus_px) / plot["most"]
    assert float(ring.attrib["cy"]) == pytest.approx(plot["bottom"] + share * (plot["top"] - plot["bottom"]), abs=0.1)


def test_the_plot_without_a_law(maps: PageMaps) -> None:
    lost = replace(maps, focus=LensLawFit(False, float("nan"), float("nan"), 1.0, "all is <sharp>"))
    assert "polyline" not in law_svg(lost) and "no plane of focus was found" in law_svg(lost)
    assert "all is &lt;sharp&gt;" in facts_html(lost)


def test_the_verdict_is_said_in_words(maps: PageMaps) -> None:
    assert verdict_html(maps.verdict) == ""  # the model of the law has none
    verdict = Verdict(Judgement("do_not_trust", "a <b> stripe", 0.1), Judgement("good", None, 0.9))
    html = facts_html(replace(maps, verdict=verdict))
    assert "do not trust it</span> a &lt;b&gt; stripe." in html and ">good</span></dd>" in html


def test_notes_are_escaped(maps: PageMaps) -> None:
    html = facts_html(replace(maps, notes=("<script>alert(1)</script>",)))
    assert "<script>" not in html and "&lt;script&gt;" in html


def test_text_for_values(maps: PageMaps) -> None:
    html = point_html(values_at(maps, 0, 0), maps.unit)
    assert "10 px, behind the plane of focus" in html and "0.75 of 1" in html and "column 0, row 0" in html
    assert "Click a picture" in point_html(None)
    assert defocus_text(0.2) == "0.2 px, in focus" and "in front" in defocus_text(-3)
    assert metres(0.8) == "1.25 m" and metres(0) == "infinity" and metres(1 / 1234) == "1230 m"


def test_text_for_points(maps: PageMaps) -> None:
    assert "4800 points without a unit" in point_cloud_text(points_of(maps))
    lens = Lens(focal_mm=50, f_number=2, pixel_um=400, focus_m=1.1025)
    words = point_cloud_text(points_of(page_maps(LawModel().predict(Photo(ramp(), lens)))))
    assert re.search(r"points in metres, from [\d.]+ m to [\d.]+ m from the lens", words) and "lens facts" in words


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.2, 3.7), (0.41, 0.43), (0, 128)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = _ticks(low, high)
    assert 3 <= len(ticks) <= 8 and low <= ticks[0] and ticks[-1] <= high + 1e-6
    assert all(re.fullmatch(r"-?\d+(\.\d{1,3})?", f"{tick:.3g}") for tick in ticks)


def test_a_rotated_view_moves_near_points_against_far_ones(maps: PageMaps) -> None:
    cloud = points_of(maps)
    front = rotated_view(cloud, 0, 0)
    assert front.shape == (600, 900, 3)
    seen = (front != VIEW_BACKGROUND).any(axis=2)
    assert 0.2 < seen.mean() < 0.9
    for angles in ((30, 0), (0, 30)):
        assert (rotated_view(cloud, *angles) != front).any()
    # Red is near: walking to the right, near things move to the left against far ones.
    columns = np.arange(900)

    def offset(picture: np.ndarray) -> float:
        shown = (picture != VIEW_BACKGROUND).any(axis=2)
        near, far = shown & (picture[:, :, 0] > 200), shown & (picture[:, :, 0] < 30)
        return float(columns[np.nonzero(near)[1]].mean() - columns[np.nonzero(far)[1]].mean())

    assert offset(rotated_view(cloud, 20, 0)) < offset(front)

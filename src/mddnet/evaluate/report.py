"""The report of an evaluation: one self-contained HTML page, and a figure that compares methods.

Needs Jinja and matplotlib (extra ``report``). The page has no scripts and loads nothing; all text is escaped.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from PIL import Image

from mddnet.evaluate.provenance import provenance_line
from mddnet.evaluate.result import MACRO, REMOVED_PERCENT, Evaluation, MethodResult, SourceResult
from mddnet.evaluate.tables import ResultTable, cell, heading, result_tables, source_tables
from mddnet.metrics import METRICS, Metric
from mddnet.metrics.sparsification import ERRORS
from mddnet.scenes.small_pictures import SmallPicture


def report_files(evaluation: Evaluation, made: Mapping[str, str]) -> dict[str, bytes]:
    """``report.html``, and ``comparison.jpg`` if there are baselines and photos."""
    files = {"report.html": report_page(evaluation, made).encode("utf-8", "backslashreplace")}
    if evaluation.baselines and (rows := _compared_cases(evaluation)):
        files["comparison.jpg"] = _comparison(rows)
    return files


def report_page(evaluation: Evaluation, made: Mapping[str, str]) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("mddnet.evaluate", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["jpeg"] = lambda picture: _address(picture.jpeg, "jpeg")
    sections = [_section(result, evaluation) for result in evaluation.kinds.values()]
    shown = {table.title for section in sections for table in section["tables"]}
    rest = [t for t in result_tables(evaluation) if t.title not in shown and t.title != "Not measured"]
    return environment.get_template("report.html.jinja").render(
        title=heading(evaluation),
        evaluation=evaluation,
        made=provenance_line(made, evaluation.seconds),
        sections=sections,
        rest=rest,
    )


def _section(result: SourceResult, evaluation: Evaluation) -> dict[str, Any]:
    """One kind of scene, or a data set, for the template."""
    model = result.model
    photos = len({(row.scene, row.file) for row in model.frames})
    groups = "locations" if result.source.averaged == "location" else "groups"
    cases = []
    for key, (worst, best) in result.cases.items():
        label = f"{METRICS[key].group}, {METRICS[key].title}"
        cases += [(f"Worst by {label}", worst), (f"Best by {label}", best)]
    return {
        "title": result.source.title,
        "counts": f"{photos} photos, {len(model.scenes)} scenes, {len(model.locations)} {groups}",
        "headlines": _headlines(model),
        "figures": {title: _address(_encoded(figure, "png", dpi=110), "png") for title, figure in _figures(model)},
        "cases": [(label, found) for label, found in cases if found],
        "tables": source_tables(result, evaluation),
    }


def _headlines(model: MethodResult) -> ResultTable:
    rows = []
    for metric, reference in _with_reference(model):
        expected = f"{cell(model.macro, reference)} ({reference.title})"
        rows.append((f"{metric.group}: {metric.title}", cell(model.macro, metric), expected, metric.better))
    return ResultTable("", ("metric", "model", "reference", "better"), tuple(rows))


def _with_reference(model: MethodResult) -> list[tuple[Metric, Metric]]:
    """The metrics with a reference, where both were measured."""
    pairs = [(metric, METRICS[metric.reference_key]) for metric in METRICS.values() if metric.reference_key is not None]
    return [pair for pair in pairs if all(metric.key in model.macro for metric in pair)]


def _figures(model: MethodResult) -> Iterator[tuple[str, Figure]]:
    for metric, reference in _with_reference(model):
        if metric.group != "confidence":
            yield f"{metric.group}: {metric.title}", _against_reference(model, metric, reference)
    for error, by_location in model.confidence.items():
        curve = by_location[MACRO]
        figure, axes = _axes("least confident removed, %", f"{ERRORS[error].label}: mean of the rest")
        axes.plot(REMOVED_PERCENT, curve.error, label="model")
        axes.plot(REMOVED_PERCENT, curve.oracle, "--", label="oracle")
        axes.axhline(curve.error[0], color="grey", linestyle=":", label="constant confidence")
        axes.set_ylim(bottom=0)
        axes.legend()
        yield f"Sparsification: {ERRORS[error].label}", figure
    if model.reliability is None:
        return
    bins = model.reliability.coc
    if len(bins) > 1:
        figure, axes = _axes("true CoC, px", "predicted CoC, px")
        middle = [(found.low_px + found.high_px) / 2 for found in bins]
        low, median, high = np.transpose([found.quartiles_px for found in bins])
        axes.fill_between(middle, low, high, alpha=0.25)
        axes.plot(middle, median)
        axes.plot([0, middle[-1]], [0, middle[-1]], color="grey", linestyle=":")
        yield "Defocus response: median and middle half", figure
    for name, label in (("coc_error_px", "mean |CoC error|, px"), ("inv_depth_error", "mean error, share of range")):
        points = [((b.low + b.high) / 2, getattr(b, name)) for b in model.reliability.confidence]
        points = [point for point in points if math.isfinite(point[1])]
        if len(points) > 1:
            figure, axes = _axes("confidence", label)
            axes.plot(*zip(*points, strict=True), marker="o")
            axes.set_ylim(bottom=0)
            yield f"Reliability: {label}", figure


def _against_reference(model: MethodResult, metric: Metric, reference: Metric) -> Figure:
    """Scatter plot of photos (small) and locations (large): the model against the reference."""
    figure, axes = _axes(f"reference: {reference.label}", f"the model: {metric.label}")
    for values, size, alpha in (
        ([row.measures for row in model.frames], 8, 0.4),
        (list(model.locations.values()), 36, 1.0),
    ):
        points = [(v.get(reference.key, math.nan), v.get(metric.key, math.nan)) for v in values]
        axes.scatter(*np.reshape(points, (-1, 2)).T, s=size, alpha=alpha, color="tab:blue", edgecolors="none")
    for location, summary in model.locations.items():
        at = summary.get(reference.key, math.nan), summary.get(metric.key, math.nan)
        if all(map(math.isfinite, at)):
            axes.annotate(location.replace("$", r"\$"), at, xytext=(4, 2), textcoords="offset points", fontsize=6)
    low = max(axes.get_xlim()[0], axes.get_ylim()[0])
    axes.axline((low, low), slope=1, color="grey", linestyle=":")
    axes.set_title(f"better {'above' if metric.better == 'higher' else 'below'} the line", fontsize=8)
    return figure


def _axes(x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(3.6, 2.8), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.tick_params(labelsize=7)
    return figure, axes


def _address(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _compared_cases(evaluation: Evaluation) -> list[tuple[str, tuple[SmallPicture, ...]]]:
    """Each photo among the worst or the best once, at most 24."""
    cases = {
        (kind, case.name): case
        for kind, result in evaluation.kinds.items()
        for worst, best in result.cases.values()
        for case in (*worst, *best)
    }
    return [(f"{case.name} ({case.location})", case.pictures) for case in list(cases.values())[:24]]


def _comparison(rows: list[tuple[str, tuple[SmallPicture, ...]]]) -> bytes:
    """A JPEG with one row per photo and one column per map of each method."""
    columns = max(len(pictures) for _, pictures in rows)
    figure = Figure(figsize=(2.4 * columns, 2.2 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for (name, pictures), line in zip(rows, grid, strict=True):
        for axes in line:
            axes.axis("off")
        for axes, picture in zip(line, pictures, strict=False):
            with Image.open(io.BytesIO(picture.jpeg)) as image:
                axes.imshow(np.asarray(image.convert("RGB")))
            title = f"{name}\n{picture.title}" if axes is line[0] else picture.title
            axes.set_title(title.replace("$", r"\$"), fontsize=7, loc="left")
    return _encoded(figure, "jpeg", dpi=100)


def _encoded(figure: Figure, kind: str, dpi: int) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=dpi, metadata={"Software": None} if kind == "png" else None)
    return stream.getvalue()

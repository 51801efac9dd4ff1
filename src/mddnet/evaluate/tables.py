"""Tables of an evaluation, made from the registry of metrics: written as Markdown, printed by rich, and all as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mddnet.evaluate.discs import (
    SHAPE_DIAMETERS_PX,
    SHAPE_LONG_SIDE_PX,
    SLOPE_DIAMETERS_PX,
    Shape,
    SlopeFit,
    SlopeResult,
)
from mddnet.evaluate.pairs import PAIR_RATIO
from mddnet.evaluate.provenance import provenance, provenance_words
from mddnet.evaluate.result import MACRO, REMOVED_PERCENT, Evaluation, SourceResult
from mddnet.evaluate.scenes import BLUR_SHARE_MIN, CONFIDENCE_MIN
from mddnet.io.atomic import atomic_write, plain_json
from mddnet.metrics import METRICS, TEXTURE_SHARE, Metric
from mddnet.metrics.registry import Group, in_group

if TYPE_CHECKING:
    from rich.console import Console

EVALUATION_FORMAT = 2
_CURVES = {
    "coc": ("CoC error, px", 2),
    "inv_depth": ("inverse depth error, share of the range", 3),
    "order": ("wrong order of depth", 3),
}
_DEPTH_GROUPS = ("depth", "metric depth", "metric depth, shares and boundaries")
_FILE_WIDTH = 120


@dataclass(frozen=True, slots=True)
class ResultTable:
    """A table ready to be shown.

    Attributes:
        title: one line.
        columns: names of the columns, the first one names the rows.
        rows: cells as text.
        note: what the columns mean.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def result_tables(evaluation: Evaluation) -> list[ResultTable]:
    """All tables of an evaluation, in the order in which they are read."""
    tables: list[ResultTable] = []
    for result in evaluation.kinds.values():
        tables += source_tables(result, evaluation)
    if evaluation.coc_slope is not None:
        tables.append(_slope_table(evaluation.coc_slope))
    if evaluation.psf_shapes is not None:
        tables.append(_shape_table(evaluation.psf_shapes))
    if evaluation.speed is not None:
        s = evaluation.speed
        cells = (s.what, f"{s.width} x {s.height}", number(s.milliseconds, 1), str(s.runs))
        tables.append(ResultTable("Speed", ("what", "size", "median ms", "runs"), (cells,)))
    if evaluation.failures:
        cells_of = tuple((what, " ".join(why.split())) for what, why in evaluation.failures)
        tables.append(ResultTable("Not measured", ("what", "why"), cells_of))
    return tables


def source_tables(result: SourceResult, evaluation: Evaluation) -> list[ResultTable]:
    """The tables of one kind of scene, of the pairs, or of a data set."""
    if not result.model.locations:
        return [ResultTable(result.title, ("location",), (), "Nothing of this kind in this split.")]
    tables = [table for group in get_args(Group) if (table := _group_table(result, group, evaluation)) is not None]
    if result.model.confidence:
        tables.append(_curve_table(result))
    return tables + list(_compared_tables(result, evaluation))


def _group_table(result: SourceResult, group: Group, evaluation: Evaluation) -> ResultTable | None:
    """A row per location, a column per metric of the group that has a number."""
    model = result.model
    shown = [metric for metric in in_group(group) if metric.key in model.macro]
    if not shown:
        return None
    keys = {metric.key for metric in shown}
    counts = {
        location: sum(row.location == location and bool(keys & set(row.measures)) for row in model.frames)
        for location in model.locations
    }
    rows = [
        (location, str(counts[location]), *(cell(values, metric) for metric in shown))
        for location, values in model.locations.items()
        if counts[location]
    ]
    last = "**macro**" if result.averaged == "location" else "**all photos**"
    rows.append((last, str(sum(counts.values())), *(cell(model.macro, metric) for metric in shown)))
    head = ("location" if result.averaged == "location" else "group", "photos", *(metric.label for metric in shown))
    title = result.title if group == result.title.lower() else f"{result.title}: {group}"
    return ResultTable(title, head, tuple(rows), _note(result, group, shown, evaluation))


def _note(result: SourceResult, group: Group, shown: Sequence[Metric], evaluation: Evaluation) -> str:
    """What the columns mean, at which pixels, after which alignment."""
    options = evaluation.options
    parts = [metric.note for metric in shown if metric.note]
    if "dataset" in options:
        cap = f" Cap: {options['cap']}." if group in (*_DEPTH_GROUPS, "confidence") else ""
        parts.insert(0, f"Mask: {options['mask']}. Crop: {options['crop']}.{cap}")
    elif group == "near/far pairs":
        parts.append(f"Clear: one photo's smoothed Laplacian is more than {PAIR_RATIO:g} times the other's.")
    elif group == "depth":
        parts.append(
            f"Pixels: textured (upper {TEXTURE_SHARE:.0%}) and known (confidence > {CONFIDENCE_MIN:g}). Photos without "
            f"visible blur left out: {sum(result.photos_without_blur.values())} (clear CoCs in under "
            f"{BLUR_SHARE_MIN:.0%} of the pixel pairs)."
        )
    elif group == "defocus order" and result.photos_without_true_defocus:
        parts.append(f"Photos of captures known in order only, not in CoC: {result.photos_without_true_defocus}.")
    if group.startswith("metric depth"):
        parts.append(f"All known pixels. Alignment: {options['alignment']}.")
    if group == "blur detection":
        parts.append(f"Blurred: CoC > {options['blur_threshold_px']:g} px, in the prediction and in the truth.")
    return " ".join(parts)


def _curve_table(result: SourceResult) -> ResultTable:
    rows = []
    for error, by_location in result.model.confidence.items():
        label, digits = _CURVES[error]
        curve = by_location[MACRO]
        rows.append((label, *(number(value, digits) for value in curve.error)))
        rows.append((f"{label}: oracle", *(number(value, digits) for value in curve.oracle)))
    head = ("mean of the error of what is left", *(f"-{percent} %" for percent in REMOVED_PERCENT))
    note = "The least confident pixels (pairs) removed first; oracle: the largest errors removed first."
    return ResultTable(f"{result.title}: error without the least confident", head, tuple(rows), note)


def _compared_tables(result: SourceResult, evaluation: Evaluation) -> Iterator[ResultTable]:
    """The methods side by side: one table of defocus and one of depth."""
    stated = {evaluation.model: ("defocus_px", "inv_depth"), **evaluation.baselines}
    over = "photos" if result.averaged == "photo" else "locations"
    note = f"The same photos, means over {over}; what a method does not state is not measured."
    for what in ("defocus", "depth"):
        compared = [m for m in METRICS.values() if m.compared and (m.group in _DEPTH_GROUPS) == (what == "depth")]
        rows = {
            name: method.macro
            for name, method in result.methods.items()
            if any(metric.key in method.macro for metric in compared)
        }
        shown = [metric for metric in compared if any(metric.key in macro for macro in rows.values())]
        if len(rows) > 1:
            cells = tuple(
                (name, ", ".join(stated[name]), *(cell(macro, metric) for metric in shown))
                for name, macro in rows.items()
            )
            aligned = f" Alignment: {evaluation.options['alignment']}." if what == "depth" else ""
            head = ("method", "states", *(metric.label for metric in shown))
            yield ResultTable(f"{result.title}: {what} side by side", head, cells, note + aligned)


def _slope_table(slopes: SlopeResult) -> ResultTable:
    diameters = list(slopes.overall.medians_px)
    rows = [
        (
            label,
            str(fit.photos),
            *(number(fit.medians_px.get(d, math.nan), 2) for d in diameters),
            number(fit.slope, 3),
            number(fit.intercept_px, 2),
        )
        for label, fit in (*((str(size), fit) for size, fit in slopes.by_size.items()), ("**all**", slopes.overall))
    ]
    discs = (f"disc {d:g} px" if d else "as it is" for d in diameters)
    note = (
        "Sharp photos blurred by a disc in linear light. Cells: median over the photos of the median predicted CoC on "
        "textured pixels. Slope: least squares through all blurred points. No photo is enlarged by more than 15 %."
    )
    head = ("long side px", "photos", *discs, "slope", "intercept px")
    return ResultTable("CoC of known size", head, tuple(rows), note)


def _shape_table(fits: Mapping[Shape, SlopeFit]) -> ResultTable:
    rows = tuple(
        (
            shape,
            str(fit.photos),
            *(number(fit.medians_px.get(d, math.nan), 2) for d in SHAPE_DIAMETERS_PX),
            number(fit.slope, 3),
        )
        for shape, fit in fits.items()
    )
    head = ("shape", "photos", *(f"{d:g} px" for d in SHAPE_DIAMETERS_PX), "slope")
    note = (
        f"Sharp photos with a long side of {SHAPE_LONG_SIDE_PX} px, every point drawn as a shape with the variance of "
        "a disc of that diameter. Cells: median over the photos of the median predicted CoC on textured pixels. "
        f"Slope: least squares from {SLOPE_DIAMETERS_PX[0]:g} to {SLOPE_DIAMETERS_PX[-1]:g} px."
    )
    return ResultTable("CoC by the shape of the blur", head, rows, note)


def cell(values: Mapping[str, float], metric: Metric) -> str:
    """A measure as text; ``-`` where it is absent or no number."""
    return number(values.get(metric.key, math.nan), metric.digits)


def number(value: float, digits: int) -> str:
    """A number as text; ``-`` for NaN and infinity."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


# --- output -----------------------------------------------------------------------------------------------------------


def heading(evaluation: Evaluation) -> str:
    """What was measured on what."""
    if "dataset" in evaluation.options:
        return f"{evaluation.model} on {evaluation.kinds[evaluation.options['dataset']].title}"
    return f"{evaluation.model} on the {evaluation.split} split"


def markdown(evaluation: Evaluation, made: Mapping[str, str] | None = None) -> str:
    """The whole evaluation as Markdown; ``made`` says with what, see :mod:`mddnet.evaluate.provenance`."""
    lines = [f"# {heading(evaluation)}", ""]
    if made is not None:
        lines += [provenance_words(made, evaluation.seconds), ""]
    lines += [", ".join(f"{name} {value}" for name, value in evaluation.options.items()) + ".", ""]
    lines += tables_markdown(result_tables(evaluation))
    if evaluation.locations_without_split:
        lines += [f"{_without_split(evaluation)}.", ""]
    return "\n".join(lines)


def _without_split(evaluation: Evaluation) -> str:
    return "Locations that the split does not name, left out: " + ", ".join(evaluation.locations_without_split)


def tables_markdown(tables: Sequence[ResultTable]) -> list[str]:
    """Tables as lines of Markdown, each with a heading and its note."""
    lines: list[str] = []
    for table in tables:
        lines += [f"## {table.title}", ""]
        if table.note:
            lines += [table.note, ""]
        if table.rows:
            lines += [_line(table.columns), "|" + " --- |" * len(table.columns), *(_line(r) for r in table.rows), ""]
    return lines


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def print_tables(evaluation: Evaluation, console: Console) -> None:
    """Print all tables of an evaluation with rich; into a file or pipe they are 120 characters wide."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    if not console.is_terminal:
        console.width = max(console.width, _FILE_WIDTH)
    for table in result_tables(evaluation):
        if not table.rows:
            console.print(f"{table.title}: {table.note}", markup=False, highlight=False)
            continue
        caption = escape(table.note) or None
        shown = Table(title=escape(table.title), caption=caption, caption_justify="left", box=box.SIMPLE_HEAD)
        for i, column in enumerate(table.columns):
            numeric = i > 0 and all(len(row[i]) < 12 for row in table.rows)
            shown.add_column(escape(column), justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
        for row in table.rows:
            bold = row[0].startswith("**")
            shown.add_row(*(escape(text.strip("*")) for text in row), style="bold" if bold else None)
        console.print(shown)
    if evaluation.locations_without_split:
        console.print(_without_split(evaluation), markup=False, highlight=False)


def write_evaluation(evaluation: Evaluation, out: Path) -> tuple[Path, ...]:
    """Write an evaluation into a folder, made if needed, each file whole.

    ``evaluation.json`` has every number (NaN as null) and what it was made with, ``evaluation.md`` the tables. With the
    extra ``report``, ``report.html`` has tables, figures and pictures, and ``comparison.jpg`` the pictures of all
    methods side by side, where the model was compared with others.

    Returns:
        The paths.
    """
    out.mkdir(parents=True, exist_ok=True)
    made = provenance()
    data = {"format": EVALUATION_FORMAT, "made": made, **evaluation.as_dict()}
    contents = {
        "evaluation.json": (json.dumps(plain_json(data), indent=1, allow_nan=False) + "\n").encode(),
        "evaluation.md": markdown(evaluation, made).encode(),
    }
    try:
        from mddnet.evaluate.report import report_files
    except ImportError:
        pass  # the extra is not installed
    else:
        contents |= report_files(evaluation, made)
    for name, content in contents.items():
        atomic_write(out / name, lambda stream, content=content: stream.write(content))  # type: ignore[misc]
    return tuple(out / name for name in contents)

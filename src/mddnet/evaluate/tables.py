"""Tables of an evaluation, generated from the registry of metrics: as Markdown, on the terminal and as JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from mddnet.evaluate.discs import BLURS, SHAPE_DIAMETERS_PX, SHAPE_LONG_SIDE_PX, SLOPE_DIAMETERS_PX, Shape, SlopeFit
from mddnet.evaluate.pairs import PAIR_RATIO
from mddnet.evaluate.provenance import provenance, provenance_line
from mddnet.evaluate.result import MACRO, REMOVED_PERCENT, Evaluation, SourceResult
from mddnet.evaluate.samples import Source
from mddnet.evaluate.scenes import BLUR_SHARE_MIN, CONFIDENCE_MIN
from mddnet.io.atomic import atomic_write, plain_json
from mddnet.metrics import METRICS, TEXTURE_SHARE, Metric
from mddnet.metrics.registry import Group
from mddnet.metrics.sparsification import ERRORS

if TYPE_CHECKING:
    from rich.console import Console

_DEPTH_GROUPS = ("depth", "metric depth", "metric depth, shares and boundaries")
_LEFT_OUT = "Left out, not in the split: "
_CELLS = "Cells: median over photos of the median predicted CoC of textured pixels."
DISC_NOTE = (
    f"Sharp photos blurred by a disc in linear light. {_CELLS} Slope: least squares through all blurred points. No "
    "photo is enlarged by more than 15 %."
)
SHAPE_NOTE = (
    f"Sharp photos with a long side of {SHAPE_LONG_SIDE_PX} px, blurred by a shape with the variance of a disc of that "
    f"diameter. {_CELLS} Slope: least squares from {SLOPE_DIAMETERS_PX[0]:g} to {SLOPE_DIAMETERS_PX[-1]:g} px."
)


@dataclass(frozen=True, slots=True)
class ResultTable:
    """A table as text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""  # meaning of the columns


def result_tables(evaluation: Evaluation) -> list[ResultTable]:
    """All tables of an evaluation."""
    tables: list[ResultTable] = []
    for result in evaluation.kinds.values():
        tables += source_tables(result, evaluation)
    if (slopes := evaluation.coc_slope) is not None:
        fits = {**{str(size): fit for size, fit in slopes.by_size.items()}, "**all**": slopes.overall}
        discs = {d: f"disc {d:g} px" if d else "unchanged" for d in slopes.overall.medians_px}
        tables.append(_slope_table(BLURS["coc_slope"][0], "long side px", fits, discs, DISC_NOTE))
    if evaluation.psf_shapes is not None:
        sizes = {d: f"{d:g} px" for d in SHAPE_DIAMETERS_PX}
        tables.append(_slope_table(BLURS["psf_shapes"][0], "shape", evaluation.psf_shapes, sizes, SHAPE_NOTE, False))
    if evaluation.speed is not None:
        s = evaluation.speed
        cells = (s.what, f"{s.width} x {s.height}", number(s.milliseconds, 1), str(s.runs))
        tables.append(ResultTable("Speed", ("what", "size", "median ms", "runs"), (cells,)))
    if evaluation.failures:
        rows = tuple((what, " ".join(why.split())) for what, why in evaluation.failures)
        tables.append(ResultTable("Not measured", ("what", "why"), rows))
    return tables


def source_tables(result: SourceResult, evaluation: Evaluation) -> list[ResultTable]:
    """The tables of one kind of scene, of the pairs, or of a data set."""
    if not result.model.locations:
        return [ResultTable(result.source.title, ("location",), (), "This split has no captures of this kind.")]
    tables = [table for group in get_args(Group) if (table := _group_table(result, group, evaluation)) is not None]
    if result.model.confidence:
        tables.append(_curve_table(result))
    return tables + list(_compared_tables(result, evaluation))


def _group_table(result: SourceResult, group: Group, evaluation: Evaluation) -> ResultTable | None:
    """One row per location, one column per metric of the group."""
    model = result.model
    shown = [m for m in METRICS.values() if m.group == group and m.title and m.key in model.macro]
    if not shown:
        return None
    keys = {metric.key for metric in shown}
    counts = Counter(row.location for row in model.frames if keys & set(row.measures))
    rows = [
        (location, str(counts[location]), *(cell(values, metric) for metric in shown))
        for location, values in model.locations.items()
        if counts[location]
    ]
    first, last = ("location", "**macro**") if result.source.averaged == "location" else ("group", "**all photos**")
    rows.append((last, str(counts.total()), *(cell(model.macro, metric) for metric in shown)))
    head = (first, "photos", *(metric.label for metric in shown))
    title = result.source.title if group == result.source.title.lower() else f"{result.source.title}: {group}"
    return ResultTable(title, head, tuple(rows), _note(result.source, group, shown, evaluation))


def _note(source: Source, group: Group, shown: Sequence[Metric], evaluation: Evaluation) -> str:
    """Meaning of the columns, evaluated pixels, alignment."""
    options = evaluation.options
    parts = [metric.note for metric in shown if metric.note]
    if "dataset" in options:
        cap = f" Cap: {options['cap']}." if group in (*_DEPTH_GROUPS, "confidence") else ""
        parts.insert(0, f"Mask: {options['mask']}. Crop: {options['crop']}.{cap}")
    elif group == "near/far pairs":
        parts.append(f"Clear: the smoothed Laplacian of one photo is more than {PAIR_RATIO:g} times that of the other.")
    elif group == "depth":
        parts.append(
            f"Pixels: textured (upper {TEXTURE_SHARE:.0%}) and known (confidence > {CONFIDENCE_MIN:g}). "
            f"{sum(source.photos_without_blur.values())} photos without visible blur are left out (clearly different "
            f"CoCs in less than {BLUR_SHARE_MIN:.0%} of the pixel pairs)."
        )
    elif group == "defocus order" and source.photos_without_true_defocus:
        parts.append(f"{source.photos_without_true_defocus} photos of captures with ordinal depth have no known CoC.")
    if group.startswith("metric depth"):
        parts.append(f"All known pixels. Alignment: {options['alignment']}.")
    if group == "blur detection":
        parts.append(f"Blurred: CoC > {options['blur_threshold_px']:g} px, in the prediction and in the truth.")
    return " ".join(parts)


def _curve_table(result: SourceResult) -> ResultTable:
    rows = []
    for error, by_location in result.model.confidence.items():
        label, digits = ERRORS[error].label, ERRORS[error].digits
        curve = by_location[MACRO]
        rows.append((label, *(number(value, digits) for value in curve.error)))
        rows.append((f"{label}: oracle", *(number(value, digits) for value in curve.oracle)))
    head = ("mean error of the rest", *(f"-{percent} %" for percent in REMOVED_PERCENT))
    note = "The least confident pixels (pairs) are removed first; oracle: the largest errors are removed first."
    return ResultTable(f"{result.source.title}: error without the least confident pixels", head, tuple(rows), note)


def _compared_tables(result: SourceResult, evaluation: Evaluation) -> Iterator[ResultTable]:
    """All methods in one table of defocus and one of depth."""
    quantities = {evaluation.model: ("defocus_px", "inv_depth"), **evaluation.baselines}
    over = "photos" if result.source.averaged == "photo" else "locations"
    note = f"The same photos, means over {over}; quantities that a method does not estimate are left out."
    for what in ("defocus", "depth"):
        compared = [m for m in METRICS.values() if m.compared and (m.group in _DEPTH_GROUPS) == (what == "depth")]
        keys = {metric.key for metric in compared}
        rows = {name: method.macro for name, method in result.methods.items() if keys & method.macro.keys()}
        shown = [metric for metric in compared if any(metric.key in macro for macro in rows.values())]
        if len(rows) > 1:
            cells = tuple(
                (name, ", ".join(quantities[name]), *(cell(macro, metric) for metric in shown))
                for name, macro in rows.items()
            )
            aligned = f" Alignment: {evaluation.options['alignment']}." if what == "depth" else ""
            head = ("method", "estimates", *(metric.label for metric in shown))
            yield ResultTable(f"{result.source.title}: {what} side by side", head, cells, note + aligned)


def _slope_table(
    title: str,
    first: str,
    fits: Mapping[str, SlopeFit] | Mapping[Shape, SlopeFit],
    diameters: Mapping[float, str],
    note: str,
    intercept: bool = True,
) -> ResultTable:
    rows = []
    for label, fit in fits.items():
        medians = [number(fit.medians_px.get(d, math.nan), 2) for d in diameters]
        row = (label, str(fit.photos), *medians, number(fit.slope, 3), number(fit.intercept_px, 2))
        rows.append(row if intercept else row[:-1])
    head = (first, "photos", *diameters.values(), "slope", "intercept px")
    return ResultTable(title, head if intercept else head[:-1], tuple(rows), note)


def cell(values: Mapping[str, float], metric: Metric) -> str:
    """A measure as text; ``-`` if it is absent or not finite."""
    return number(values.get(metric.key, math.nan), metric.digits)


def number(value: float, digits: int) -> str:
    """A number as text; ``-`` for NaN and infinity."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def heading(evaluation: Evaluation) -> str:
    """Name of the model and of the data."""
    if "dataset" in evaluation.options:
        return f"{evaluation.model} on {evaluation.kinds[evaluation.options['dataset']].source.title}"
    return f"{evaluation.model} on the {evaluation.split} split"


def markdown(evaluation: Evaluation, made: Mapping[str, str] | None = None) -> str:
    """The evaluation as Markdown, with its provenance if ``made`` is given."""
    lines = [f"# {heading(evaluation)}", ""]
    if made is not None:
        lines += [provenance_line(made, evaluation.seconds), ""]
    lines += [", ".join(f"{name} {value}" for name, value in evaluation.options.items()) + ".", ""]
    lines += tables_markdown(result_tables(evaluation))
    if evaluation.locations_without_split:
        lines += [f"{_LEFT_OUT}{', '.join(evaluation.locations_without_split)}.", ""]
    return "\n".join(lines)


def tables_markdown(tables: Sequence[ResultTable]) -> list[str]:
    """Tables as lines of Markdown, with headings and notes."""
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
    """Print all tables of an evaluation; in a file or pipe they are at least 120 characters wide."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    if not console.is_terminal:
        console.width = max(console.width, 120)
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
        console.print(_LEFT_OUT + ", ".join(evaluation.locations_without_split), markup=False, highlight=False)


def write_evaluation(evaluation: Evaluation, out: Path) -> tuple[Path, ...]:
    """Write an evaluation into a folder, which is created if missing, every file atomically; return the paths.

    ``evaluation.json`` has every number (NaN as null) and its provenance, ``evaluation.md`` the tables. With the extra
    ``report``, ``report.html`` has tables, figures and pictures, and ``comparison.jpg`` the maps of all methods, if
    there are baselines.
    """
    out.mkdir(parents=True, exist_ok=True)
    made = provenance()
    data = {"format": 2, "made": made, **evaluation.as_dict()}
    contents = {
        "evaluation.json": (json.dumps(plain_json(data), indent=1, allow_nan=False) + "\n").encode(),
        "evaluation.md": markdown(evaluation, made).encode(),
    }
    try:
        from mddnet.evaluate.report import report_files
    except ImportError:
        pass  # the extra report is not installed
    else:
        contents |= report_files(evaluation, made)
    for name, content in contents.items():
        atomic_write(out / name, lambda stream, content=content: stream.write(content))  # type: ignore[misc]
    return tuple(out / name for name in contents)

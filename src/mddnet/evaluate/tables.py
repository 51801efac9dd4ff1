"""Tables of an evaluation: one description, written as Markdown, printed by rich, and all numbers as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mddnet.evaluate.coc_slope import SHAPE_DIAMETERS_PX, SHAPE_LONG_SIDE_PX, SLOPE_DIAMETERS_PX, Shape, SlopeFit
from mddnet.evaluate.confidence import MACRO, REMOVED_PERCENT
from mddnet.evaluate.harness import (
    BLUR_SHARE_MIN,
    SIGN_DEFOCUS_MIN,
    SIGN_RANGE_MIN,
    Evaluation,
    KindResult,
    PairsResult,
)
from mddnet.evaluate.pairs import PAIR_RATIO
from mddnet.evaluate.provenance import provenance, provenance_words
from mddnet.evaluate.public_sets import PUBLIC_SETS
from mddnet.evaluate.scenes import CONFIDENCE_MIN
from mddnet.io.atomic import atomic_write, plain_json
from mddnet.metrics import BETA_SQUARED, DEFOCUS_GAP, DEPTH_GAP, TEXTURE_SHARE

if TYPE_CHECKING:
    from rich.console import Console

EVALUATION_FORMAT = 1

_TITLES = {
    "focal_stacks": "Focal stacks",
    "light_fields": "Light fields",
    "rgbd": "RGB-D",
    "stereo": "Stereo",
}
_DEPTH = (
    ("depth_ordinal", "ordinal", 3),
    ("depth_ordinal_turned", "turned", 3),
    ("depth_ordinal_row", "row", 3),
    ("depth_ordinal_law", "law", 3),
    ("depth_ordinal_law_turned", "law turned", 3),
    ("depth_ordinal_law_true_sign", "law, true sign", 3),
    ("depth_ordinal_sharp", "sharp", 3),
    ("depth_ordinal_sharp_turned", "sharp turned", 3),
    ("depth_spearman", "rank corr.", 3),
    ("inv_depth_error", "inv. depth error", 3),
)
_DEFOCUS_ORDER = (
    ("defocus_ordinal", "ordinal", 3),
    ("defocus_ordinal_turned", "turned", 3),
    ("defocus_ordinal_sharpness", "neg. sharpness", 3),
    ("defocus_spearman", "rank corr.", 3),
    ("sign_accuracy", "sign", 3),
    ("sign_constant", "best one sign", 3),
)
_DEFOCUS_SIZE = (
    ("coc_mae_px", "CoC MAE px", 2),
    ("coc_constant_mae_px", "best constant px", 2),
    ("coc_label_noise_px", "label noise px", 2),
    ("coc_bias_px", "CoC bias px", 2),
    ("u_focus_error", "focus error", 3),
    ("u_focus_error_median", "its median", 3),
    ("focus_found", "focus found", 2),
)
_DEFOCUS_AS_PUBLISHED = (
    ("coc_mse_px2", "CoC MSE px^2", 1),
    ("sigma_mae", "sigma MAE", 3),
    ("sigma_mse", "sigma MSE", 3),
)
_METRIC = (
    ("abs_rel", "AbsRel", 3),
    ("abs_rel_constant", "best constant", 3),
    ("sq_rel", "SqRel m", 3),
    ("rmse_m", "RMSE m", 3),
    ("rmse_log", "RMSElog", 3),
    ("silog", "SILog", 1),
)
_METRIC_ACCURACY = (
    ("delta_1.05", "delta < 1.05", 3),
    ("delta_1.15", "< 1.15", 3),
    ("delta1", "< 1.25", 3),
    ("delta2", "< 1.25^2", 3),
    ("delta3", "< 1.25^3", 3),
    ("boundary_f1", "boundary F1", 3),
)
_BLUR_DETECTION = (
    ("blur_f", "F", 3),
    ("blur_f_everywhere", "F of all", 3),
    ("blur_iou", "IoU", 3),
    ("blur_mae", "MAE", 3),
    ("blur_mae_constant", "const.", 3),
    ("blur_ap", "AP", 3),
    ("blur_ap_sharpness", "AP of sharpness", 3),
    ("blur_share", "blurred", 3),
)
_SHARP_PAIRS = (
    ("sharp_pair", "near/far", 3),
    ("sharp_pair_pixels", "pixels", 0),
    ("lost_detail", "lost detail", 3),
)
_CONFIDENCE = (
    ("ause_coc", "CoC", 3),
    ("ause_coc_constant", "const.", 3),
    ("falling_steps_coc", "falls", 0),
    ("ause_inv_depth", "depth", 3),
    ("ause_inv_depth_constant", "const.", 3),
    ("falling_steps_inv_depth", "falls", 0),
    ("ause_order", "order", 3),
    ("ause_order_constant", "const.", 3),
    ("falling_steps_order", "falls", 0),
)
_CURVES = {
    "coc": ("CoC error, px", 2),
    "inv_depth": ("inverse depth error, share of the range", 3),
    "order": ("wrong order of depth", 3),
}
_BESIDE = {
    "defocus": (
        ("defocus_ordinal", "order", 3),
        ("defocus_spearman", "rank corr.", 3),
        ("sharp_pair", "near/far", 3),
        ("coc_mae_px", "CoC MAE px", 2),
        ("sigma_mae", "sigma MAE", 3),
        ("blur_f", "blur F", 3),
        ("blur_iou", "IoU", 3),
        ("blur_ap", "AP", 3),
    ),
    "depth": (
        ("depth_ordinal", "order", 3),
        ("depth_ordinal_turned", "turned", 3),
        ("depth_spearman", "rank corr.", 3),
        ("abs_rel", "AbsRel", 3),
        ("delta1", "delta < 1.25", 3),
        ("boundary_f1", "boundary F1", 3),
    ),
}
_DETECTION = (("blur_f", "F", 3), ("blur_iou", "IoU", 3), ("blur_mae", "MAE", 3), ("blur_ap", "AP", 3))
_OWN_QUANTITIES: tuple[str, ...] = ("defocus_px", "inv_depth")

_GROUPS = (
    ("depth", _DEPTH),
    ("defocus order", _DEFOCUS_ORDER),
    ("defocus size and focus", _DEFOCUS_SIZE),
    ("defocus, squared and normalised errors", _DEFOCUS_AS_PUBLISHED),
    ("blur detection", _BLUR_DETECTION),
    ("photos and their sharp partners", _SHARP_PAIRS),
    ("metric depth", _METRIC),
    ("metric depth, shares and boundaries", _METRIC_ACCURACY),
    ("confidence", _CONFIDENCE),
)
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
    for kind, result in evaluation.kinds.items():
        title = kind_title(kind)
        tables += _kind_tables(title, result, evaluation)
        if result.confidence:
            tables.append(_curve_table(title, result))
        if result.peers:
            tables += _beside_tables(title, result, evaluation)
    if evaluation.pairs is not None:
        tables += _pair_tables(evaluation.pairs, evaluation)
    if evaluation.coc_slope is not None:
        tables.append(_slope_table(evaluation))
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


def kind_title(kind: str) -> str:
    """How a kind of scenes or a public set is called in headings."""
    return _TITLES[kind] if kind in _TITLES else PUBLIC_SETS[kind].title


def _pair_tables(pairs: PairsResult, evaluation: Evaluation) -> list[ResultTable]:
    def detection(values: Mapping[str, float]) -> tuple[str, ...]:
        return tuple(cell(values, name, digits) for name, _, digits in _DETECTION)

    names = tuple(label for _, label, _ in _DETECTION)
    rows = [
        (r.name, number(r.accuracy, 4), str(r.pixels), number(r.first_share, 2), *detection(r.detection))
        for r in pairs.rows
    ]
    rows.append(("**mean**", number(pairs.mean, 4), "", "", *detection(pairs.detection)))
    rows.append(("**worst**", number(pairs.worst, 4), *("",) * (len(names) + 2)))
    note = (
        f"Where one photo's smoothed Laplacian is more than {PAIR_RATIO:g} times the other's, the other must get the "
        f"larger defocus; ties half. Blur detection at these pixels, of both photos together: CoC > "
        f"{evaluation.options['blur_threshold_px']:g} px, against the less sharp photo being the blurred one; "
        f"F with beta^2 = {BETA_SQUARED:g}. Half of the truths are blurred."
    )
    columns = ("pair", "accuracy", "pixels", "share where the first is sharper", *names)
    tables = [ResultTable("Near/far pairs", columns, tuple(rows), note)]
    if pairs.peers:
        beside = tuple(
            (name, number(result.mean, 4), number(result.worst, 4), *detection(result.detection))
            for name, result in ((evaluation.model, pairs), *pairs.peers.items())
        )
        columns = ("method", "mean accuracy", "worst", *names)
        tables.append(ResultTable("Near/far pairs: side by side", columns, beside))
    return tables


def _curve_table(title: str, result: KindResult) -> ResultTable:
    rows = []
    for error, by_place in result.confidence.items():
        label, digits = _CURVES[error]
        curve = by_place[MACRO]
        rows.append((label, *(number(value, digits) for value in curve.error)))
        rows.append((f"{label}: oracle", *(number(value, digits) for value in curve.oracle)))
    head = ("mean of the error of what is left", *(f"-{percent} %" for percent in REMOVED_PERCENT))
    note = "The least confident pixels (pairs) removed first; oracle: the largest errors removed first."
    return ResultTable(f"{title}: error without the least confident", head, tuple(rows), note)


def _beside_tables(title: str, result: KindResult, evaluation: Evaluation) -> list[ResultTable]:
    everyone = [(evaluation.model, _OWN_QUANTITIES, result.macro)]
    everyone += [(name, evaluation.peers[name], peer.macro) for name, peer in result.peers.items()]
    over = "photos" if "set" in evaluation.options else "places"
    notes = {
        "defocus": (
            f"The same photos, means over {over}. What a method does not state is not measured: of a score only the "
            "order is known, sigma is a quarter of a CoC. "
            f"Blurred: CoC > {evaluation.options['blur_threshold_px']:g} px."
        ),
        "depth": (
            f"The same photos, means over {over}. AbsRel, delta and boundary F1 after alignment: "
            f"{evaluation.options['alignment']}."
        ),
    }
    tables = []
    for what, columns in _BESIDE.items():
        answering = [row for row in everyone if any(name in row[2] for name, _, _ in columns)]
        shown = [column for column in columns if any(column[0] in macro for _, _, macro in answering)]
        rows = tuple(
            (name, ", ".join(stated), *(cell(macro, measure, digits) for measure, _, digits in shown))
            for name, stated, macro in answering
        )
        head = ("method", "states", *(label for _, label, _ in shown))
        if len(rows) > 1:
            tables.append(ResultTable(f"{title}: {what} side by side", head, rows, notes[what]))
    return tables


def _kind_tables(title: str, result: KindResult, evaluation: Evaluation) -> list[ResultTable]:
    if not result.places:
        return [ResultTable(title, ("place",), (), "No scene of this kind on this side of the split.")]
    of_set = "set" in evaluation.options
    notes = _set_notes(evaluation) if of_set else _scene_notes(result, evaluation)
    tables = []
    for what, columns in _GROUPS:
        shown = [column for column in columns if column[0] in result.macro]
        if not shown:
            continue
        names = [name for name, _, _ in shown]
        counts = {
            place: sum(row.place == place and any(name in row.measures for name in names) for row in result.frames)
            for place in result.places
        }
        rows = [
            (place, str(counts[place]), *(cell(values, name, digits) for name, _, digits in shown))
            for place, values in result.places.items()
            if counts[place]
        ]
        last = "**all photos**" if of_set else "**macro**"
        total = str(sum(counts.values()))
        rows.append((last, total, *(cell(result.macro, name, digits) for name, _, digits in shown)))
        head = ("group" if of_set else "place", "photos", *(label for _, label, _ in shown))
        tables.append(ResultTable(f"{title}: {what}", head, tuple(rows), notes[what]))
    return tables


def _set_notes(evaluation: Evaluation) -> dict[str, str]:
    """What the columns of a public set mean; mask, crop, cap and alignment with every group of numbers."""
    o = evaluation.options
    pixels = f"Mask: {o['mask']}. Crop: {o['crop']}."
    depth = f"{pixels} Cap: {o['cap']}."
    blurred = f"{pixels} Blurred: predicted CoC > {o['blur_threshold_px']:g} px"
    return {
        "depth": (
            f"{depth} Order of inverse depth, gap > {DEPTH_GAP:.0%} of the photo's 2-98 % range; turned: on the photo "
            "turned by 180 degrees; row: lower is nearer. Rank corr.: Spearman's, upright, drawn pixels. Inverse depth "
            "error: "
            "mean over the photo's range, after robust scale-and-shift alignment in inverse depth to drawn pixels."
        ),
        "defocus order": (
            f"{pixels} Order of the blur, gap > {DEFOCUS_GAP:.1%} of the long side (of a score without unit: > 10 % of "
            "its range), beside negative sharpness at its best smoothing. Rank corr.: Spearman's, drawn pixels. Sign: "
            f"where CoC > {SIGN_DEFOCUS_MIN:.0%} of the long side, beside the better constant side of each photo."
        ),
        "defocus size and focus": f"{pixels} CoC = 4 sigma. Best constant: the median of each photo.",
        "defocus, squared and normalised errors": (
            f"{pixels} Sigma: a quarter of the CoC, clipped at 3.275 px and divided by it, means over photos."
        ),
        "blur detection": (
            f"{blurred}, against the set's marks, or the same comparison on its CoC at drawn pixels. F with beta^2 = "
            f"{BETA_SQUARED:g}, beside that of all blurred; MAE of the binary map, beside the better constant; AP of "
            "the CoC's order, beside negative sharpness at its best smoothing. A constant has the share of blurred "
            "pixels as its AP."
        ),
        "photos and their sharp partners": (
            f"Mask: {o['mask']}. Near/far: share of the pixels at which one of the two is clearly sharper (> "
            f"{PAIR_RATIO:g} times) where the other got the larger CoC. Pixels: of a photo, so many. Lost detail: rank "
            "correlation of the predicted CoC with the sharpness that the photo has lost."
        ),
        "metric depth": f"{depth} Alignment: {o['alignment']}.",
        "metric depth, shares and boundaries": (
            f"{depth} Alignment: {o['alignment']}. Shares of pixels whose ratio of depths is below the bound; boundary "
            "F1 of Depth Pro."
        ),
        "confidence": (
            f"{depth} AUSE: area between the sparsification curve and the oracle's, over the error of all pixels; 0 is "
            "perfect. Const.: of a confidence that says nothing. Falls: how many of nine steps lower the error of the "
            "rest. CoC: |CoC error|. Depth: of inverse depth, after robust scale-and-shift alignment. Order: wrong "
            "pairs of the order of depth."
        ),
    }


def _scene_notes(result: KindResult, evaluation: Evaluation) -> dict[str, str]:
    left_out = sum(result.frames_without_blur.values())
    notes = {
        "depth": (
            f"Order of inverse depth, gap > {DEPTH_GAP:.0%} of the scene's 2-98 % range. Turned: predicted on the "
            "photo turned by 180 degrees. Row: the baseline that lower in the picture is nearer. Law: order of the "
            "signed CoC alone; true sign: of its size with the true sign, what a perfect sign would give. Sharp: on "
            "the all-in-focus photo. Rank corr.: Spearman, of the order upright. Pixels: textured (upper "
            f"{TEXTURE_SHARE:.0%}) and known (confidence > {CONFIDENCE_MIN:g}). Photos without visible blur left out: "
            f"{left_out} (clear CoCs in under {BLUR_SHARE_MIN:.0%} of the pixel pairs)."
        ),
        "defocus order": (
            f"Order of the CoC, gap > {DEFOCUS_GAP:.1%} of the long side. Neg. sharpness: at its best smoothing per "
            f"place. Rank corr.: Spearman's, drawn known pixels. Sign: where CoC > {SIGN_DEFOCUS_MIN:.0%} of the long "
            f"side and > {SIGN_RANGE_MIN:.0%} of the range "
            "from focus, beside the better of always-behind and always-in-front."
        ),
        "defocus size and focus": (
            "CoC errors: pooled over all known, confident pixels, beside the median of each photo and the error that "
            "the truth itself has at least, by depths from every other frame of the stack. Focus error: of the plane "
            "of focus, as a share of the scene's range, at most 1, after robust scale-and-shift alignment: mean over "
            "the photos in which it was found, and median over all photos, 1 where it was not found."
        ),
        "defocus, squared and normalised errors": (
            "The same pixels. Sigma: a quarter of the CoC, clipped at 3.275 px and divided by it, as on SYNDOF and RTF."
        ),
        "blur detection": (
            f"Blurred: CoC > {evaluation.options['blur_threshold_px']:g} px, in the prediction and in the truth, at "
            f"drawn known pixels. F with beta^2 = {BETA_SQUARED:g}, beside that of all blurred; MAE: of a binary map, "
            "its error rate, beside the better of all and nothing blurred; AP: average precision of the CoC's order, "
            "beside negative sharpness at its best smoothing per place. A constant has the share of blurred pixels as "
            "its AP."
        ),
        "metric depth": f"All known, confident pixels; no crop, no cap. Alignment: {evaluation.options['alignment']}.",
        "metric depth, shares and boundaries": (
            f"The same pixels, the same alignment: {evaluation.options['alignment']}. Shares of pixels whose ratio of "
            "depths is below the bound; boundary F1 of Depth Pro."
        ),
        "photos and their sharp partners": "",
        "confidence": (
            "AUSE of three errors: area between the sparsification curve and the oracle's, over the error of all "
            "pixels; 0 is perfect. Const.: of a confidence that says nothing. Falls: how many of the nine steps of "
            "10 % of the pixels lower the mean error of the rest. CoC: |CoC error|. Depth: of inverse depth, after "
            "robust scale-and-shift alignment, over the scene's range. Order: wrong pairs of the order of depth."
        ),
    }
    if result.frames_without_true_defocus:
        notes["defocus order"] += (
            f" Frames of captures known in order only, not in CoC: {result.frames_without_true_defocus}."
        )
    return notes


def _slope_table(evaluation: Evaluation) -> ResultTable:
    assert evaluation.coc_slope is not None
    overall = evaluation.coc_slope.overall
    diameters = list(overall.medians_px)
    rows = [
        (
            str(size),
            str(fit.photos),
            *(number(fit.medians_px.get(d, math.nan), 2) for d in diameters),
            number(fit.slope, 3),
            number(fit.intercept_px, 2),
        )
        for size, fit in evaluation.coc_slope.by_size.items()
    ]
    medians = (number(overall.medians_px[d], 2) for d in diameters)
    rows.append(("**all**", str(overall.photos), *medians, number(overall.slope, 3), number(overall.intercept_px, 2)))
    head = (
        "long side px",
        "photos",
        *(f"disc {d:g} px" if d else "as it is" for d in diameters),
        "slope",
        "intercept px",
    )
    note = (
        "Sharp photos blurred by a disc in linear light. Cells: median over the photos of the median predicted CoC on "
        "textured pixels. Slope: least squares through all blurred points. No photo is enlarged by more than 15 %."
    )
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


def cell(values: Mapping[str, float], name: str, digits: int) -> str:
    """A measure as text; ``-`` where it is absent or no number."""
    return number(values.get(name, math.nan), digits)


def number(value: float, digits: int) -> str:
    """A number as text; ``-`` for NaN and infinity."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


# --- output -----------------------------------------------------------------------------------------------------------


def markdown(evaluation: Evaluation, made: Mapping[str, str] | None = None) -> str:
    """The whole evaluation as Markdown; ``made`` says with what, see :mod:`mddnet.evaluate.provenance`."""
    of_set = evaluation.options.get("set")
    where = f"on {kind_title(of_set)}" if of_set else f"on the {evaluation.split} split"
    lines = [f"# {evaluation.model} {where}", ""]
    if made is not None:
        lines += [provenance_words(made, evaluation.seconds), ""]
    lines += [", ".join(f"{name} {value}" for name, value in evaluation.options.items()) + ".", ""]
    lines += tables_markdown(result_tables(evaluation))
    if evaluation.places_without_split:
        lines += [
            "Places that the split does not name, left out: " + ", ".join(evaluation.places_without_split) + ".",
            "",
        ]
    return "\n".join(lines)


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
    """Print all tables of an evaluation with rich."""
    print_result_tables(result_tables(evaluation), console)
    if evaluation.places_without_split:
        places = ", ".join(evaluation.places_without_split)
        console.print(f"Places that the split does not name, left out: {places}", markup=False, highlight=False)


def print_result_tables(tables: Sequence[ResultTable], console: Console) -> None:
    """Print tables with rich; into a file or pipe they are 120 characters wide."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    if not console.is_terminal:
        console.width = max(console.width, _FILE_WIDTH)
    for table in tables:
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
            shown.add_row(*(escape(cell.strip("*")) for cell in row), style="bold" if bold else None)
        console.print(shown)


def write_evaluation(evaluation: Evaluation, out: Path) -> tuple[Path, ...]:
    """Write an evaluation into a folder, made if needed, each file whole.

    ``evaluation.json`` has every number (NaN as null) and what it was made with, ``evaluation.md`` the tables,
    ``report.html`` tables, plots and pictures, and ``sheet.jpg`` the pictures of all methods side by side, where the
    model was compared with others.

    Returns:
        The paths.
    """
    from mddnet.evaluate.picture_sheet import picture_sheet
    from mddnet.evaluate.report_page import report_page

    out.mkdir(parents=True, exist_ok=True)
    made = provenance()
    data = {"format": EVALUATION_FORMAT, "made": made, **evaluation.as_dict()}
    contents = {
        "evaluation.json": (json.dumps(plain_json(data), indent=1, allow_nan=False) + "\n").encode(),
        "evaluation.md": markdown(evaluation, made).encode(),
        "report.html": report_page(evaluation, made).encode("utf-8", "backslashreplace"),
    }
    if evaluation.peers and (sheet := picture_sheet(evaluation)) is not None:
        contents["sheet.jpg"] = sheet
    for name, content in contents.items():
        atomic_write(out / name, lambda stream, content=content: stream.write(content))  # type: ignore[misc]
    return tuple(out / name for name in contents)

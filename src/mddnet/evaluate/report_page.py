"""The report of an evaluation: one HTML page for a reader who knows none of the measures, complete in itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mddnet.evaluate.calibration import TRUE_COC_EDGES_PX, Calibration
from mddnet.evaluate.cases import Case
from mddnet.evaluate.confidence import MACRO, REMOVED_PERCENT, MeanCurve
from mddnet.evaluate.harness import Evaluation, KindResult
from mddnet.evaluate.plots import (
    PLOT_STYLE,
    Axis,
    Curve,
    Point,
    against_baseline,
    band_plot,
    curves_plot,
)
from mddnet.evaluate.provenance import provenance_words
from mddnet.evaluate.tables import ResultTable, kind_title, number, result_tables
from mddnet.scenes.html_page import figures, html_page, table, text


@dataclass(frozen=True, slots=True)
class _Headline:
    """A number that a newcomer should see: what it means, and what it stands beside.

    Attributes:
        measure: name in the results.
        question: what it answers, as a sentence.
        beside: name of the baseline, or None.
        beside_words: what the baseline is.
        digits: decimals.
        larger_is_better: which way is good.
    """

    measure: str
    question: str
    beside: str | None
    beside_words: str
    digits: int = 3
    larger_is_better: bool = True


_HEADLINES = (
    _Headline(
        "defocus_ordinal",
        "Of two points, is the blurrier one found?",
        "defocus_ordinal_sharpness",
        "lack of detail alone",
    ),
    _Headline(
        "coc_mae_px",
        "By how many pixels is the size of the blur wrong?",
        "coc_constant_mae_px",
        "one size for the whole photo",
        2,
        False,
    ),
    _Headline(
        "sign_accuracy",
        "Is it known whether a point is before or behind the plane of focus?",
        "sign_constant",
        "always the same side",
    ),
    _Headline(
        "depth_ordinal",
        "Of two points, is the nearer one found?",
        "depth_ordinal_row",
        "lower in the picture is nearer",
    ),
    _Headline("depth_ordinal_turned", "The same on the photo turned upside down", None, "guessing: 0.5"),
    _Headline(
        "abs_rel",
        "By what share is the distance wrong?",
        "abs_rel_constant",
        "one distance for the whole photo",
        3,
        False,
    ),
    _Headline("blur_f", "Are blurred areas found (F)?", "blur_f_everywhere", "calling everything blurred"),
    _Headline("sharp_pair", "Does the blurred photo get more blur than its sharp partner?", None, "guessing: 0.5"),
)
_SCATTERS = (
    ("Which point is nearer", "depth_ordinal", "depth_ordinal_row", "lower is nearer", "the model", (0.0, 1.0), True),
    (
        "Which point is blurrier",
        "defocus_ordinal",
        "defocus_ordinal_sharpness",
        "lack of detail",
        "the model",
        (0.5, 1.0),
        True,
    ),
    ("Error of the blur's size, px", "coc_mae_px", "coc_constant_mae_px", "best constant", "the model", None, False),
    (
        "Side of the plane of focus",
        "sign_accuracy",
        "sign_constant",
        "best constant side",
        "the model",
        (0.4, 1.0),
        True,
    ),
    ("Error of the distance (AbsRel)", "abs_rel", "abs_rel_constant", "best constant", "the model", None, False),
    ("Blurred areas (F)", "blur_f", "blur_f_everywhere", "all is blurred", "the model", (0.0, 1.0), True),
)
_CASE_TITLES = {
    "depth_ordinal": "order of depth",
    "defocus_ordinal": "order of blur",
    "blur_f": "blurred areas found (F)",
    "sharp_pair": "photo against its sharp partner",
}
_ERROR_TITLES = {
    "coc": ("Error of the blur's size", "mean |error| of the rest, px"),
    "inv_depth": ("Error of inverse depth", "mean error of the rest, share of range"),
    "order": ("Wrong order of depth", "wrong share of the rest"),
}
_WORDS = (
    (
        "Circle of confusion (CoC)",
        "The disc that lens blur makes of a point. Its diameter, in pixels of the photo, is the size of the blur.",
    ),
    (
        "Plane of focus",
        "The distance at which the photo is sharp. Points before and behind it are blurred alike: which of the two it "
        "is, is the side.",
    ),
    ("Inverse depth", "One over distance: larger is nearer. The blur of a lens is linear in it."),
    (
        "Order",
        "Two random points whose truths differ clearly are compared; the number is the share that comes out right. "
        "Guessing gives 0.5.",
    ),
    (
        "Place",
        "Photos of one place resemble each other, so they are averaged first; the macro row is the mean over places.",
    ),
    (
        "Alignment",
        "A network without a known lens gives depth up to a scale and a shift. Before errors in metres are taken, "
        "these are fitted to the truth; what was free is printed with every number.",
    ),
    (
        "Confidence, AUSE",
        "The model says how sure it is. Leaving out the least sure pixels should lower the error. AUSE is how far the "
        "curve stays above the best possible one: 0 is perfect, and a confidence that says nothing has the number "
        "beside it.",
    ),
)


def report_page(evaluation: Evaluation, made: Mapping[str, str]) -> str:
    """The page as text.

    Args:
        evaluation: what was measured.
        made: see :func:`mddnet.evaluate.provenance.provenance`.
    """
    tables = result_tables(evaluation)
    of_set = evaluation.options.get("set")
    unseen = " No photo is from a place that training saw." if evaluation.split == "dev" else ""
    where = f"on {kind_title(of_set)}" if of_set else f"on the {evaluation.split} split"
    top = (
        f"<h1>{text(evaluation.model)} {text(where)}</h1>"
        "<p>How well the model reads depth and blur from single photos, against measured truth. Every number stands "
        f"beside what can be had without a network; words that may be new are explained at the end.{unseen}</p>"
        f"<p>{text(provenance_words(made, evaluation.seconds))}</p>"
    )
    parts = [_failures(evaluation), _options(evaluation)]
    shown: set[str] = set()
    for kind, result in evaluation.kinds.items():
        mine = [found for found in tables if found.title.startswith(kind_title(kind))]
        shown |= {found.title for found in mine}
        parts.append(_kind(kind, result, mine, evaluation))
    rest = [found for found in tables if found.title not in shown and found.title != "Not measured"]
    if rest:
        parts.append("<h2>Other parts</h2>" + "".join(_table(found, opened=True) for found in rest))
    parts.append(_glossary())
    return html_page(f"{evaluation.model} {where}", top, parts, PLOT_STYLE)


def _failures(evaluation: Evaluation) -> str:
    if not evaluation.failures:
        return ""
    rows = [(what, " ".join(why.split())) for what, why in evaluation.failures]
    return '<h2>Not measured</h2><p class="warn">These are in no number below.</p>' + table(
        ("what", "why"), rows, wide="why"
    )


def _options(evaluation: Evaluation) -> str:
    rows = [(name.replace("_", " "), value) for name, value in evaluation.options.items()]
    return (
        "<details><summary>Choices that the numbers depend on</summary>"
        + table(("choice", "value"), rows, wide="value")
        + "</details>"
    )


def _kind(kind: str, result: KindResult, tables: Sequence[ResultTable], evaluation: Evaluation) -> str:
    title = kind_title(kind)
    if not result.places:
        return f"<h2>{text(title)}</h2><p>None on this side of the split.</p>"
    photos = len({(row.scene, row.file) for row in result.frames})
    parts = [
        f"<h2>{text(title)}</h2><p>{photos} photos, {len(result.scenes)} scenes, {len(result.places)} "
        f"{'groups' if 'set' in evaluation.options else 'places'}.</p>",
        _headlines(result),
        _scatters(result, "groups" if "set" in evaluation.options else "places"),
        _sparsification(result.confidence),
        _calibration(result.calibration),
        _cases(result),
    ]
    parts.append("<h3>All tables</h3>")
    parts += [_table(found, opened="side by side" in found.title) for found in tables]
    return "".join(parts)


def _headlines(result: KindResult) -> str:
    rows = []
    for headline in _HEADLINES:
        value = result.macro.get(headline.measure, math.nan)
        if not math.isfinite(value):
            continue
        beside = math.nan if headline.beside is None else result.macro.get(headline.beside, math.nan)
        words = headline.beside_words
        if math.isfinite(beside):
            words = f"{number(beside, headline.digits)} ({words})"
        better = "higher" if headline.larger_is_better else "lower"
        rows.append((headline.question, number(value, headline.digits), words, better))
    return table(("question", "the model", "without a network", "better is"), rows, ("the model",), "question")


def _scatters(result: KindResult, of: str) -> str:
    plots = []
    for title, measure, baseline, x_label, y_label, span, larger in _SCATTERS:
        points = [
            Point(values[baseline], values[measure], place, named=True)
            for place, values in result.places.items()
            if measure in values and baseline in values
        ]
        points += [
            Point(row.measures[baseline], row.measures[measure], f"{row.scene} {row.file}")
            for row in result.frames
            if measure in row.measures and baseline in row.measures
        ]
        finite = [point for point in points if math.isfinite(point.x) and math.isfinite(point.y)]
        if not finite:
            continue
        low, high = span or (0.0, 1.05 * max(max(point.x, point.y) for point in finite))
        if span is not None:
            least = min(min(point.x, point.y) for point in finite)
            low = max(0.0, math.floor(10 * (least - 0.05)) / 10)
        side = "above" if larger else "below"
        caption = (
            f"Large dots are {of}, small ones photos. {side.capitalize()} the line the model is better than the "
            "baseline; where it is worse is shaded."
        )
        x, y = Axis(low, high, f"baseline: {x_label}"), Axis(low, high, y_label)
        plots.append(against_baseline(title, x, y, finite, larger_is_better=larger, caption=caption))
    if not plots:
        return ""
    return f'<h3>Against the baseline</h3><div class="wide-plots">{"".join(plots)}</div>'


def _sparsification(confidence: Mapping[str, Mapping[str, MeanCurve]]) -> str:
    plots = []
    for error, by_place in confidence.items():
        curve = by_place[MACRO]
        title, label = _ERROR_TITLES[error]
        percent = [float(value) for value in REMOVED_PERCENT]
        top = 1.4 * max(*curve.error, *curve.oracle, 1e-9)  # room for the legend
        lines = (
            Curve("model", tuple(zip(percent, curve.error, strict=True))),
            Curve("best possible", tuple(zip(percent, curve.oracle, strict=True)), "two"),
            Curve("says nothing", ((percent[0], curve.error[0]), (percent[-1], curve.error[0])), "three"),
        )
        caption = (
            f"{curve.falling_steps} of 9 steps go down. A curve below the dotted line: the confidence knows something."
        )
        x = Axis(0.0, 90.0, "least confident removed, %")
        plots.append(curves_plot(title, x, Axis(0.0, top, label), lines, caption=caption))
    if not plots:
        return ""
    return (
        "<h3>Does the confidence know the errors?</h3><p>The least confident pixels (pairs of pixels) are left out, a "
        f'tenth after another.</p><div class="wide-plots">{"".join(plots)}</div>'
    )


def _calibration(calibration: Calibration | None) -> str:
    if calibration is None:
        return ""
    plots = []
    if len(calibration.coc) > 1:
        rows = [((found.low_px + found.high_px) / 2, *found.quartiles_px) for found in calibration.coc]
        top = min(TRUE_COC_EDGES_PX[-1], 1.1 * max(max(row[0], row[3]) for row in rows))
        plots.append(
            band_plot(
                "Size of the blur",
                Axis(0.0, top, "true CoC, px"),
                Axis(0.0, top, "predicted CoC, px"),
                rows,
                caption="Median (line) and middle half (band) of the answers to blur of a true size; dotted is right.",
            )
        )
    for name, title, label in (
        ("coc_error_px", "Error of the blur by confidence", "mean |CoC error|, px"),
        ("inv_depth_error", "Error of depth by confidence", "mean error, share of range"),
    ):
        points = [
            ((found.low + found.high) / 2, getattr(found, name))
            for found in calibration.confidence
            if math.isfinite(getattr(found, name))
        ]
        if len(points) > 1:
            top = 1.35 * max(value for _, value in points)
            curve = Curve("model", tuple(points))
            caption = "A line that falls to the right: what the model is sure of is more often right."
            plots.append(
                curves_plot(title, Axis(0.0, 1.0, "confidence"), Axis(0.0, top, label), [curve], caption=caption)
            )
    if not plots:
        return ""
    return f'<h3>Calibration</h3><div class="wide-plots">{"".join(plots)}</div>'


def _cases(result: KindResult) -> str:
    parts = []
    for measure, (worst, best) in result.cases.items():
        parts.append(f"<h4>By {text(_CASE_TITLES[measure])}: the worst</h4>")
        parts += [_case(case, measure) for case in worst]
        if best:
            parts.append(f"<h4>By {text(_CASE_TITLES[measure])}: the best</h4>")
            parts += [_case(case, measure) for case in best]
    if not parts:
        return ""
    return (
        "<h3>Worst and best photos</h3><p>Bright inverse depth is near; unknown is grey. Orange is blurred, white is "
        "sharp.</p>" + "".join(parts)
    )


def _case(case: Case, measure: str) -> str:
    facts = ", ".join(
        f"{name} {number(case.measures[name], digits)}"
        for name, digits in (
            ("depth_ordinal", 3),
            ("depth_ordinal_turned", 3),
            ("defocus_ordinal", 3),
            ("coc_mae_px", 2),
            ("sign_accuracy", 3),
            ("abs_rel", 3),
            ("blur_f", 3),
            ("sharp_pair", 3),
        )
        if math.isfinite(case.measures.get(name, math.nan))
    ).replace("_", " ")
    return (
        f'<div class="sheet"><h5>{text(case.name)} ({text(case.place)}): '
        f"{number(case.measures[measure], 3)}</h5>{figures(case.pictures, case.name)}"
        f'<div class="soft">{text(facts)}</div></div>'
    )


def _table(found: ResultTable, *, opened: bool) -> str:
    numeric = [
        name
        for k, name in enumerate(found.columns)
        if k > 0 and all(len(row[k]) < 12 for row in found.rows) and found.columns.count(name) == 1
    ]
    # columns may share a name ("const."): all of them stand to the right
    numeric += [name for name in dict.fromkeys(found.columns[1:]) if found.columns.count(name) > 1]
    rows = [[cell.strip("*") for cell in row] for row in found.rows]
    body = table(found.columns, rows, numeric) if rows else ""
    note = f"<p>{text(found.note)}</p>" if found.note else ""
    state = " open" if opened else ""
    return f"<details{state}><summary>{text(found.title)}</summary>{note}{body}</details>"


def _glossary() -> str:
    words = (f"<dt><strong>{text(word)}</strong></dt><dd>{text(meaning)}</dd>" for word, meaning in _WORDS)
    rows = "".join(words)
    return f"<h2>Words</h2><dl>{rows}</dl>"

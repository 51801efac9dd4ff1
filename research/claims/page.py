"""Fill docs/claims.md and draw its figure from the results of :mod:`research.claims.run`.

    python -m research.claims.page --work work/claims

Writes ``docs/results/claims/measures.csv``, ``docs/figures/claims.svg``, and the parts of ``docs/claims.md`` between
its markers; without ``--work``, from the former.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import torch
from cyclopts import run as run_command
from matplotlib.figure import Figure
from research.claims.bootstrap import Interval, Values, mean
from research.claims.comparisons import (
    CLAIMS,
    COC_ERROR,
    DEPTH_ERROR,
    EXACT_TESTS,
    LEVEL,
    TASKS,
    TESTS,
    Claim,
    Measured,
    Pair,
    adjusted,
    chosen_ablation,
    effect,
    effects,
    inner_gain,
    verdict,
)
from research.claims.methods import OTHERS
from research.claims.plan import (
    ABLATIONS,
    DEFOCUS,
    DEPTH,
    FOLDS,
    FRAMES,
    FULL,
    FUSED,
    HALF,
    LADDER,
    MIXTURE,
    REAL,
    RENDERED,
    TITLES,
    Effort,
    Run,
    recipe,
    runs,
)
from research.claims.regions import REGIONS
from research.claims.results import UNTRAINED, Line, read_lines, read_results, write_lines
from torch.utils.flop_counter import FlopCounterMode

from mddnet.io.atomic import atomic_write_text
from mddnet.model.network import MDDNet
from mddnet.version import __version__

COLOURS = {DEPTH_ERROR: "#2a6fc4", COC_ERROR: "#d7641b"}
LIMIT = 40
"""Limit of the axes of the figure, in per cent."""
MARKS = {
    "claims": ("<!-- claims -->\n", "<!-- end of claims -->"),
    "tables": ("<!-- tables -->\n", "<!-- end of tables -->"),
}
NAMES = TITLES | {name: title for name, (title, _) in OTHERS.items()} | {FULL: "full"}
COLUMNS = {
    DEPTH_ERROR: "error of inverse depth",
    "depth_error_sharp": "the same, sharp photo",
    "depth_ordinal": "order of depth",
    COC_ERROR: "CoC error, px",
    "coc_mae_px_weak": "the same, weak texture",
    "defocus_ordinal": "order of defocus",
    "sign_accuracy": "sign",
}
NOT_YET = "Not run yet."


def claims_table(m: Measured) -> str:
    """The first screen: verdict and numbers of every claim."""
    body = []
    for claim in CLAIMS:
        found = [effects(m, pair) for pair in claim.pairs]
        word = verdict(claim, found)
        for n, (pair, one, p) in enumerate(zip(claim.pairs, found, adjusted(found), strict=True)):
            head = [claim.number, claim.words, f"**{word}**"] if n == 0 else ["", "", ""]
            cells = [_effect(one[test], p[test]) if test in one else "-" for test in TESTS]
            body.append([*head, _words(pair), *cells])
    return _markdown(["claim", "in words", "found", "less error of", *TESTS], body)


def _words(pair: Pair) -> str:
    return f"{_task(pair)}: {NAMES[pair.of]} / {NAMES[pair.against]}"


def _task(pair: Pair) -> str:
    where = ", weak texture" if pair.measure.endswith("_weak") else ", beyond sharp photos" if pair.beyond_sharp else ""
    return TASKS[pair.measure.removesuffix("_weak")] + where


def _effect(found: Interval, p: float = 1.0) -> str:
    text = f"{100 * found.value:+.1f} % ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    return f"**{text}**" if p < LEVEL else text


def tables(m: Measured) -> str:
    """The appendix."""
    parts = [_costs()]
    for test, kinds in TESTS.items():
        parts += [f"### Rows, {test}", _of_rows(m, [row.name for row in LADDER] + [FUSED], kinds)]
    parts += ["### Full against a single task, by region (rendered views and simulated rig)", _by_region(m)]
    parts += ["### Ablations of the full network", _ablations(m)]
    parts += ["### Real and rendered frames, real blur"]
    parts += [_of_rows(m, [row.name for row in FRAMES], TESTS["real blur"]), _frames(m)]
    for test in TESTS:
        rows = [DEPTH, DEFOCUS, FULL, *OTHERS]
        parts += [f"### Other methods, {test}", _of_rows(m, rows, TESTS[test])]
    return "\n\n".join(parts) + "\n"


def _of_rows(m: Measured, rows: Sequence[str], kinds: Sequence[str]) -> str:
    body = []
    for row in rows:
        values = [m.values(row, measure, kinds) for measure in COLUMNS]
        if any(values):
            folds = {fold for one in values for fold, _ in one}
            title = NAMES[row] if len(folds) == FOLDS else f"{NAMES[row]} ({len(folds)} of {FOLDS} folds)"
            body.append([title, *map(_cell, values)])
    return _markdown(["row", *COLUMNS.values()], body) if body else NOT_YET


def _cell(values: Values) -> str:
    if not values:
        return "-"
    found = mean(values)
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _by_region(m: Measured) -> str:
    kinds = [kind for test in EXACT_TESTS for kind in TESTS[test]]
    body = []
    for measure, alone in ((DEPTH_ERROR, DEPTH), (COC_ERROR, DEFOCUS)):
        found = [effect(m, Pair(FULL, alone, f"{measure}_{region}"), kinds) for region in REGIONS]
        body.append([TASKS[measure], *("-" if one is None else _effect(one) for one in found)])
    return _markdown(["less error of", *REGIONS.values()], body)


def _ablations(m: Measured) -> str:
    """Gains on the inner split, where one is chosen, and those of the chosen one on held-out locations."""
    inner = [(row, inner_gain(Measured(line for line in m.lines if line.fold == 0), row.name)) for row in ABLATIONS]
    body = [[row.title, "-" if found is None else f"{100 * found:+.1f} %"] for row, found in inner]
    chosen = chosen_ablation(m.lines)
    parts = [_markdown(["change", "mean reduction of both errors on the calib locations, fold 0"], body)]
    if chosen is None:
        return "\n\n".join([*parts, "None is chosen (not all are measured, or none is better than the full network)."])
    claim = Claim("-", "", tuple(Pair(chosen, FULL, measure) for measure in TASKS))
    found = [effects(m, pair) for pair in claim.pairs]
    rows = [
        [_words(pair), *(_effect(one[test], p[test]) if test in one else "-" for test in TESTS)]
        for pair, one, p in zip(claim.pairs, found, adjusted(found), strict=True)
    ]
    parts += [f"Chosen: {NAMES[chosen]}; on held-out locations: {verdict(claim, found)}."]
    return "\n\n".join([*parts, _markdown(["less error of", *TESTS], rows)])


def _frames(m: Measured) -> str:
    pairs = [
        Pair(of, against, measure)
        for of, against in ((REAL, RENDERED), (HALF, RENDERED), (HALF, REAL))
        for measure in TASKS
    ]
    found = [effect(m, pair, TESTS["real blur"]) for pair in pairs]
    body = [[_words(pair), _effect(one)] for pair, one in zip(pairs, found, strict=True) if one is not None]
    return _markdown(["less error of", "real blur"], body)


def _costs() -> str:
    body = []
    for row in LADDER:
        settings = recipe(Run(row, 0), Effort(pretrained=False), Path("-"), MIXTURE)
        network = MDDNet(settings.model)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.eval()(torch.rand(1, 3, 384, 512))
        millions = sum(p.numel() for p in network.parameters()) / 1e6
        body.append([row.title, f"{millions:.2f}", f"{counter.get_total_flops() / 2e9:.2f}"])
    return _markdown(["row", "parameters, M", "MACs at 384 x 512, G"], body)


def _markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def state(lines: Sequence[Line]) -> str:
    """What the numbers are of."""
    done = {line.run for line in lines if line.recipe != UNTRAINED}
    planned = {run.name for run in runs()}
    return (
        f"Numbers of networks of mddnet {__version__}, {len(done & planned)} of {len(planned)} planned runs,\n"
        "on locations that they were not trained on. In bold: significant after correction for the tests of a claim."
    )


def figure(m: Measured) -> Figure:
    """The effects of all claims with their intervals, a column for each test."""
    pairs = [(claim, pair) for claim in CLAIMS for pair in claim.pairs]
    drawn = Figure(figsize=(11, 0.6 + 0.32 * len(pairs)), layout="constrained")
    axes = drawn.subplots(1, len(TESTS), sharey=True, sharex=True)
    for column, (test, kinds) in enumerate(TESTS.items()):
        ax = axes[column]
        ax.axvline(0, color="0.6", linewidth=1)
        ax.set_title(test, fontsize=9)
        ax.set_xlim(-LIMIT, LIMIT)
        ax.set_xlabel("less error, %", fontsize=8)
        ax.tick_params(labelsize=8)
        for y, (_, pair) in enumerate(pairs):
            one = effect(m, pair, kinds)
            if one is not None:
                colour = COLOURS[pair.measure.removesuffix("_weak")]
                ax.plot([100 * one.low, 100 * one.high], [y, y], color=colour, linewidth=2)
                ax.plot(100 * one.value, y, "o", color=colour, markersize=4)
    axes[0].set_yticks(
        range(len(pairs)), [f"{claim.number}  {_task(pair)}: {pair.of} / {pair.against}" for claim, pair in pairs]
    )
    axes[0].invert_yaxis()
    return drawn


def filled(page: str, parts: Mapping[str, str]) -> str:
    """A page with the text between its markers replaced. ValueError without a marker."""
    for name, text in parts.items():
        start, end = MARKS[name]
        head, found, rest = page.partition(start)
        _, found_end, tail = rest.partition(end)
        if not (found and found_end):
            raise ValueError(f"the page lacks {start.strip()} or {end}; expected both, in this order")
        page = f"{head}{start}\n{text}\n\n{end}{tail}"
    return page


def main(*, work: Path | None = None, docs: Path = Path("docs")) -> int:
    """Fill the page from the results in the work folder of research.claims.run, or from measures.csv without one."""
    measures = docs / "results" / "claims" / "measures.csv"
    if work is not None:
        write_lines(measures, read_results(work / "results"))
    lines = read_lines(measures)
    if not lines:
        print(f"{work or measures}: no results; run python -m research.claims.run --work WORK", file=sys.stderr)
        return 1
    m = Measured(lines)
    page = docs / "claims.md"
    first = f"{state(lines)}\n\n{claims_table(m)}\n\n![Less error, with 95 % intervals](figures/claims.svg)"
    atomic_write_text(page, filled(page.read_text(encoding="utf-8"), {"claims": first, "tables": tables(m)}))
    with matplotlib.rc_context({"svg.hashsalt": "claims", "svg.fonttype": "none"}):
        figure(m).savefig(docs / "figures" / "claims.svg", metadata={"Date": None})
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))

"""Make the tables of docs/claims.md from the results of :mod:`research.claims.run`.

python -m research.claims.table docs/results/claims/measures.csv -o docs/claims.md
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from research.claims.bootstrap import Interval, mean, saved
from research.claims.plan import (
    BOTH,
    FRAMES,
    FULL,
    LADDER,
    LAW,
    LONG,
    LONGER,
    REAL,
    RENDERED,
    SINGLE_DEFOCUS,
    SINGLE_DEPTH,
    SOFT,
    TWO,
    Effort,
    Row,
    Run,
    recipe,
)
from research.claims.results import Line, read_lines
from torch.utils.flop_counter import FlopCounterMode

from mddnet.io.atomic import atomic_write_text
from mddnet.model.network import MDDNet

START, END = "<!-- tables -->\n", "<!-- end of tables -->"
REAL_KINDS, RENDERED_KINDS = ("focal_stacks", "light_fields"), ("rgbd", "stereo")
STACKS, RIGS = ("focal_stacks",), ("rigs",)
KNOWN_KINDS = (*RENDERED_KINDS, *RIGS)
"""Kinds whose depth was not measured from blur, so that it is reliable in weak texture too."""
WHERE = {REAL_KINDS: "real blur", RENDERED_KINDS: "rendered blur", RIGS: "simulated rig"}
COMPARED_ON = (*WHERE.values(), "weak texture")
DEPTH_MEASURES = {
    "depth_error": "error of inverse depth",
    "depth_ordinal": "ordinal accuracy",
    "depth_ordinal_turned": "ordinal accuracy, rotated",
    "abs_rel": "AbsRel",
    "rmse_m": "RMSE, m",
    "delta1": "δ < 1.25",
}
DEFOCUS_MEASURES = {
    "coc_mae_px": "CoC error, px",
    "coc_mse_px2": "squared, px²",
    "defocus_ordinal": "ordinal accuracy",
    "sign_accuracy": "sign accuracy",
}
CALIBRATED = "calibrated.csv"
NOT_YET = "Not trained yet."
TASKS = (("depth", "depth_error", SINGLE_DEPTH), ("defocus", "coc_mae_px", SINGLE_DEFOCUS))
"""Each task, its metric for comparisons, and its single-task row."""
REGION_NAMES = {
    "weak": "weak texture",
    "strong": "strong texture",
    "edge": "near depth edges",
    "away": "away from them",
}
OTHERS = {
    "mean-map": "mean map of the training locations",
    "row": "vertical-position prior",
    "pydnet": "PyDNet++, trained by its authors",
    "sharpness": "negative sharpness",
    "zhuo-sim": "Zhuo and Sim 2011",
    "karaali-jung": "Karaali and Jung 2018",
}


class Measured:
    """Results by location: means over the runs of a row that were evaluated there."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._values: dict[tuple[str, str], dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
        self.runs: dict[str, set[str]] = defaultdict(set)
        for line in lines:
            self.runs[line.row].add(line.run)
            for name, value in line.measures.items():
                self._values[line.row, name][line.kind, line.location].append(value)

    def locations(self, row: str, measure: str, kinds: Sequence[str]) -> dict[str, float]:
        """Value by location; empty without results."""
        found = self._values.get((row, measure), {})
        return {location: sum(v) / len(v) for (kind, location), v in found.items() if kind in kinds}


def tables(lines: Sequence[Line], calibrated: Sequence[Line] = ()) -> str:
    """All tables, as Markdown; ``calibrated`` are results with the fitted defocus curves of version 0.1."""
    m = Measured(lines)
    parts = [_runs_of(m), _costs()]
    for kinds in (REAL_KINDS, RENDERED_KINDS):
        parts += [f"### The ladder, {WHERE[kinds]}", _of_rows(m, [(r.name, r.title) for r in LADDER], kinds)]
    parts += ["### Error reduction by each step", _steps(m)]
    parts += ["### By texture and depth edges, rendered blur and the simulated rig", _by_region(m)]
    parts += ["### Trained three times as long", _longer(m)]
    hashes = {line.run: line.recipe for line in lines}
    calibrated = [line for line in calibrated if hashes.get(line.run) == line.recipe]  # others are of older networks
    if calibrated:
        names = sorted({line.run for line in calibrated})
        before = _steps(Measured(line for line in lines if line.run in names), LONGER, LONG, tasks=("defocus",))
        after = _steps(Measured(calibrated), LONGER, LONG)
        parts += ["### With fitted defocus curves"]
        parts += [f"With the defocus curves of version 0.1, runs {', '.join(names)}."]
        parts += ["Before:", before, "With fitted curves:", after]
    parts += ["### Trained on real and on rendered frames", _frames(m)]
    every = [(LADDER[0].name, LADDER[0].title), (LADDER[1].name, LADDER[1].title), (FULL, "full"), *OTHERS.items()]
    for kinds in (REAL_KINDS, RENDERED_KINDS):
        parts += [f"### Other methods, {WHERE[kinds]}", _of_rows(m, every, kinds)]
    parts += ["### By location", _by_location(m)]
    return "\n\n".join(parts) + "\n"


def _of_rows(m: Measured, rows: Sequence[tuple[str, str]], kinds: Sequence[str]) -> str:
    """A table of depth and one of defocus, without empty rows."""
    made = []
    for title, measures in (("depth", DEPTH_MEASURES), ("defocus", DEFOCUS_MEASURES)):
        body = []
        for name, words in rows:
            cells = [_cell(m.locations(name, measure, kinds)) for measure in measures]
            if any(cell != "-" for cell in cells):
                body.append([words, *cells])
        if body:
            made.append(_markdown([title, *measures.values()], body))
    return "\n\n".join(made)


def _cell(by_location: Mapping[str, float]) -> str:
    if not by_location:
        return "-"
    found = mean(by_location)
    return f"{_number(found.value)} ({_number(found.low)} to {_number(found.high)})"


def _number(value: float) -> str:
    text = f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
    return re.sub(r"^(-?)0\.", r"\1.", text)


def _percent(found: Interval | None) -> str:
    if found is None:
        return "-"
    return f"{100 * found.value:+.1f} % ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _saved(m: Measured, row: str, against: str, measure: str, kinds: Sequence[str]) -> Interval | None:
    of, other = m.locations(row, measure, kinds), m.locations(against, measure, kinds)
    return saved(of, other) if of.keys() & other.keys() else None


def comparisons(m: Measured, suffix: str = "") -> Iterator[tuple[str, str, str, list[Interval | None]]]:
    """Each claim as a paired comparison of two rows, whose names end in ``suffix``.

    Yields:
        Row, other row, task, and the error reduction for each of ``COMPARED_ON``.
    """
    for row, against in ((TWO, ""), (SOFT, TWO), (LAW, SOFT), (FULL, LAW), (FULL, "")):
        for task, measure, single in TASKS:
            pair = row + suffix, (against or single) + suffix
            found = [_saved(m, *pair, measure, kinds) for kinds in WHERE]
            yield *pair, task, [*found, _saved(m, *pair, f"{measure}_weak", KNOWN_KINDS)]


def _steps(
    m: Measured, rows: Sequence[Row] = LADDER, suffix: str = "", tasks: Sequence[str] = ("depth", "defocus")
) -> str:
    titles = {row.name: row.title for row in rows}
    body = [
        [titles[row], titles[other], task, *map(_percent, found)]
        for row, other, task, found in comparisons(m, suffix)
        if any(found) and task in tasks
    ]
    return "Positive numbers mean less error than the other row.\n\n" + _markdown(
        ["row", "other", "error of", *COMPARED_ON], body
    )


def _longer(m: Measured) -> str:
    counts = {row.name: len(m.runs.get(row.name, ())) for row in LONGER}
    if not any(counts.values()):
        return NOT_YET
    most = max(counts.values())
    titles = {
        row.name: row.title if counts[row.name] == most else f"{row.title} ({counts[row.name]} of {most} folds)"
        for row in LONGER
        if counts[row.name]
    }
    parts = []
    for kinds in (REAL_KINDS, RENDERED_KINDS):
        parts += [f"On {WHERE[kinds]}:", _of_rows(m, list(titles.items()), kinds)]
    parts += ["Compared on common locations:", _steps(m, LONGER, LONG)]
    return "\n\n".join(parts)


def _by_region(m: Measured) -> str:
    body = []
    for task, measure, single in TASKS:
        for row in LADDER:
            values = [m.locations(row.name, f"{measure}_{region}", KNOWN_KINDS) for region in REGION_NAMES]
            if any(values):
                body.append([task, row.title, *(_cell(value) for value in values)])
        less = [_percent(_saved(m, FULL, single, f"{measure}_{region}", KNOWN_KINDS)) for region in REGION_NAMES]
        body.append([task, f"full: reduction from {task} alone", *less])
    return _markdown(["error of", "row", *REGION_NAMES.values()], body)


def _frames(m: Measured) -> str:
    if not any(m.runs.get(row.name) for row in FRAMES):
        return NOT_YET
    parts = [_of_rows(m, [(row.name, row.title) for row in FRAMES], STACKS)]
    body = []
    for row, against in ((REAL, RENDERED), (BOTH, RENDERED), (BOTH, REAL)):
        titles = {r.name: r.title for r in FRAMES}
        cells = [_percent(_saved(m, row, against, measure, STACKS)) for measure in ("depth_error", "coc_mae_px")]
        body.append([titles[row], titles[against], *cells])
    parts.append(_markdown(["trained on", "error reduction from", "depth", "defocus"], body))
    return "\n\n".join(parts)


def _by_location(m: Measured) -> str:
    rows = (SINGLE_DEPTH, FULL)
    body = []
    for kinds in (REAL_KINDS, RENDERED_KINDS):
        for location in sorted(m.locations(FULL, "coc_mae_px", kinds)):
            cells = [m.locations(row, "depth_error", kinds) for row in rows]
            cells += [m.locations(row, "depth_ordinal", kinds) for row in rows]
            cells += [m.locations(row, "coc_mae_px", kinds) for row in (SINGLE_DEFOCUS, FULL)]
            cells += [m.locations(row, "defocus_ordinal", kinds) for row in (SINGLE_DEFOCUS, FULL)]
            body.append([location, *(_number(cell[location]) if location in cell else "-" for cell in cells)])
    names = ["depth error", "depth ordinal", "CoC error, px", "defocus ordinal"]
    return _markdown(["location", *(f"{name}, {which}" for name in names for which in ("alone", "full"))], body)


def _runs_of(m: Measured) -> str:
    counts = {row.name: len(m.runs.get(row.name, ())) for row in (*LADDER, *FRAMES)}
    missing = [f"{name} ({count})" for name, count in counts.items() if count < 3]
    all_of = "Three runs of every row, each with another third of the locations held out and another seed."
    return all_of if not missing else f"{all_of} Fewer so far: {', '.join(missing)}."


def _costs() -> str:
    body = []
    for row in LADDER:
        network = MDDNet(recipe(Run(row, 0, Effort(pretrained=False)), Path("-"), ("focal_stacks",)).model)
        # one pass; the second one, at half the size, costs another quarter
        network.train()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.rand(2, 3, 384, 512))
        millions = sum(p.numel() for p in network.parameters()) / 1e6
        body.append([row.title, f"{millions:.2f}", f"{counter.get_total_flops() / 2 / 2 / 1e9:.2f}"])
    return _markdown(["row", "parameters, M", "MACs at 384 x 512, G"], body)


def _markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m research.claims.table", description=__doc__)
    parser.add_argument("measures", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help=f"page with the lines {START.strip()} and {END}")
    args = parser.parse_args(argv)
    head, rest = args.out.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    made = tables(read_lines(args.measures), read_lines(args.measures.with_name(CALIBRATED)))
    atomic_write_text(args.out, head + START + "\n" + made + "\n" + END + after)
    return 0


if __name__ == "__main__":
    sys.exit(main())

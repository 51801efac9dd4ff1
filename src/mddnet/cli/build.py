"""``mddnet build``: scenes from captures."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from mddnet.cli.flags import wrong_kind, wrong_split
from mddnet.types import SPLITS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from rich.console import Console

    from mddnet.scenes.plan import BuildRow


def build(
    sources: list[Path],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    jobs: Annotated[int, Parameter(name=["--jobs", "-j"])] = 1,
    ray: str | None = None,
    frames: int | None = None,
    only: Annotated[list[str] | None, Parameter(negative="")] = None,
    limit: int | None = None,
    seed: int = 0,
    split: Path | None = None,
    rebuild: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Build scenes (sharp image, inverse depth, focused frames) from captures.

    Scenes go to OUT/KIND/SCENE; OUT/build.csv lists them and OUT/rejected.csv says why a capture gave none. Stop it
    at any time: the same command goes on where it stopped, and scenes whose captures have not changed are kept.

    Parameters
    ----------
    sources
        Data roots (with captures/, depth/, photos/, all_in_3d/ or pseudo/ inside), capture folders (with capture.json
        inside), or ALL-in-3D as its authors ship it.
    out
        Folder for the scenes; made if it is missing.
    jobs
        Number of processes.
    ray
        Address of a Ray cluster that builds instead, such as HOST:6379 or auto (extra ray). All its machines must see
        sources and OUT under the same paths.
    frames
        Focused frames per rendered scene; each kind has its own number by default.
    only
        Build this kind of captures only, by the name of its folder in OUT; may be repeated.
    limit
        At most that many scenes of each kind and source.
    seed
        Of everything that is drawn for rendered scenes.
    split
        CSV file with place,split; by default split.csv of the first source that has one.
    rebuild
        Build scenes again although nothing has changed.
    """
    for flag, value, least in (
        ("--jobs", jobs, 1),
        ("--frames", frames, 1),
        ("--limit", limit, 1),
        ("--seed", seed, 0),
    ):
        if value is not None and value < least:
            print(f"mddnet build: {flag} is {value}; expected at least {least}", file=sys.stderr)
            return 2
    if (wrong := wrong_split(split) or wrong_kind(only)) is not None:
        print(f"mddnet build: {wrong}", file=sys.stderr)
        return 2

    if ray is not None:
        if jobs != 1:
            print("mddnet build: --jobs counts processes here; --ray has cores of its own", file=sys.stderr)
            return 2
        sources, out = [source.resolve() for source in sources], out.resolve()

    # Imported after the flags were checked: wrong usage answers at once.
    from rich.console import Console

    from mddnet.data.split import read_split, split_of
    from mddnet.kinds import KINDS
    from mddnet.scenes.build import build_scenes
    from mddnet.scenes.build_tables import write_tables
    from mddnet.scenes.plan import plan_build

    split_file = split or next((s / "split.csv" for s in sources if (s / "split.csv").is_file()), None)
    locations = {} if split_file is None else read_split(split_file)
    plan = plan_build(sources, only or tuple(KINDS), limit)
    console = Console()
    rows: list[BuildRow] = []

    def split_or_none(location: str) -> str:
        return split_of(location, locations) or ""

    try:
        results = build_scenes(plan, out, jobs, frames, seed, rebuild, ray)
        _run(console, rows, results, len(plan.tasks) + len(plan.failures))
    finally:
        # After Ctrl-C too: what is done is done, and the tables say so.
        if rows:
            write_tables(out, rows, split_or_none)
            _print_tables(console, rows, split_or_none)
            console.print(f"{out / 'build.csv'}, {out / 'rejected.csv'}", markup=False, soft_wrap=True)
    return 1 if any(row.state in ("rejected", "failed") for row in rows) else 0


def _run(console: Console, rows: list[BuildRow], results: Generator[BuildRow], total: int) -> None:
    """Take the rows as they come, behind a bar with rate and time left."""
    from mddnet.cli.progress import bar_with_rate

    started = time.monotonic()
    with closing(results), bar_with_rate("building", console) as progress:
        bar = progress.add_task("build", total=total, rate="", last="")
        for row in results:
            rows.append(row)
            per_second = len(rows) / max(time.monotonic() - started, 1e-9)
            rate = f"{per_second:.1f} scenes/s" if per_second >= 1 else f"{60 * per_second:.1f} scenes/min"
            progress.update(bar, advance=1, rate=rate, last=f"{row.kind}/{row.name}")
            if row.state in ("rejected", "failed"):
                name = f"{row.kind}/{row.name}: " if row.kind else ""
                progress.console.print(f"{row.state}: {name}{row.reason}", markup=False, soft_wrap=True)


def _print_tables(console: Console, rows: Sequence[BuildRow], split_of: Callable[[str], str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from mddnet.kinds import KINDS

    def table(title: str, texts: Sequence[str], numbers: Sequence[str] = ()) -> Table:
        made = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in texts:
            made.add_column(name, overflow="fold", no_wrap=name not in ("capture", "reason"))
        for name in numbers:
            made.add_column(name, justify="right")
        return made

    real = [row for row in rows if row.record is not None and KINDS[row.kind].real]
    if real:
        shown = table(
            "scenes from real captures", ("scene", "split", "unit"), ("frames", "kappa px", "error", "unknown", "state")
        )
        order = list(KINDS)
        for row in sorted(real, key=lambda r: (order.index(r.kind), r.name)):
            shown.add_row(*_scene_cells(row, split_of))
        console.print(shown)
        console.print(
            "kappa: blur in pixels per unit of inverse depth. error: what blur by the lens law leaves of the "
            "difference between the sharp image and the frames. unknown: share of pixels without a depth.",
            style="dim",
        )
    states = ("built", "kept", "rejected", "failed")
    shown = table("all scenes of this run", ("kind",), (*states, "frames", *SPLITS, "no split"))
    for kind in (*KINDS, ""):
        mine = [row for row in rows if row.kind == kind]
        if mine:
            records = [row.record for row in mine if row.record is not None]
            on = [split_of(record.location) for record in records]
            counts = [sum(row.state == state for row in mine) for state in states]
            counts += [sum(len(record.frames) for record in records), *(on.count(s) for s in (*SPLITS, ""))]
            shown.add_row(kind or "unknown", *map(str, counts))
    console.print(shown)
    without = [row for row in rows if row.state in ("rejected", "failed")]
    if without:
        shown = table("no scene", ("capture", "split", "state", "reason"))
        for row in without:
            shown.add_row(f"{row.kind}/{row.name}", split_of(row.location), row.state, row.reason)
        console.print(shown)


def _scene_cells(row: BuildRow, split_of: Callable[[str], str]) -> list[str]:
    record = row.record
    assert record is not None
    kappas = [frame.kappa_px for frame in record.frames]
    span = (
        f"{min(kappas):.3g}"
        if max(kappas) - min(kappas) < 0.01 * max(kappas)
        else f"{min(kappas):.3g}-{max(kappas):.3g}"
    )
    error, unknown = (record.measures.get(name) for name in ("rerender_error_fraction", "unknown_share"))
    return [
        record.name,
        split_of(record.location),
        record.unit,
        str(len(record.frames)),
        span,
        "" if error is None else f"{error:.2f}",
        "" if unknown is None else f"{unknown:.0%}",
        row.state,
    ]

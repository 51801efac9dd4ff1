"""``mddnet build``: scenes from captures."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from mddnet.cli.split_flag import wrong_split

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from rich.console import Console

    from mddnet.scenes.build import BuildRow

GroupName = Literal["focal_stacks", "light_fields", "rgbd", "stereo", "photos", "all_in_3d", "rigs", "pseudo"]


def build(
    sources: list[Path],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    jobs: Annotated[int, Parameter(name=["--jobs", "-j"])] = 1,
    ray: str | None = None,
    frames: int | None = None,
    only: Annotated[list[GroupName] | None, Parameter(negative="")] = None,
    limit: int | None = None,
    seed: int = 0,
    split: Path | None = None,
    rebuild: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Build scenes (sharp image, inverse depth, focused frames) from captures.

    Scenes go to OUT/GROUP/SCENE; OUT/build.csv lists them and OUT/rejected.csv says why a capture gave none. Stop it
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
        Build these groups only; may be repeated.
    limit
        At most that many scenes of each group and source.
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
    if (wrong := wrong_split(split)) is not None:
        print(f"mddnet build: {wrong}", file=sys.stderr)
        return 2

    if ray is not None:
        if jobs != 1:
            print(
                "mddnet build: --jobs counts processes here; with --ray the cluster has its own cores", file=sys.stderr
            )
            return 2
        sources, out = [source.resolve() for source in sources], out.resolve()

    # Imported after the flags were checked: wrong usage answers at once.
    from rich.console import Console

    from mddnet.data.split import read_split, split_of
    from mddnet.scenes.build import GROUPS, build_scenes, plan_build, write_tables

    split_file = split or next((s / "split.csv" for s in sources if (s / "split.csv").is_file()), None)
    places = {} if split_file is None else read_split(split_file)
    plan = plan_build(sources, only or GROUPS, limit)
    console = Console()
    rows: list[BuildRow] = []

    def side_of(place: str) -> str:
        return split_of(place, places) or ""

    try:
        _run(
            console,
            rows,
            build_scenes(plan, out, jobs, frames, seed, rebuild, ray),
            len(plan.tasks) + len(plan.failures),
        )
    finally:
        # After Ctrl-C too: what is done is done, and the tables say so.
        if rows:
            write_tables(out, rows, side_of)
            _print_tables(console, rows, side_of, out)
    return 1 if any(row.state in ("rejected", "failed") for row in rows) else 0


def _run(console: Console, rows: list[BuildRow], results: Generator[BuildRow], total: int) -> None:
    """Take the rows as they come, behind a bar with rate and time left."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("building"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    started = time.monotonic()
    bar_shown = Progress(*columns, console=console, disable=not console.is_terminal)
    with closing(results), bar_shown as progress:
        bar = progress.add_task("build", total=total, rate="", last="")
        for row in results:
            rows.append(row)
            per_second = len(rows) / max(time.monotonic() - started, 1e-9)
            rate = f"{per_second:.1f} scenes/s" if per_second >= 1 else f"{60 * per_second:.1f} scenes/min"
            progress.update(bar, advance=1, rate=rate, last=f"{row.group}/{row.name}")
            if row.state in ("rejected", "failed"):
                name = f"{row.group}/{row.name}: " if row.group else ""
                progress.console.print(f"{row.state}: {name}{row.reason}", markup=False, soft_wrap=True)


def _print_tables(console: Console, rows: Sequence[BuildRow], side_of: Callable[[str], str], out: Path) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from mddnet.scenes.build import GROUPS, REAL_GROUPS

    made = [row for row in rows if row.record is not None]
    real = [row for row in made if row.group in REAL_GROUPS]
    if real:
        table = Table(title="scenes from real captures", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in ("scene", "split", "unit"):
            table.add_column(name, no_wrap=True)
        for name in ("frames", "kappa px", "error", "unknown", "state"):
            table.add_column(name, justify="right")
        for row in sorted(real, key=lambda r: (GROUPS.index(r.group), r.name)):
            table.add_row(*_scene_cells(row, side_of))
        console.print(table)
        console.print(
            "kappa: blur in pixels per unit of inverse depth. error: what blur by the lens law leaves of the "
            "difference between the sharp image and the frames. unknown: share of pixels without a depth.",
            style="dim",
        )
    table = Table(title="all scenes of this run", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("group", no_wrap=True)
    for name in ("built", "kept", "rejected", "failed", "frames", "train", "dev", "no split"):
        table.add_column(name, justify="right")
    for group in (*GROUPS, ""):
        mine = [row for row in rows if row.group == group]
        if mine:
            counts = [sum(row.state == state for row in mine) for state in ("built", "kept", "rejected", "failed")]
            frames = sum(len(row.record.frames) for row in mine if row.record is not None)
            on = [side_of(row.record.place) for row in mine if row.record is not None]
            numbers = [*counts, frames, on.count("train"), on.count("dev"), on.count("")]
            table.add_row(group or "unknown", *(str(n) for n in numbers))
    console.print(table)
    without = [row for row in rows if row.state in ("rejected", "failed")]
    if without:
        table = Table(title="no scene", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in ("capture", "split", "state"):
            table.add_column(name, overflow="fold", no_wrap=name == "state")
        table.add_column("reason", overflow="fold", ratio=1)
        for row in without:
            table.add_row(f"{row.group}/{row.name}", side_of(row.place), row.state, row.reason)
        console.print(table)
    console.print(f"{out / 'build.csv'}, {out / 'rejected.csv'}", markup=False, soft_wrap=True)


def _scene_cells(row: BuildRow, side_of: Callable[[str], str]) -> list[str]:
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
        side_of(record.place),
        record.unit,
        str(len(record.frames)),
        span,
        "" if error is None else f"{error:.2f}",
        "" if unknown is None else f"{unknown:.0%}",
        row.state,
    ]

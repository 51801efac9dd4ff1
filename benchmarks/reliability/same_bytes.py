"""The table of docs/results/determinism.md: differences between numbers of threads, of processes, and other inputs.

    python -m benchmarks.reliability.same_bytes --data ../shared/data -o docs/results/determinism.md

The exit code is 1 if a guarantee of docs/reliability.md does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.reliability.files import Files, byte_differences, files_of
from benchmarks.table_page import replace_table
from PIL import Image

from mddnet.evaluate.provenance import provenance, provenance_line

ROOT = Path(__file__).parents[2]
THREADS_TOLERANCE = 1e-5
"""Largest difference of map values between numbers of threads, which change the order of sums; share of the range."""
MAPS = ("inv_depth", "defocus_px", "signed_defocus_px", "confidence")


@dataclass(frozen=True, slots=True)
class Row:
    """Two ways to the same result.

    Attributes:
        what: the two ways, in words.
        files: how many files were compared.
        differing: how many have other bytes.
        largest: largest difference of a number in the maps, as a share of the map's range; None where there are none.
        tolerance: what that may be; None where the bytes must be the same.
    """

    what: str
    files: int
    differing: int
    largest: float | None = None
    tolerance: float | None = None

    @property
    def broken(self) -> bool:
        """Whether more differs than is promised."""
        if self.tolerance is None or self.largest is None:
            return self.differing > 0
        return self.largest > self.tolerance


def mddnet(arguments: Sequence[str], threads: int | None = 1) -> None:
    """Run a command in a new process; with ``threads`` of None, every library uses all cores."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = str(ROOT / "src")
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    done = subprocess.run([sys.executable, "-m", "mddnet", *arguments], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments} ended with {done.returncode}: {done.stderr[-2000:]}")


def largest_difference(left: Files, right: Files) -> float:
    """Largest difference of a map's value, as a share of the range of that map."""
    import io

    largest = 0.0
    for name in left.keys() & right.keys():
        if name.endswith(".npy"):
            one, other = (np.load(io.BytesIO(files[name]), allow_pickle=False) for files in (left, right))
            largest = max(largest, float(np.abs(one - other).max()) / max(float(np.ptp(one)), 1e-9))
    return largest


def compared(what: str, left: Files, right: Files, maps: bool = False, tolerance: float | None = None) -> Row:
    """Two folders as a row."""
    return Row(
        what,
        len(left.keys() | right.keys()),
        len(byte_differences(left, right)),
        largest_difference(left, right) if maps else None,
        tolerance,
    )


def write_photos(folder: Path) -> list[Path]:
    """Photos of the scikit-image wheel, in three sizes; CC0 and public domain."""
    from skimage import data

    folder.mkdir()
    paths = []
    for name in ("chelsea", "coffee", "astronaut"):
        picture = Image.fromarray(getattr(data, name)())
        for scale in (0.3, 1.0, 2.5):
            path = folder / f"{name}_{scale:g}.png"
            picture.resize((round(picture.width * scale), round(picture.height * scale))).save(path)
            paths.append(path)
    return paths


def predictions(work: Path) -> list[Row]:
    """Threads, and one photo by itself or among others."""
    photos = write_photos(work / "photos")
    flags = ["--formats", "npy,tiff,png,mask,ply"]
    found: dict[str, Files] = {}
    for threads in (1, 2, 4):
        out = work / f"threads {threads}"
        mddnet(["predict", str(work / "photos"), "-o", str(out), "--threads", str(threads), *flags], threads)
        found[f"{threads}"] = files_of(out)
    out = work / "again"
    mddnet(["predict", str(work / "photos"), "-o", str(out), "--threads", "1", *flags])
    found["again"] = files_of(out)
    for photo in photos:
        mddnet(["predict", str(photo), "-o", str(work / "alone"), "--threads", "1", *flags])
    found["alone"] = files_of(work / "alone")
    mddnet(["predict", str(work / "photos"), "-o", str(work / "refined 1"), "--threads", "1", "--refine", *flags])
    mddnet(["predict", str(work / "photos"), "-o", str(work / "refined 2"), "--threads", "2", "--refine", *flags], 2)
    return [
        compared(f"predict, {len(photos)} photos: the same command twice", found["1"], found["again"], True),
        compared("predict: a folder, and each photo by itself", found["1"], found["alone"], True),
        compared("predict: 1 and 2 threads", found["1"], found["2"], True, THREADS_TOLERANCE),
        compared("predict: 1 and 4 threads", found["1"], found["4"], True, THREADS_TOLERANCE),
        compared(
            "predict --refine: 1 and 2 threads",
            files_of(work / "refined 1"),
            files_of(work / "refined 2"),
            True,
            THREADS_TOLERANCE,
        ),
    ]


def builds(data: Path, work: Path, limit: int) -> list[Row]:
    """Processes and threads."""
    flags = ["build", str(data), "--limit", str(limit), "-o"]
    ways = {"-j 1": (1, ["-j", "1"]), "-j 2": (None, ["-j", "2"]), "all threads": (None, ["-j", "1"])}
    found = {}
    for name, (threads, jobs) in ways.items():
        out = work / f"build {name}"
        build(flags, out, jobs, threads)
        found[name] = files_of(out)
    scenes = sum(name.endswith("scene.json") for name in found["-j 1"])
    return [
        compared(f"build, {scenes} scenes: one process and two (`-j 2`)", found["-j 1"], found["-j 2"]),
        compared("build: one thread and all cores", found["-j 1"], found["all threads"]),
    ]


def build(flags: Sequence[str], out: Path, jobs: Sequence[str], threads: int | None) -> None:
    """A build, whose captures may be rejected: the exit code is then 1, and the tables say why."""
    try:
        mddnet([*flags, str(out), *jobs], threads)
    except RuntimeError:
        if not (out / "build.csv").is_file():
            raise


def table(rows: Sequence[Row], words: str) -> str:
    """The table in Markdown."""
    lines = [
        "| two ways | files | with other bytes | largest difference, share of the map's range |",
        "|---|---|---|---|",
    ]
    for row in rows:
        largest = "" if row.largest is None else f"{row.largest:.1e}" if row.largest else "0"
        lines.append(f"| {row.what} | {row.files} | {row.differing} | {largest} |")
    return "\n".join([*lines, "", words]) + "\n"


def main() -> int:
    """Run, print, and write the table into the page between its marks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="real captures to build from")
    parser.add_argument("--limit", type=int, default=1, help="captures of each group")
    parser.add_argument("-o", "--out", type=Path, help="page whose table is replaced")
    options = parser.parse_args()
    started, made = time.monotonic(), provenance()
    with tempfile.TemporaryDirectory(prefix="mddnet-same-") as folder:
        rows = predictions(Path(folder))
        if options.data.is_dir():
            rows += builds(options.data, Path(folder), options.limit)
        else:
            print(f"{options.data}: no captures there, so builds are not compared", file=sys.stderr)
    text = table(rows, provenance_line(made, time.monotonic() - started))
    print(text)
    print(json.dumps([[row.what, row.differing] for row in rows]), file=sys.stderr)
    if options.out is not None:
        replace_table(options.out, text)
    return 1 if any(row.broken for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

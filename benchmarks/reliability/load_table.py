"""The table of docs/results/load.md: 10,000 photos in one folder, 2,000 scenes in one store.

    python -m benchmarks.reliability.load_table -o docs/results/load.md

The exit code is 1 if a guarantee of docs/reliability.md does not hold. Memory is read from /proc: Linux only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.reliability.load import PhotoLoad, StoreLoad, open_store, predict_folder, write_photos, write_store
from benchmarks.table_page import replace_table

from mddnet.evaluate.provenance import provenance, provenance_line

MOST_GROWTH = 0.10
MOST_SLOWDOWN = 1.10
MOST_OPEN_S = 2.0


def broken(photos: PhotoLoad, store: StoreLoad) -> list[str]:
    """Guarantees that do not hold."""
    faults = []
    if photos.growth > MOST_GROWTH:
        faults.append(f"the memory changed by {photos.growth:.0%}")
    if photos.last_ms > MOST_SLOWDOWN * photos.first_ms:
        faults.append(f"a photo took {photos.first_ms:.1f} ms at first and {photos.last_ms:.1f} ms at last")
    if store.open_s > MOST_OPEN_S:
        faults.append(f"the store took {store.open_s:.1f} s to open")
    if store.read_mib > store.size_mib / 2:
        faults.append(f"{store.read_mib:.0f} of {store.size_mib:.0f} MiB were read")
    return faults


def table(photos: PhotoLoad, store: StoreLoad, provenance_text: str) -> str:
    """The table in Markdown."""
    lines = [
        f"| {photos.photos} photos of 128 x 32 px in one folder, one thread | |",
        "|---|---|",
        f"| memory after the first hundred, MiB | {photos.first_mib:.0f} |",
        f"| most after that, MiB | {photos.most_mib:.0f} |",
        f"| at the end, MiB | {photos.last_mib:.0f} |",
        f"| processor time per photo, first tenth after the first hundred, ms | {photos.first_ms:.1f} |",
        f"| processor time per photo, last tenth, ms | {photos.last_ms:.1f} |",
        f"| the same command with `--resume`, all done before, s | {photos.resumed_s:.1f} |",
        "",
        f"| {store.scenes} scenes in one store, {store.size_mib:.0f} MiB | |",
        "|---|---|",
        f"| opening both parts of the split, s | {store.open_s:.2f} |",
        f"| of this processor time, s | {store.open_processor_s:.2f} |",
        f"| read until {store.batches} batches of 8 crops were drawn, MiB | {store.read_mib:.0f} |",
        f"| time per batch, ms | {store.batch_ms:.1f} |",
        f"| growth of memory, MiB | {store.grown_mib:.0f} |",
        "",
        provenance_text,
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run, print, and write the table into the page between its marks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--scenes", type=int, default=2_000)
    parser.add_argument("-o", "--out", type=Path, help="page whose table is replaced")
    options = parser.parse_args()
    started, made = time.monotonic(), provenance()
    with tempfile.TemporaryDirectory(prefix="mddnet-load-") as folder:
        work = Path(folder)
        split = write_store(work / "scenes", options.scenes)
        store = open_store(work / "scenes", split)
        print(store, file=sys.stderr)
        write_photos(work / "photos", options.photos)
        photos = predict_folder(work / "photos", work / "out")
        print(photos, file=sys.stderr)
    text = table(photos, store, provenance_line(made, time.monotonic() - started))
    print(text)
    if options.out is not None:
        replace_table(options.out, text)
    faults = broken(photos, store)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

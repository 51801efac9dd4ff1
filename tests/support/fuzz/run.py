"""Damaged and malicious input for every reader, and the table of docs/results/fuzz.md.

    python -m tests.support.fuzz.run --cases 200000 --work work/fuzz -o docs/results/fuzz.md

Cases are run in batches, one process each, one at a time. What was done lies in the work folder: run again with the
same number of cases, the command goes on where it stopped. Finds are kept there with their files, below TARGET/finds;
the exit code is 1 if there is one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.table_page import replace_table
from tests.support.fuzz.batch import CASE, FINDS, LIMIT_S, MEMORY_MB, PROGRESS, SEEDS, TARGETS, Find, keep_find, prepare
from tests.support.fuzz.target import PIXELS, files_in

from mddnet.evaluate.provenance import provenance, provenance_line
from mddnet.io.atomic import atomic_write_text

BATCH = 5000
STUCK_S = 90.0
"""Time without a case after which a process is ended: it is in a library that no signal reaches."""


@dataclass(slots=True)
class Done:
    """What is known of a target.

    Attributes:
        cases: how many were read.
        refused: how many of them were refused as they should be.
        longest_s: the longest time that one case took.
        memory_mb: the largest growth of a process's memory.
        seconds: time of all.
        finds: kind -> number of cases.
    """

    cases: int = 0
    refused: int = 0
    longest_s: float = 0.0
    memory_mb: float = 0.0
    seconds: float = 0.0
    finds: dict[str, int] = field(default_factory=dict)

    def add(self, other: dict[str, float | dict[str, int]]) -> None:
        """Add the outcome of a batch."""
        self.cases += int(other["cases"])  # type: ignore[arg-type]
        self.refused += int(other["refused"])  # type: ignore[arg-type]
        self.longest_s = max(self.longest_s, float(other["longest_s"]))  # type: ignore[arg-type]
        self.memory_mb = max(self.memory_mb, float(other["memory_mb"]))  # type: ignore[arg-type]
        for kind, count in other["finds"].items():  # type: ignore[union-attr]
            self.finds[kind] = self.finds.get(kind, 0) + count


def batch(name: str, first: int, count: int, folder: Path) -> dict[str, float | dict[str, int]]:
    """The outcome of one process, or its partial results after a crash or kill."""
    # On a disk in memory, where there is one: a case is a few small files.
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as temporary:
        scratch = Path(temporary)
        shutil.copytree(folder / SEEDS, scratch / SEEDS)
        (scratch / FINDS).symlink_to((folder / FINDS).resolve())
        arguments = [sys.executable, "-m", "tests.support.fuzz.batch", name, str(first), str(count), str(scratch)]
        log = scratch / "log.txt"
        with log.open("wb") as errors:
            process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=errors)
            seen, since = 0, time.monotonic()
            while True:
                try:
                    output, _ = process.communicate(timeout=2.0)
                    break
                except subprocess.TimeoutExpired:
                    now = _cases_so_far(scratch)
                    if now != seen:
                        seen, since = now, time.monotonic()
                    elif time.monotonic() - since > STUCK_S:
                        process.kill()
        if process.returncode == 0:
            outcome: dict[str, float | dict[str, int]] = json.loads(output.splitlines()[-1])
            return outcome
        words = log.read_text(encoding="utf-8", errors="replace")[-4000:]
        seen = _cases_so_far(scratch)
        if not (scratch / CASE).is_dir() or "its valid files are not read" in words:
            raise SystemExit(f"{name}: no batch could be begun: {words}")
        stuck = process.returncode == -9
        kind = "no answer, in a library" if stuck else f"the process ended with {process.returncode}"
        valid = files_in(scratch / SEEDS)
        changed = {key: data for key, data in files_in(scratch / CASE).items() if valid.get(key) != data}
        keep_find(folder / FINDS, Find(kind, words), changed, f"case {first + seen}")
        return {"cases": seen + 1, "refused": 0, "longest_s": 0.0, "memory_mb": 0.0, "finds": {kind: 1}}


def _cases_so_far(scratch: Path) -> int:
    path = scratch / PROGRESS
    content = path.read_bytes() if path.is_file() else b""
    return int(struct.unpack("<Q", content)[0]) if len(content) == 8 else 0


def run(cases: int, work: Path, only: str = "") -> dict[str, Done]:
    """Run the cases of all targets whose names contain ``only``, spread by their shares; what was done is kept."""
    total = sum(target.share for target in TARGETS.values())
    wanted = {
        name: -(-cases * target.share // total) for name, target in TARGETS.items() if only in name and not target.lacks
    }
    done = {name: _read(work / name / "done.json") for name in wanted}
    started, begun = time.monotonic(), sum(one.cases for one in done.values())
    for name, count in wanted.items():
        folder, mine = work / name, done[name]
        prepare(TARGETS[name], folder)
        (folder / FINDS).mkdir(exist_ok=True)
        while mine.cases < count:
            since = time.monotonic()
            mine.add(batch(name, mine.cases, min(BATCH, count - mine.cases), folder))
            mine.seconds += time.monotonic() - since
            atomic_write_text(folder / "done.json", json.dumps(asdict(mine), indent=1))
            now, all_of_them = sum(one.cases for one in done.values()), sum(wanted.values())
            rate = (now - begun) / (time.monotonic() - started)
            print(
                f"{now} of {all_of_them} cases, {rate:.0f} a second, {(all_of_them - now) / rate / 60:.0f} min left; "
                f"{name}: {mine.cases}, {len(mine.finds)} kinds of finds",
                file=sys.stderr,
                flush=True,
            )
    return done


def _read(path: Path) -> Done:
    return Done(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else Done()


def table(done: dict[str, Done]) -> str:
    """The table in Markdown, and the finds if there are any."""
    seconds = sum(one.seconds for one in done.values())
    lines = [
        provenance_line(provenance(), seconds),
        "",
        f"An input may take {LIMIT_S:g} s and {MEMORY_MB} MB more than the process with its libraries; images may have "
        f"{PIXELS / 1e6:g} megapixels here.",
        "",
        "| reader | cases | refused | read | longest, s | memory, MB | finds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in done.items():
        lines.append(
            f"| {TARGETS[name].reads} | {one.cases} | {one.refused} "
            f"| {one.cases - one.refused - sum(one.finds.values())} | {one.longest_s:.2f} | {one.memory_mb:.0f} "
            f"| {sum(one.finds.values())} |"
        )
    cases, refused, finds = (
        sum(one.cases for one in done.values()),
        sum(one.refused for one in done.values()),
        sum(sum(one.finds.values()) for one in done.values()),
    )
    longest, memory = (max(getattr(one, key) for one in done.values()) for key in ("longest_s", "memory_mb"))
    lines.append(
        f"| **all** | {cases} | {refused} | {cases - refused - finds} | {longest:.2f} | {memory:.0f} | {finds} |"
    )
    left_out = {name: target.lacks for name, target in TARGETS.items() if target.lacks}
    lines += [f"\nLeft out: {name}, which needs {', '.join(lacks)}." for name, lacks in left_out.items()]
    lines += [f"\n{name}: {count} x {kind}" for name, one in done.items() for kind, count in one.finds.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run, print the table, and write it into its page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cases", type=int, default=200_000, help="cases of all readers together")
    parser.add_argument("--work", type=Path, default=Path("work/fuzz"), help="folder for what was done and the finds")
    parser.add_argument("-o", "--out", type=Path, help="page whose table is replaced")
    parser.add_argument("--only", default="", help="readers whose names contain this")
    options = parser.parse_args()
    done = run(options.cases, options.work, options.only)
    text = table(done)
    print(text)
    if options.out is not None:
        replace_table(options.out, text)
    return 1 if any(one.finds for one in done.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Many cases of one target in a separate process with limited memory, which may crash.

``python -m tests.support.fuzz.batch TARGET FIRST COUNT FOLDER`` is run by
:mod:`tests.support.fuzz.run`; alone it repeats some cases: a case follows from its target and its number.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import resource
import shutil
import signal
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from tests.support.fuzz.captures import TARGETS as CAPTURES
from tests.support.fuzz.photos import TARGETS as PHOTOS
from tests.support.fuzz.stored import TARGETS as STORED
from tests.support.fuzz.target import PIXELS, Files, Target, files_in, write_files

from mddnet.photo.samples import LIMIT_VARIABLE

TARGETS: dict[str, Target] = {target.name: target for target in (*PHOTOS, *CAPTURES, *STORED)}
LIMIT_S = 5.0
"""Time that one input may take."""
MEMORY_MB = 1024
"""Address space beyond that of the process with every library loaded: more is refused by the system."""
SEEDS, CASE, FINDS, PROGRESS = "valid", "case", "finds", "progress"


class TooSlow(BaseException):
    """The time of a case is over; no handler of exceptions stops it."""


@dataclass(slots=True)
class Find:
    """Something that a reader must not do.

    Attributes:
        kind: exception and place, by which finds are told apart.
        words: the traceback.
    """

    kind: str
    words: str


@dataclass(slots=True)
class Outcome:
    """What a batch came to.

    Attributes:
        cases: how many were read.
        refused: how many of them were refused as they should be.
        longest_s: the longest time that one took.
        memory_mb: growth of the largest resident memory over that before the first case.
        finds: kind -> number of cases.
    """

    cases: int = 0
    refused: int = 0
    longest_s: float = 0.0
    memory_mb: float = 0.0
    finds: dict[str, int] = field(default_factory=dict)


def prepare(target: Target, folder: Path) -> Files:
    """Write the valid files of a target into ``folder/valid`` unless they are there, and give them."""
    valid = folder / SEEDS
    if not valid.is_dir():
        making = folder / f".{SEEDS}"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        target.valid(making)
        making.rename(valid)
    return files_in(valid)


class Case:
    """The folder to read: the valid files, replaced by those of a case."""

    def __init__(self, folder: Path, valid: Files) -> None:
        """Write the valid files."""
        self.folder, self._valid = folder, valid
        self._changed: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)
        write_files(folder, valid)

    def put(self, files: Files) -> None:
        """Take back the last case, and write another."""
        for name in self._changed - set(files):
            if name in self._valid:
                (self.folder / name).write_bytes(self._valid[name])
            else:
                (self.folder / name).unlink(missing_ok=True)
        write_files(self.folder, files)
        self._changed = set(files)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`TooSlow` when the time is over, and again every second, wherever it was caught."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def try_case(target: Target, folder: Path, limit_s: float = LIMIT_S) -> tuple[bool, Find | None]:
    """Read a folder: whether it was refused properly, and the error of the reader otherwise."""
    try:
        with time_limit(limit_s):
            target.read(folder)
    except target.allowed:
        return True, None
    except TooSlow:
        return False, Find(f"no answer within {limit_s:g} s{_position()}", traceback.format_exc()[-4000:])
    except Exception as error:
        return False, Find(f"{type(error).__name__}{_position()}", traceback.format_exc()[-4000:])
    return False, None


def _position() -> str:
    """Where the exception at hand comes from: the last line of ours, and the last of all."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    ours = [frame for frame in frames if "/mddnet/" in frame.filename]
    named = [*ours[-1:], *frames[-1:]]
    return " at " + ", ".join(dict.fromkeys(f"{Path(f.filename).name}:{f.lineno}" for f in named))


def run_batch(target: Target, folder: Path, first: int, count: int) -> Outcome:
    """Make and read ``count`` cases from number ``first`` on; finds are kept with their files in ``folder/finds``."""
    valid = prepare(target, folder)
    case = Case(folder / CASE, valid)
    refused, find = try_case(target, case.folder, 60.0)
    if refused or find is not None:
        raise SystemExit(f"{target.name}: its valid files are not read: {find.words if find else 'refused'}")
    counter = _counter(folder / PROGRESS)
    outcome = Outcome()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    _limit_memory()
    cases = target.cases(valid)
    for number in range(first, first + count):
        files = cases.draw(Random(f"{target.name} {number}"))
        case.put(files)
        started = time.monotonic()
        refused, find = try_case(target, case.folder)
        seconds = time.monotonic() - started
        outcome.longest_s = max(outcome.longest_s, seconds)
        outcome.cases += 1
        outcome.refused += refused
        counter[:8] = struct.pack("<Q", outcome.cases)
        if find is None and seconds > LIMIT_S:
            find = Find(f"{seconds:.0f} s", "")
        if find is not None:
            outcome.finds[find.kind] = outcome.finds.get(find.kind, 0) + 1
            keep_find(folder / FINDS, find, files, f"case {number}")
    outcome.memory_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
    return outcome


def keep_find(folder: Path, find: Find, files: Files, which: str, most: int = 3) -> None:
    """Keep the files of a find with its traceback; no more than a few of one kind."""
    name = hashlib.sha256(find.kind.encode()).hexdigest()[:10]
    for number in range(most):
        position = folder / f"{name}_{number}"
        if not position.exists():
            write_files(position / "files", files)
            (position / "about.txt").write_text(
                f"{which}: {find.kind}\n\n{find.words}", encoding="utf-8", errors="replace"
            )
            return


def _counter(path: Path) -> mmap.mmap:
    """Eight bytes that the parent sees as they change."""
    path.write_bytes(bytes(8))
    with path.open("r+b") as stream:
        return mmap.mmap(stream.fileno(), 8)


def _limit_memory() -> None:
    """Limit the address space to :data:`MEMORY_MB` more than now: a MemoryError counts as a finding."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY_MB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Run a batch and print its outcome as JSON."""
    name, first, count, folder = sys.argv[1:]
    os.environ[LIMIT_VARIABLE] = str(PIXELS / 1e6)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    outcome = run_batch(TARGETS[name], Path(folder), int(first), int(count))
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()

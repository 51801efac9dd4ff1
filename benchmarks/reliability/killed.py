"""Commands that are killed (SIGKILL) at random moments and restarted until they finish.

A command runs in a forked child of this process, which has imported all modules, so that runs do not spend time on the
start of Python. The child runs ``mddnet.cli.main.main``, like the command in a shell.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.reliability.files import Files, files_of

POLL_S = 0.001
LONGEST_S = 600.0
FEW = 10
"""From this number of kills on, two undisturbed runs are compared."""
OPERATIONS = frozenset(("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"))
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run."""

    seconds: float  # how long it ran
    code: int | None  # its exit code, or None where it was killed
    operations: int = 0  # what its watch counted, where it was not killed


class Case(Protocol):
    """A command with an input that takes a few seconds."""

    name: str  # of the command
    starts: Sequence[str]  # names of the states that a round can begin with

    def prepare(self, out: Path, start: str) -> None:
        """Make the state of the folder that a round begins with."""
        ...

    def arguments(self, out: Path) -> list[str]:
        """The command line."""
        ...

    def whole(self, out: Path, start: str, finished: Files) -> list[str]:
        """Results that are marked as complete but are not; ``finished`` are the files of an undisturbed run."""
        ...

    def differences(self, left: Files, finished: Files) -> list[str]:
        """Differences of the files of a killed and restarted run from those of an undisturbed one."""
        ...


@dataclass(slots=True)
class Tally:
    """Counts and faults of one command.

    Attributes:
        name: of the command.
        undisturbed_s: time of an undisturbed run.
        operations: files that an undisturbed run opened for writing, renamed or removed, and folders that it made.
        at_moments: runs that were killed at a random moment.
        at_operations: runs that were killed just before such an operation.
        in_the_middle: kills that left a file on its way, a claim, or a folder of scratch.
        rounds: runs that came through after kills.
        faults: what was wrong, in words.
        seconds: time of it all.
    """

    name: str
    undisturbed_s: float = 0.0
    operations: int = 0
    at_moments: int = 0
    at_operations: int = 0
    in_the_middle: int = 0
    rounds: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        """All of them."""
        return self.at_moments + self.at_operations


@dataclass(slots=True)
class Watch:
    """Counts file operations of a process below a folder, and kills it before the n-th operation."""

    folder: Path
    kill_before: int | None = None
    count: int = 0

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook of Python (PEP 578)."""
        if event not in OPERATIONS or not str(arguments[0]).startswith(str(self.folder)):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
            return
        self.count += 1
        if self.count == self.kill_before:
            os.kill(os.getpid(), signal.SIGKILL)


def in_child(
    work: Callable[[], int], log: Path, kill_after_s: float | None = None, watch: Watch | None = None
) -> Outcome:
    """Run a function in a forked child, which is killed after a time or by its watch."""
    started = time.monotonic()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.close(reading)
            with log.open("ab") as stream:
                os.dup2(stream.fileno(), 1)
                os.dup2(stream.fileno(), 2)
            if watch is not None:
                sys.addaudithook(watch)
            code = work()
            if watch is not None:
                os.write(writing, str(watch.count).encode())
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    os.close(writing)
    until = started + (LONGEST_S if kill_after_s is None else kill_after_s)
    try:
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            now = time.monotonic()
            if done:
                code = os.waitstatus_to_exitcode(status)
                operations = int(os.read(reading, 100) or 0) if code == 0 else 0
                return Outcome(now - started, None if code == -signal.SIGKILL else code, operations)
            if now >= until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                if kill_after_s is None:
                    raise TimeoutError(f"not through after {LONGEST_S:.0f} s, see {log}")
                return Outcome(now - started, None)
            time.sleep(POLL_S)
    finally:
        os.close(reading)


def run(arguments: Sequence[str], log: Path, kill_after_s: float | None = None, watch: Watch | None = None) -> Outcome:
    """Run a command of mddnet in a forked child."""
    from mddnet.cli.main import main

    return in_child(lambda: main(list(arguments)), log, kill_after_s, watch)


def hidden(out: Path) -> list[Path]:
    """Temporary files and folders."""
    return [path for path in out.rglob(".*") if not path.name.endswith(".lock")]


def _fresh(case: Case, out: Path, start: str) -> Path:
    shutil.rmtree(out, ignore_errors=True)
    case.prepare(out, start)
    return out


def kill_repeatedly(case: Case, work: Path, kills: int, seed: int) -> Tally:
    """Kill a command that many times at random moments, and as many times before file operations; check the files after
    each kill and after each finished run."""
    began = time.monotonic()
    draw = random.Random(f"{case.name} {seed}")
    tally, log = Tally(case.name), work / f"{case.name}.log"
    finished: dict[str, Files] = {}
    for start in case.starts:
        finished[start] = _undisturbed(case, _fresh(case, work / "undisturbed", start), log, tally)
        if kills >= FEW:
            again = _undisturbed(case, _fresh(case, work / "undisturbed", start), log, tally)
            tally.faults += [f"two undisturbed runs differ: {x}" for x in case.differences(again, finished[start])]
    while tally.kills < 2 * kills:
        start = case.starts[tally.rounds % len(case.starts)]
        # A new folder, since a worker may outlive its killed parent and write into the previous folder.
        out = _fresh(case, work / f"{case.name} {tally.rounds}", start)
        while True:
            outcome, how = _disturbed(case, out, kills, draw, log, tally)
            if outcome.code is not None:
                break
            tally.in_the_middle += bool(hidden(out)) if out.is_dir() else 0
            tally.faults += [
                f"kill {tally.kills}, {how}: {what}"
                for what in (case.whole(out, start, finished[start]) if out.is_dir() else [])
            ]
        tally.rounds += 1
        if outcome.code != 0:
            tally.faults.append(f"round {tally.rounds} ended with {outcome.code}, see {log}")
        tally.faults += [
            f"round {tally.rounds}, from {start}: {what}" for what in case.differences(files_of(out), finished[start])
        ]
        shutil.rmtree(out, ignore_errors=True)
    tally.seconds = time.monotonic() - began
    return tally


def _disturbed(case: Case, out: Path, kills: int, draw: random.Random, log: Path, tally: Tally) -> tuple[Outcome, str]:
    """A run that is killed unless it finishes before, and a description of the kill."""
    if tally.at_moments < kills and tally.at_moments <= tally.at_operations:
        outcome = run(case.arguments(out), log, draw.uniform(0.0, tally.undisturbed_s))
        tally.at_moments += outcome.code is None
        return outcome, f"after {outcome.seconds:.3f} s"
    if tally.at_operations < kills:
        watch = Watch(out, draw.randint(1, tally.operations))
        outcome = run(case.arguments(out), log, None, watch)
        tally.at_operations += outcome.code is None
        return outcome, f"before file operation {watch.kill_before}"
    return run(case.arguments(out), log), "not at all"


def _undisturbed(case: Case, out: Path, log: Path, tally: Tally) -> Files:
    outcome = run(case.arguments(out), log, None, Watch(out))
    if outcome.code != 0:
        raise RuntimeError(f"{case.name}: an undisturbed run ended with {outcome.code}, see {log}")
    tally.undisturbed_s = max(tally.undisturbed_s, outcome.seconds)
    tally.operations = max(tally.operations, outcome.operations)
    return files_of(out)

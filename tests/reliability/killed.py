"""Commands that are killed (SIGKILL) at random moments and started again until they are through.

A command runs in a forked child of this process, which has imported everything before: a killed run costs what it did,
not what starting Python costs. The child runs ``mddnet.cli.main.main``, as the shell's command does.
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

from tests.reliability.files import Files, files_of

POLL_S = 0.001
LONGEST_S = 600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run.

    Attributes:
        seconds: how long it ran.
        code: its exit code, or None where it was killed.
    """

    seconds: float
    code: int | None


class Case(Protocol):
    """A command with an input that takes a few seconds.

    Attributes:
        name: of the command.
        starts: names of the states that a round can begin with.
    """

    name: str
    starts: Sequence[str]

    def prepare(self, out: Path, start: str) -> None:
        """Make the state of the folder that a round begins with."""
        ...

    def arguments(self, out: Path) -> list[str]:
        """The command line."""
        ...

    def whole(self, out: Path, start: str, finished: Files) -> list[str]:
        """What in the folder is taken for whole and is not; ``finished`` is what an undisturbed run leaves."""
        ...

    def differences(self, left: Files, finished: Files) -> list[str]:
        """In what the files of a run that was killed and went on differ from those of an undisturbed one."""
        ...


@dataclass(slots=True)
class Tally:
    """What was seen of one command.

    Attributes:
        name: of the command.
        undisturbed_s: time of an undisturbed run.
        kills: runs that were killed.
        in_the_middle: kills that left a file on its way, a claim, or a folder of scratch.
        rounds: runs that came through after kills.
        faults: what was wrong, in words.
        seconds: time of it all.
    """

    name: str
    undisturbed_s: float = 0.0
    kills: int = 0
    in_the_middle: int = 0
    rounds: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


def in_child(work: Callable[[], int], log: Path, kill_after_s: float | None = None) -> Outcome:
    """Run a function in a forked child, and kill it after a time."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            with log.open("ab") as stream:
                os.dup2(stream.fileno(), 1)
                os.dup2(stream.fileno(), 2)
            code = work()
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    until = started + (LONGEST_S if kill_after_s is None else kill_after_s)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        now = time.monotonic()
        if done:
            return Outcome(now - started, os.waitstatus_to_exitcode(status))
        if now >= until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            if kill_after_s is None:
                raise TimeoutError(f"not through after {LONGEST_S:.0f} s, see {log}")
            return Outcome(now - started, None)
        time.sleep(POLL_S)


def run(arguments: Sequence[str], log: Path, kill_after_s: float | None = None) -> Outcome:
    """Run a command of mddnet in a forked child."""
    from mddnet.cli.main import main

    return in_child(lambda: main(list(arguments)), log, kill_after_s)


def hidden(out: Path) -> list[Path]:
    """Files on their way and scratch folders."""
    return [path for path in out.rglob(".*") if not path.name.endswith(".lock")]


def _fresh(case: Case, out: Path, start: str) -> Path:
    shutil.rmtree(out, ignore_errors=True)
    case.prepare(out, start)
    return out


def kill_repeatedly(case: Case, work: Path, kills: int, seed: int) -> Tally:
    """Kill a command that many times, evenly over the time of an undisturbed run; check after each kill and round."""
    began = time.monotonic()
    draw = random.Random(f"{case.name} {seed}")
    tally, log = Tally(case.name), work / f"{case.name}.log"
    finished: dict[str, Files] = {}
    for start in case.starts:
        finished[start] = _undisturbed(case, _fresh(case, work / "undisturbed", start), log, tally)
        again = _undisturbed(case, _fresh(case, work / "undisturbed", start), log, tally)
        tally.faults += [f"two undisturbed runs differ: {what}" for what in case.differences(again, finished[start])]
    while tally.kills < kills:
        start = case.starts[tally.rounds % len(case.starts)]
        # A folder of its own: a worker may outlive its killed parent and still write into the one before.
        out = _fresh(case, work / f"{case.name} {tally.rounds}", start)
        while True:
            after_s = draw.uniform(0.0, tally.undisturbed_s) if tally.kills < kills else None
            outcome = run(case.arguments(out), log, after_s)
            if outcome.code is not None:
                break
            tally.kills += 1
            tally.in_the_middle += bool(hidden(out)) if out.is_dir() else 0
            tally.faults += [
                f"kill {tally.kills}, after {outcome.seconds:.3f} s: {what}"
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


def _undisturbed(case: Case, out: Path, log: Path, tally: Tally) -> Files:
    outcome = run(case.arguments(out), log)
    if outcome.code != 0:
        raise RuntimeError(f"{case.name}: an undisturbed run ended with {outcome.code}, see {log}")
    tally.undisturbed_s = max(tally.undisturbed_s, outcome.seconds)
    return files_of(out)

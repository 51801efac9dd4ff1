"""The progress bars of the commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_Item = TypeVar("_Item")


def bar_with_rate(title: str, console: Console) -> Progress:
    """A bar with counts, the fields ``rate`` and ``last``, and the remaining time; silent unless on a terminal."""
    from rich import progress

    columns = (
        title,
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        "{task.fields[rate]}",
        progress.TimeElapsedColumn(),
        "left",
        progress.TimeRemainingColumn(),
        "{task.fields[last]}",
    )
    return progress.Progress(*columns, console=console, disable=not console.is_terminal)


def with_progress(title: str, items: Iterable[_Item], count: int) -> Iterator[_Item]:
    """The items, with a progress bar if there are several and stderr is a terminal."""
    if count < 2 or not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Output is redirected through the bar only on a terminal, not in a pipe.
    with Progress(title, *columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty()) as bar:
        yield from bar.track(items, total=count)


@contextmanager
def step_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal; call the result with the name of a step, the number of its finished parts, and of all."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("{task.description}", markup=False)
    columns, console = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), text), Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda step, done, count: bar.update(task, description=step, completed=done, total=count)

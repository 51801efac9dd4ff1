"""The progress bar of commands that build and write."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


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

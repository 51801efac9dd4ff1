"""Progress bar, ``log.csv`` and TensorBoard of a run."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from mddnet.io.atomic import write_csv
from mddnet.types import UInt8Array

LOG = "log.csv"


class Monitor:
    """The display of one process of a run; only the first process prints and writes."""

    def __init__(self, out: Path, first: bool, step: int, steps: int) -> None:
        """Prepare the display of a run of ``steps`` steps that starts after ``step``; later log lines are dropped."""
        self.console = Console(quiet=not first)
        self._first_step, self._steps, self._started = step, steps, time.monotonic()
        self._rate = 0.0
        self._log, self._rows = out / LOG, list[dict[str, str]]()
        if first and step > 0 and self._log.exists():
            with self._log.open(newline="") as file:
                self._rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step) if first else None
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[loss]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._bar = self._progress.add_task("train", total=steps, completed=step, rate="", loss="")

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text)

    def __enter__(self) -> Monitor:
        """Show the progress bar."""
        self._started = time.monotonic()
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the progress bar and flush TensorBoard."""
        self._progress.stop()
        if self._board is not None:
            self._board.close()

    def advance(self, step: int, images_per_step: int, loss: float) -> None:
        """Move the progress bar to ``step`` finished steps."""
        self._rate = images_per_step * (step - self._first_step) / (time.monotonic() - self._started)
        self._progress.update(self._bar, completed=step, rate=f"{self._rate:.1f} images/s", loss=f"loss {loss:.3f}")

    def log(self, step: int, losses: Mapping[str, float], measured: Mapping[str, float], rate: float) -> None:
        """Add a line to the log: mean losses, validation results, learning rate."""
        if self._board is not None:
            values = {**losses, "lr": rate, **measured}
            self._rows.append({"step": str(step), **{name: f"{value:.6g}" for name, value in values.items()}})
            write_csv(self._log, list(dict.fromkeys(name for row in self._rows for name in row)), self._rows)
            for name, mean in losses.items():
                self._board.add_scalar(f"train/{name}", mean, step)
        if not self.console.is_terminal:
            self.say(f"step {step}: loss {losses['loss']:.4f}, {self._rate:.1f} images/s")

    def measured(self, step: int, numbers: Mapping[str, float]) -> None:
        """Show validation results."""
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(f"dev/{name}", value, step)
        self.say(f"step {step}: " + ", ".join(f"dev_{name} {value:.3f}" for name, value in numbers.items()))

    def picture(self, step: int, pixels: UInt8Array) -> None:
        """Add an image of samples to TensorBoard."""
        if self._board is not None:
            self._board.add_image("train/samples", pixels, step, dataformats="HWC")

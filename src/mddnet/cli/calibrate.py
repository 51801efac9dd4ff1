"""``mddnet calibrate``: the lens of a capture, without building a scene."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from mddnet.scenes.capture_calibration import CaptureCalibration, Quantity


def calibrate(
    sources: list[Path],
    /,
    *,
    limit: int | None = None,
    json_out: Annotated[Path | None, Parameter(name="--json")] = None,
) -> int:
    """Calibrate the lens behind captures by re-rendering their frames, with 95 % intervals.

    Of a rig it prints A (aperture over pixel pitch, px) and e (what sensor readings lack of the sensor distance, mm);
    of several rig captures their weighted mean, too. Of a focal stack it prints kappa (blur in pixels per unit of
    inverse depth, or over the whole sweep where dioptres are not known). Captures that do not determine these numbers
    are named with the reason; the exit code is 1 then.

    Parameters
    ----------
    sources
        Capture folders (with capture.json inside, of kind rig or focal_stack), or folders that hold some.
    limit
        At most that many captures of each kind and source.
    json_out
        Also write everything to this file as JSON.
    """
    if limit is not None and limit < 1:
        print(f"mddnet calibrate: --limit is {limit}; expected at least 1", file=sys.stderr)
        return 2
    if json_out is not None and json_out.is_dir():
        print(f"mddnet calibrate: --json {json_out} is a folder; expected a file", file=sys.stderr)
        return 2

    # Imported after the flags were checked: wrong usage answers at once.
    from rich.console import Console
    from rich.progress import track

    from mddnet.kinds import KINDS
    from mddnet.scenes.capture_calibration import calibrate_task, pooled
    from mddnet.scenes.plan import plan_build

    plan = plan_build(sources, [name for name, kind in KINDS.items() if kind.calibrator], limit)
    for row in plan.failures:
        print(f"mddnet: {row.reason}", file=sys.stderr)
    console = Console(stderr=True)
    results: list[CaptureCalibration] = []
    for task in track(plan.tasks, "calibrating", console=console, disable=not console.is_terminal, transient=True):
        result = calibrate_task(task)
        results.append(result)
        _print(result)
    together = pooled(results)
    if together:
        print(f"all rig captures: {', '.join(_words(q) for q in together)} (95 %)")
    if json_out is not None:
        _write(json_out, results, together)
    return 1 if plan.failures or any(result.reason for result in results) else 0


def _words(quantity: Quantity) -> str:
    if math.isnan(quantity.error):
        return f"{quantity.name} = {quantity.value:.6g} {quantity.unit} (given)"
    digits = max(0, 1 - math.floor(math.log10(quantity.error))) if quantity.error > 0 else 6
    return f"{quantity.name} = {quantity.value:.{digits}f} +- {quantity.error:.{digits}f} {quantity.unit}"


def _print(result: CaptureCalibration) -> None:
    if result.reason:
        print(f"mddnet: {result.kind}/{result.name}: {result.reason}", file=sys.stderr)
        return
    words = ", ".join(_words(quantity) for quantity in result.quantities)
    remark = f"; {result.remark}" if result.remark else ""
    print(f"{result.name}: {words} (95 %); re-rendering error {result.error_fraction:.2f}{remark}", flush=True)


def _write(path: Path, results: list[CaptureCalibration], together: tuple[Quantity, ...]) -> None:
    from dataclasses import asdict

    from mddnet.io.atomic import atomic_write_text, plain_json

    captures = [{"group": (row := asdict(result)).pop("kind"), **row} for result in results]
    data = plain_json({"captures": captures, "rig": [asdict(q) for q in together]})
    atomic_write_text(path, json.dumps(data, indent=1) + "\n")

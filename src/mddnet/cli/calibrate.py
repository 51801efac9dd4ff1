"""``mddnet calibrate``: the lens of a capture, without building a scene."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from mddnet.cli.flags import Count

if TYPE_CHECKING:
    from mddnet.scenes.capture_calibration import CaptureCalibration, Quantity


def calibrate(
    sources: list[Path],
    /,
    *,
    limit: Count | None = None,
    json_out: Annotated[Path | None, Parameter(name="--json")] = None,
) -> int:
    """Calibrate the lens of captures by re-rendering their frames, with 95 % intervals.

    For a rig, it prints A (aperture over pixel pitch, px) and e (sensor distance minus reading, mm); for several rig
    captures, also their weighted means. For a focal stack, it prints kappa (blur in pixels per unit of inverse depth,
    or over the whole sweep if the dioptres are unknown). If a capture does not determine these numbers, the reason is
    printed and the exit code is 1.

    Args:
        sources: Capture folders (with capture.json inside, of kind rig or focal_stack), or folders that hold some.
        limit: Maximum number of captures per kind and source.
        json_out: Also write the results to this JSON file.
    """
    if json_out is not None and json_out.is_dir():
        print(f"mddnet calibrate: --json {json_out} is a folder; expected a file", file=sys.stderr)
        return 2

    # Imported after the flags are checked, so that usage errors are reported at once.
    from mddnet.cli.progress import with_progress
    from mddnet.kinds import KINDS
    from mddnet.scenes.capture_calibration import calibrate_task, pooled
    from mddnet.scenes.plan import plan_build

    plan = plan_build(sources, [name for name, kind in KINDS.items() if kind.calibrator], limit)
    for row in plan.failures:
        print(f"mddnet: {row.reason}", file=sys.stderr)
    results: list[CaptureCalibration] = []
    for task in with_progress("calibrating", plan.tasks, len(plan.tasks)):
        result = calibrate_task(task)
        results.append(result)
        _print(result)
    means = pooled(results)
    if means:
        print(f"all rig captures: {', '.join(_text(q) for q in means)} (95 %)")
    if json_out is not None:
        _write(json_out, results, means)
    return 1 if plan.failures or any(result.reason for result in results) else 0


def _text(quantity: Quantity) -> str:
    if math.isnan(quantity.error):
        return f"{quantity.name} = {quantity.value:.6g} {quantity.unit} (given)"
    digits = max(0, 1 - math.floor(math.log10(quantity.error))) if quantity.error > 0 else 6
    return f"{quantity.name} = {quantity.value:.{digits}f} +- {quantity.error:.{digits}f} {quantity.unit}"


def _print(result: CaptureCalibration) -> None:
    if result.reason:
        print(f"mddnet: {result.kind}/{result.name}: {result.reason}", file=sys.stderr)
        return
    values = ", ".join(_text(quantity) for quantity in result.quantities)
    remark = f"; {result.remark}" if result.remark else ""
    print(f"{result.name}: {values} (95 %); re-rendering error {result.error_fraction:.2f}{remark}", flush=True)


def _write(path: Path, results: list[CaptureCalibration], means: tuple[Quantity, ...]) -> None:
    from dataclasses import asdict

    from mddnet.io.atomic import atomic_write_text, plain_json

    captures = [{"group": (row := asdict(result)).pop("kind"), **row} for result in results]
    data = plain_json({"captures": captures, "rig": [asdict(q) for q in means]})
    atomic_write_text(path, json.dumps(data, indent=1) + "\n")

"""``mddnet calibrate``: the lens of a capture, without building a scene."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from mddnet.cli.flags import Count, File

if TYPE_CHECKING:
    from mddnet.scenes.capture_calibration import CaptureCalibration, Quantity


def calibrate(
    sources: list[Path],
    /,
    *,
    limit: Count | None = None,
    json_out: Annotated[File | None, Parameter(name="--json")] = None,
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
    from mddnet.cli.progress import with_progress
    from mddnet.io.atomic import atomic_write_text, plain_json
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
        captures = [{"group": (facts := asdict(result)).pop("kind"), **facts} for result in results]
        data = plain_json({"captures": captures, "rig": [asdict(q) for q in means]})
        atomic_write_text(json_out, json.dumps(data, indent=1) + "\n")
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

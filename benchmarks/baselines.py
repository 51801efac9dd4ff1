"""Other methods on the photos of `mddnet evaluate`: docs/results/baselines.json and baselines.md.

    python -m benchmarks.baselines --scenes work/scenes --data ../shared/data --pydnet pydnet_plus_plus.tflite

No number here depends on the weights of the shipped model, so `make tables` does not repeat them. The photos, pixels
and pairs are those of `docs/results/small/evaluation.json`, if the scenes are the same.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from cyclopts import Parameter, run

from mddnet.evaluate import evaluate_model
from mddnet.evaluate.baselines import find_baseline
from mddnet.evaluate.methods import FunctionMethod, Method
from mddnet.evaluate.provenance import provenance, provenance_line
from mddnet.evaluate.scenes import MEASURED_KINDS
from mddnet.io.atomic import atomic_write_text
from mddnet.metrics import vertical_position
from mddnet.types import Float32Array, UInt8Array

REAL_BLUR = ("focal_stacks", "light_fields")
PYDNET = "PyDNet++"
PRIOR = "vertical-position prior"
DEPTH_KEYS = ("depth_ordinal", "depth_ordinal_rotated", "depth_ordinal_sharp", "abs_rel", "delta1")
KEYS = (*DEPTH_KEYS, "defocus_ordinal", "coc_mae_px")
HEADS = ("depth, blurred", "rotated by 180 degrees", "depth, sharp", "AbsRel", "delta1", "defocus", "CoC error, px")
OUT = Path("docs/results")


@dataclass(frozen=True, slots=True)
class Maps:
    """The maps of :class:`VerticalPosition`; blur is no estimate of anything."""

    inv_depth: Float32Array
    defocus_px: Float32Array
    signed_defocus_px: Float32Array


class VerticalPosition:
    """Lower in the picture is nearer, as a predictor."""

    def predict(self, photo: UInt8Array, /) -> Maps:
        inv_depth = vertical_position(photo.shape[0], photo.shape[1])
        nothing = np.zeros_like(inv_depth)
        return Maps(inv_depth, nothing, nothing)


def karaali_jung() -> Method:
    """Karaali and Jung, "Edge-Based Defocus Blur Estimation With Adaptive Scale Selection", 2018."""
    from research.claims.karaali_jung import sigma_map

    return FunctionMethod("karaali-jung", "sigma_px", sigma_map, ("cv2", "scipy"))


CLASSICAL: Sequence[Callable[[], Method]] = (partial(find_baseline, "zhuo-sim"), karaali_jung)


def pydnet(weights: Path) -> Method:
    """PyDNet++ (Aleotti et al., "Real-time single image depth perception in the wild with handheld devices", 2021).

    The authors' TFLite file; needs the package ``ai-edge-litert``. Its output grows with distance, and a corner of it
    is an artefact of many times the range.
    """
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(model_path=str(weights), num_threads=1)
    net.allocate_tensors()
    inside, outside = net.get_input_details()[0], net.get_output_details()
    finest = max(outside, key=lambda details: int(np.prod(details["shape"])))
    _, rows, columns, _ = (int(size) for size in inside["shape"])

    def infer(photo: UInt8Array) -> Float32Array:
        small = cv2.resize(photo, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
        net.set_tensor(inside["index"], small[None])
        net.invoke()
        distance = np.squeeze(net.get_tensor(finest["index"])).astype(np.float32)
        found = -np.clip(distance, *np.percentile(distance, (0.5, 99.5)).astype(np.float32))
        return np.asarray(cv2.resize(found, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)

    return FunctionMethod(PYDNET, "inv_depth", infer)


def measured(scenes: Path, data: Path, kind: str, methods: Sequence[Method]) -> dict[str, Any] | None:
    """Means over locations by method, and the photos that they are of; None if there are none."""
    evaluation = evaluate_model(VerticalPosition(), scenes, data, only=(kind,), name=PRIOR, baselines=methods)
    for what, why in evaluation.failures:
        print(f"{what}: {why}", file=sys.stderr)
    result = evaluation.kinds.get(kind)
    if result is None or not result.model.frames:
        return None
    numbers = {}
    for name, method in result.methods.items():
        keys = DEPTH_KEYS if name == PRIOR else KEYS
        numbers[name] = {key: method.macro[key] for key in keys if key in method.macro}
    photos = [f"{row.scene}/{row.file}" for row in result.model.frames]
    return {"made": provenance(), "seconds": evaluation.seconds, "photos": photos, "methods": numbers}


def page(kinds: Mapping[str, dict[str, Any]], command: str) -> str:
    """The numbers in Markdown."""
    lines = [
        "# Other methods on the same photos",
        "",
        f"Made by `{command}`.",
        "",
        "Dev split, means over locations ([those of the shipped model](small/evaluation.md)). Depth and defocus are",
        "ordinal accuracies. AbsRel and delta1 are those of metres after robust scale-and-shift alignment. Classical",
        "methods estimate only defocus, and are measured on real blur. PyDNet++ estimates only depth; its weights are",
        'those of its authors. The vertical-position prior is "lower in the picture is nearer".',
    ]
    for kind, measures in kinds.items():
        lines += ["", f"## {kind.replace('_', ' ').capitalize()}, {len(measures['photos'])} photos", ""]
        lines += [provenance_line(measures["made"], measures["seconds"]), ""]
        lines += ["| method | " + " | ".join(HEADS) + " |", "|---" * (len(HEADS) + 1) + "|"]
        for name, numbers in measures["methods"].items():
            cells = [numbers.get(key, math.nan) for key in KEYS]
            lines.append(f"| {name} | " + " | ".join("" if math.isnan(c) else f"{c:.3f}" for c in cells) + " |")
    return "\n".join(lines) + "\n"


def main(
    *,
    scenes: Path = Path("work/scenes"),
    data: Path = Path("../shared/data"),
    pydnet_weights: Annotated[Path | None, Parameter(name="--pydnet")] = None,
    only: Annotated[Sequence[str], Parameter(consume_multiple=True)] = tuple(MEASURED_KINDS),
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = OUT,
) -> None:
    """Measure the classical methods, and PyDNet++ if its weights are given; kinds not in --only keep their numbers."""
    command = "python -m benchmarks.baselines" + ("" if pydnet_weights is None else " --pydnet pydnet_plus_plus.tflite")
    learned = [] if pydnet_weights is None else [pydnet(pydnet_weights)]
    path = out / "baselines.json"
    kinds = json.loads(path.read_text(encoding="utf-8"))["kinds"] if path.is_file() else {}
    for kind in only:
        classical = [make() for make in CLASSICAL] if kind in REAL_BLUR else []
        if (found := measured(scenes, data, kind, [*classical, *learned])) is not None:
            kinds[kind] = found
            atomic_write_text(path, json.dumps({"kinds": kinds}, indent=1) + "\n")
            atomic_write_text(out / "baselines.md", page(kinds, command))


if __name__ == "__main__":
    run(main)

"""Accuracy of half precision and int8, compared with the shipped graph, on two photos of each dev stack."""

from __future__ import annotations

from benchmarks.settings import Settings

from mddnet.cli.export import export
from mddnet.evaluate import Options, evaluate_model, markdown
from mddnet.evaluate.baselines import find_baseline
from mddnet.evaluate.provenance import provenance


def run(settings: Settings) -> str:
    """Export both variants, and measure them."""
    model, name = settings.load()
    baselines = []
    for precision in ("fp16", "int8"):
        folder = settings.work / f"small-{precision}"
        export(settings.model, out=folder, precision=precision, weights=False)
        baselines.append(find_baseline(str(folder), settings.threads))
    evaluation = evaluate_model(
        model,
        settings.scenes,
        settings.data,
        only=["focal_stacks"],
        name=name,
        options=Options(frames_per_scene=2),
        baselines=baselines,
    )
    return markdown(evaluation, provenance())

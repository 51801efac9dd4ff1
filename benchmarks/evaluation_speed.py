"""Processor time of an evaluation, in total and of the network.

Synthetic frames of 384 x 512 with depth and CoC are evaluated as by ``mddnet evaluate --dataset``. Set
OMP_NUM_THREADS=1, so that the time of waiting threads is not included. The network's time is that of ONNX Runtime.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.settings import Settings

from mddnet.evaluate import evaluate_dataset
from mddnet.evaluate.datasets.record import Dataset, Item, Protocol
from mddnet.evaluate.provenance import provenance, provenance_line
from mddnet.metrics import Truth
from mddnet.optics import signed_defocus_px
from mddnet.predict.predictor import load

HEIGHT, WIDTH, FRAMES = 384, 512, 200


def synthetic_photo(seed: int) -> Truth:
    """A frame of noise at several scales with a slanted depth."""
    rng = np.random.default_rng(seed)
    texture = sum(
        np.kron(rng.random((HEIGHT // cell, WIDTH // cell, 3)), np.ones((cell, cell, 1))) / 3 for cell in (4, 16, 64)
    )
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    inv_depth = (0.2 + rows / HEIGHT + 0.5 * columns / WIDTH).astype(np.float32)
    signed = signed_defocus_px(inv_depth, 0.9, 12.0).astype(np.float32)
    pixels = np.rint(255 * np.asarray(texture)).astype(np.uint8)
    return Truth(pixels, inv_depth, signed_defocus_px=signed, defocus_px=np.abs(signed))


def run(settings: Settings) -> str:
    """Measure the evaluation of synthetic frames."""
    photos = [synthetic_photo(seed) for seed in range(FRAMES)]
    items = tuple(Item(f"frame_{k}", "synthetic", lambda k=k: photos[k]) for k in range(FRAMES))
    dataset = Dataset("synthetic", "Synthetic frames", "", "", "", "", Protocol("all"), lambda _: items)
    model = load(settings.model, threads=1)
    spent = {"network": 0.0, "predict": 0.0}

    def timed(key: str, call: Any) -> Any:
        def inner(*arguments: Any) -> Any:
            start = time.process_time()
            try:
                return call(*arguments)
            finally:
                spent[key] += time.process_time() - start

        return inner

    session = model._session
    model._session = type("Timed", (), {"run": staticmethod(timed("network", session.run))})()
    model.predict = timed("predict", model.predict)  # type: ignore[method-assign]
    evaluate_dataset(model, dataset, Path(), limit=2)  # warm-up
    spent.update(network=0.0, predict=0.0)
    start = time.process_time()
    evaluate_dataset(model, dataset, Path())
    whole = time.process_time() - start
    parts = (
        ("network, two runs", spent["network"]),
        ("prediction, two runs", spent["predict"]),
        ("evaluation, total", whole),
    )
    lines = [
        "# Processor time of an evaluation",
        "",
        provenance_line(provenance(), whole),
        "",
        f"{FRAMES} frames of {WIDTH} x {HEIGHT} with depth and CoC, each predicted upright and rotated; processor time "
        "of one thread.",
        "",
        "| part | ms a frame | over the network's |",
        "| --- | --- | --- |",
        *(f"| {what} | {1000 * value / FRAMES:.0f} | {value / spent['network']:.2f} |" for what, value in parts),
        "",
    ]
    return "\n".join(lines)

"""What an evaluation costs beside the network: processor time of all, and of the network's runs alone.

    python benchmarks/evaluation_speed.py [MODEL] [FRAMES]

makes that many textured frames of 384 x 512 with a made depth and CoC, measures MODEL on them as ``mddnet evaluate
--set`` does, and writes docs/results/evaluation-speed.md. Processor time of one thread, so that other work on the
machine does not count, and waiting threads neither; the network's time is that of ONNX Runtime's runs.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")  # before NumPy reads them

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from mddnet.evaluate.provenance import provenance, provenance_words
from mddnet.evaluate.public_sets import Protocol, PublicSet, SetItem, SetListing, SetPhoto
from mddnet.evaluate.set_harness import evaluate_set
from mddnet.io.atomic import atomic_write
from mddnet.optics import signed_defocus_px
from mddnet.predict.predictor import load

HEIGHT, WIDTH = 384, 512
OUT = Path(__file__).parents[1] / "docs" / "results" / "evaluation-speed.md"


def made_photo(seed: int) -> SetPhoto:
    """A frame of noise at several scales with a slanted depth."""
    rng = np.random.default_rng(seed)
    texture = sum(
        np.kron(rng.random((HEIGHT // cell, WIDTH // cell, 3)), np.ones((cell, cell, 1))) / 3 for cell in (4, 16, 64)
    )
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    inv_depth = (0.2 + rows / HEIGHT + 0.5 * columns / WIDTH).astype(np.float32)
    signed = signed_defocus_px(inv_depth, 0.9, 12.0).astype(np.float32)
    pixels = np.rint(255 * np.asarray(texture)).astype(np.uint8)
    return SetPhoto(pixels, inv_depth, "1/m", signed_defocus_px=signed, defocus_px=np.abs(signed))


def main() -> None:
    """Measure, print and write."""
    name = sys.argv[1] if len(sys.argv) > 1 else "small"
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    photos = [made_photo(seed) for seed in range(frames)]
    items = tuple(SetItem(f"made_{k}", "made", lambda k=k: photos[k]) for k in range(frames))
    made = PublicSet("nyu-png", "Made frames", "", "", "", "", (), Protocol("all"), "", lambda _: SetListing(items))
    model = load(name, threads=1)
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
    evaluate_set(model, made, Path(), limit=2)  # warm-up
    spent.update(network=0.0, predict=0.0)
    start = time.process_time()
    evaluate_set(model, made, Path())
    whole = time.process_time() - start
    lines = [
        "# What an evaluation costs",
        "",
        provenance_words(provenance(), whole),
        "",
        f"`python benchmarks/evaluation_speed.py {name} {frames}`: {frames} frames of {WIDTH} x {HEIGHT} with depth "
        "and CoC, each predicted upright and turned; processor time of one thread.",
        "",
        "| part | ms a frame | over the network's |",
        "| --- | --- | --- |",
        *(
            f"| {what} | {1000 * value / frames:.0f} | {value / spent['network']:.2f} |"
            for what, value in (
                ("network, two runs", spent["network"]),
                ("prediction, two runs", spent["predict"]),
                ("evaluation, all of it", whole),
            )
        ),
        "",
    ]
    page = "\n".join(lines)
    print(page)
    atomic_write(OUT, lambda stream: stream.write(page.encode()))


if __name__ == "__main__":
    main()

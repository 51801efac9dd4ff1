"""Cost of the loader in the training loop: speed of the loop, compared with the same loop on batches in memory.

    python benchmarks/training.py recipes/small.toml --set data.scenes=work/scenes \\
        --set data.split=../shared/data/split.csv

All parts of the loop except the loader are those of ``mddnet train``. The first steps of each, with first reads of the
scenes and memory allocations, are not counted. ``--precision`` compares number formats.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mddnet.config import Recipe, load_recipe
from mddnet.data.batch import Batch
from mddnet.train import loop
from mddnet.train.loop import train
from mddnet.train.scenes import Scenes, open_run_scenes

WARM_STEPS = 40
BATCHES = 8


class _Clock:
    """Passes batches on, and records the time of each request."""

    def __init__(self) -> None:
        self.requested_at: list[float] = []

    def __call__(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self.requested_at.append(time.monotonic())
            yield batch

    def seconds_per_step(self) -> float:
        times = self.requested_at[WARM_STEPS:]
        return (times[-1] - times[0]) / (len(times) - 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], help="as for mddnet train")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--precision", nargs="+", default=["32-true"])
    args = parser.parse_args()
    recipe = load_recipe(args.recipe, args.set)
    scenes = Scenes(open_run_scenes(recipe).train, ())
    whole_loader = loop.batch_loader
    for precision in args.precision:
        rates = {}
        for name in ("loader", "memory"):
            clock, kept = _Clock(), list[Batch]()

            def batches(dataset, first, workers, name=name, clock=clock, kept=kept):  # type: ignore[no-untyped-def]
                if name == "loader":
                    return clock(iter(whole_loader(dataset, first, workers)))
                kept.extend(dataset[n] for n in range(BATCHES))
                return clock(kept[n % BATCHES] for n in range(len(dataset)))

            loop.batch_loader = batches  # type: ignore[assignment]
            with tempfile.TemporaryDirectory() as out:
                train(_short(recipe, Path(out), args.steps + WARM_STEPS, precision), scenes=scenes)
            rates[name] = recipe.data.batch_size / clock.seconds_per_step()
        share = rates["loader"] / rates["memory"]
        print(
            f"{precision}: {rates['loader']:.2f} images/s with the loader ({recipe.data.workers} workers), "
            f"{rates['memory']:.2f} from memory: {share:.0%}"
        )
    return 0


def _short(recipe: Recipe, out: Path, steps: int, precision: str) -> Recipe:
    table = recipe.model_dump(mode="json")
    table["optim"] |= {"steps": steps, "warmup_steps": 1}
    table["train"] |= {
        "out": str(out),
        "precision": precision,
        "validate_every": 0,
        "save_every": 10 * steps,
        "log_every": steps,
        "start_from": None,
    }
    return Recipe.model_validate(table)


if __name__ == "__main__":
    sys.exit(main())

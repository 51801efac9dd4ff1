"""``mddnet train``: carry out a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def train(
    recipe: Path,
    /,
    *,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    accelerator: str = "auto",
) -> int:
    """Train a network as a recipe says, or go on where the run stopped.

    The run's folder (train.out of the recipe) holds checkpoint, log.csv, TensorBoard events and, at the end, the
    model folder. Ctrl-C or a crash lose at most the steps since the last checkpoint; the same command goes on.

    Parameters
    ----------
    recipe
        The recipe, a TOML file such as recipes/small.toml.
    set_
        Change a setting of the recipe: section.key=value. May be repeated.
    accelerator
        What to compute on: auto, cpu, cuda, mps.
    """
    from mddnet.config import load_recipe
    from mddnet.train.loop import train as run

    folder = run(load_recipe(recipe, set_ or []), accelerator)
    print(f"trained weights: {folder}")
    return 0

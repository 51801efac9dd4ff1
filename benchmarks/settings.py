"""Settings and helpers of all benchmarks of the shipped model."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from mddnet.predict.predictor import Model, load
from mddnet.types import UInt8Array

_Result = TypeVar("_Result")


class Measured(Protocol):
    """Measures of one photo, as fields, with its kind of capture and its location."""

    @property
    def kind(self) -> str: ...
    @property
    def location(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """Inputs of a benchmark."""

    scenes: Path = Path("work/scenes")  # folder of built scenes
    data: Path = Path("../shared/data")  # folder of the captures, with split.csv
    work: Path = Path("work")  # folder for what takes long to make
    model: str = "small"  # a shipped model, or a model folder
    threads: int | None = None  # processor cores to use at most
    priors: tuple[str, ...] = ()  # depth-prior: NAME=NETWORK, such as da2=FOLDER or teacher=x.safetensors

    def load(self) -> tuple[Model, str]:
        """The model, and its name and version."""
        model = load(self.model, self.threads)
        return model, f"{model.name} {model.version}"


def sharp_photos() -> list[UInt8Array]:
    """Sharp photos by Stefan van der Walt, Rachel Michetti and NASA, from scikit-image: CC0 and public domain."""
    from skimage import data

    return [np.asarray(getattr(data, name)()) for name in ("chelsea", "coffee", "astronaut")]


def predictions_for(
    photos: Sequence[UInt8Array],
    changes: Mapping[str, Callable[[UInt8Array], UInt8Array]],
    measure: Callable[[UInt8Array], _Result],
) -> dict[str, list[_Result]]:
    """Results of ``measure`` for each photo after each change, by name of the change."""
    return {name: [measure(change(photo)) for photo in photos] for name, change in changes.items()}


def bin_names(limits: Sequence[float]) -> list[str]:
    """Names of the bins between limits: ``0 to 0.5``, and ``4 and more`` where the last limit is infinite."""
    return [f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} and more" for low, high in pairwise(limits)]


def macro(rows: Sequence[Measured], field: str) -> float:
    """Mean of the finite values of a field over locations, kinds, then all; NaN without any."""
    by_kind: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        value = getattr(row, field)
        if math.isfinite(value):
            by_kind[row.kind][row.location].append(value)
    kinds = [np.mean([np.mean(values) for values in places.values()]) for places in by_kind.values()]
    return float(np.mean(kinds)) if kinds else math.nan

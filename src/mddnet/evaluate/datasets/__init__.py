"""Public data sets, read in their published form and evaluated with their usual protocol.

A new data set is a function that lists its photos, and an entry of ``datasets.toml``.
"""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources

from mddnet.errors import CaptureError
from mddnet.evaluate.datasets.record import Dataset

_TABLE = tomllib.loads(resources.files(__name__).joinpath("datasets.toml").read_text(encoding="utf-8"))
DATASETS = {name: Dataset.of(name, entry) for name, entry in _TABLE.items()}
"""By their name for ``mddnet evaluate --dataset``."""


def find_dataset(name: str) -> Dataset:
    """The data set with that name; CaptureError with the nearest name for an unknown one."""
    if name in DATASETS:
        return DATASETS[name]
    near = difflib.get_close_matches(name, DATASETS, 1, 0.4)
    hint = f"; {near[0]}?" if near else ""
    raise CaptureError(f"--dataset {name}: no such data set{hint or ';'} expected one of {', '.join(DATASETS)}")

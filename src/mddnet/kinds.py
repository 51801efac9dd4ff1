"""The kinds of captures: one record each, used by building, training, evaluation and tables."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from mddnet import captures
from mddnet.captures.kind import Kind as Kind


def _kinds() -> dict[str, Kind]:
    """Collect the records of all modules in :mod:`mddnet.captures`."""
    names = [f"{captures.__name__}.{module.name}" for module in pkgutil.iter_modules(captures.__path__)]
    found = [kind for name in names for kind in getattr(importlib.import_module(name), "KINDS", ())]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: kind.order)}


KINDS: Mapping[str, Kind] = _kinds()  # by name, in the order of tables
REAL_KINDS = frozenset(name for name, kind in KINDS.items() if kind.real)  # kinds whose frames are photographs

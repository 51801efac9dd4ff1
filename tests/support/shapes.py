"""Copies of modules that check the shapes in their annotations at every call (jaxtyping and beartype)."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import typing
import warnings
from collections.abc import Iterator
from types import ModuleType

try:
    from beartype import BeartypeConf, beartype
    from beartype.roar import BeartypeDecorHintPep585DeprecationWarning
    from jaxtyping import install_import_hook
except ImportError:
    beartype = None

if beartype is not None:
    checked_call = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an integer is a float


def with_checked_shapes(*names: str) -> dict[str, ModuleType]:
    """Copies by name, of the modules and of all below them; they import each other, and the plain ones stay in use.

    The modules themselves if jaxtyping is not installed. The names of shapes are imported for checks only.
    """
    plain = {name: importlib.import_module(name) for top in names for name in _with_all_below(top)}
    if beartype is None:
        return plain
    for name in plain:
        del sys.modules[name]
    typing.TYPE_CHECKING = True
    try:
        with install_import_hook(names, f"{__name__}.checked_call"), warnings.catch_warnings():
            warnings.simplefilter("ignore", BeartypeDecorHintPep585DeprecationWarning)  # of a base class of PyTorch
            return {name: importlib.import_module(name) for name in plain}
    finally:
        typing.TYPE_CHECKING = False
        sys.modules.update(plain)
        for name, module in plain.items():
            parent, _, child = name.rpartition(".")
            setattr(sys.modules[parent], child, module)


def _with_all_below(name: str) -> Iterator[str]:
    yield name
    for below in pkgutil.walk_packages(getattr(importlib.import_module(name), "__path__", ()), f"{name}."):
        yield below.name

"""A copy of a module that checks the shapes in its annotations at every call (jaxtyping and beartype)."""

from __future__ import annotations

import importlib
import sys
import typing
from types import ModuleType

try:
    from beartype import BeartypeConf, beartype
    from jaxtyping import install_import_hook
except ImportError:
    beartype = None

if beartype is not None:
    checked_call = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an integer is a float


def with_checked_shapes(name: str) -> ModuleType:
    """The copy; the module itself if jaxtyping is not installed. The names of shapes are imported for checks only."""
    plain = importlib.import_module(name)
    if beartype is None:
        return plain
    del sys.modules[name]
    typing.TYPE_CHECKING = True
    try:
        with install_import_hook(name, f"{__name__}.checked_call"):
            return importlib.import_module(name)
    finally:
        typing.TYPE_CHECKING = False
        sys.modules[name] = plain

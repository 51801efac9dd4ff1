"""Packages of the extra ``formats``, imported on demand."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from mddnet.errors import ImageError


def formats_module(module: str, path: Path, kind: str, instead: str = "export it as JPEG or 16-bit TIFF") -> ModuleType:
    """Import the module that reads a kind of file; ImageError with the fix if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImageError(
            f"{path}: {kind}; reading it needs the package {module}: pip install 'mddnet[formats]', or {instead}"
        ) from error

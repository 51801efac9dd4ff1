"""Packages of the extra ``formats``, imported when a file needs them."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from mddnet.errors import ImageError


def formats_module(module: str, path: Path, kind: str, instead: str = "export it as JPEG or 16-bit TIFF") -> ModuleType:
    """The module that reads a kind of file.

    Raises:
        ImageError: where it is not installed, naming the file, the extra and the way without it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImageError(
            f"{path}: {kind}; reading it needs the package {module}: pip install 'mddnet[formats]', or {instead}"
        ) from error

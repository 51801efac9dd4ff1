"""Light fields: a grid of views of one scene, as a gantry or a plenoptic camera gives them, untouched."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from mddnet.errors import CaptureError
from mddnet.types import UInt8Array

VIEW_PATTERN = "view_RR_CC.jpg"
MAX_VIEWS_PER_SIDE = 100
"""Two digits per index; more is a damaged capture.json, not a camera."""


@dataclass(frozen=True, slots=True)
class LightField:
    """A grid of views, all of one size.

    Which way rows and columns run is *not* promised; :mod:`mddnet.sets.disparity` finds it.

    Attributes:
        folder: where the views lie, as ``view_RR_CC.jpg`` with row and column counted from 00.
        scene: name of the capture.
        place: scenes of one place go to one side of a split.
        source: where the capture comes from.
        licence: licence found there.
        rows: number of views per column, >= 2.
        cols: number of views per row, >= 2.
        height: height of every view, pixels.
        width: width of every view, pixels.
        note: remark of whoever gathered it.
    """

    folder: Path
    scene: str
    place: str
    source: str
    licence: str
    rows: int
    cols: int
    height: int
    width: int
    note: str = ""

    @property
    def centre(self) -> tuple[int, int]:
        """Row and column of the central view (of an even count, the first past the middle)."""
        return self.rows // 2, self.cols // 2

    def view_path(self, row: int, col: int) -> Path:
        """Path of one view.

        Raises:
            ValueError: for a row or column outside the grid.
        """
        if not (0 <= row < self.rows and 0 <= col < self.cols):
            raise ValueError(f"view ({row}, {col}); expected a row below {self.rows} and a column below {self.cols}")
        return self.folder / f"view_{row:02d}_{col:02d}.jpg"

    def read_view(self, row: int, col: int) -> UInt8Array:
        """One view, (height, width, 3) uint8, sRGB-encoded.

        Raises:
            CaptureError: if the file is damaged.
        """
        path = self.view_path(row, col)
        try:
            with Image.open(path) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
            raise CaptureError(f"{path}: not a readable view ({error}); fetch the capture again") from error


def _text(data: dict[str, Any], key: str, path: Path, default: str | None = None) -> str:
    value = data.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise CaptureError(f"{path}: {key!r} is {value!r}; expected a text")
    return value


def _side(data: dict[str, Any], key: str, path: Path) -> int:
    value = data.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 2 <= value <= MAX_VIEWS_PER_SIDE:
        raise CaptureError(f"{path}: {key!r} is {value!r}; expected a whole number of views, 2 to {MAX_VIEWS_PER_SIDE}")
    return value


def read_light_field(folder: Path) -> LightField:
    """Read and check ``capture.json`` of a light field: every view is there and has the same size.

    Args:
        folder: capture folder with ``capture.json`` and ``view_RR_CC.jpg``.

    Raises:
        CaptureError: naming the file, the value found and the value expected.
    """
    path = folder / "capture.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CaptureError(f"{path}: not a readable capture.json ({error})") from error
    if not isinstance(data, dict) or data.get("kind") != "light_field":
        kind = data.get("kind") if isinstance(data, dict) else data
        raise CaptureError(f"{path}: kind is {kind!r}; expected 'light_field'")
    pattern = data.get("views", VIEW_PATTERN)
    if pattern != VIEW_PATTERN:
        raise CaptureError(f"{path}: views are named {pattern!r}; expected {VIEW_PATTERN!r}: rename the files")
    rows, cols = _side(data, "rows", path), _side(data, "cols", path)
    scene = _text(data, "scene", path)
    if Path(scene).name != scene or scene in {".", ".."}:
        raise CaptureError(f"{path}: scene is {scene!r}; expected a plain name, it becomes the name of a folder")
    field = LightField(
        folder=folder,
        scene=scene,
        place=_text(data, "place", path),
        source=_text(data, "source", path, ""),
        licence=_text(data, "licence", path, ""),
        rows=rows,
        cols=cols,
        height=0,
        width=0,
        note=_text(data, "note", path, ""),
    )
    sizes: dict[tuple[int, int], Path] = {}
    missing = []
    for row in range(rows):
        for col in range(cols):
            view = field.view_path(row, col)
            try:
                with Image.open(view) as image:
                    sizes.setdefault(image.size, view)
            except FileNotFoundError:
                missing.append(view.name)
            except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
                raise CaptureError(f"{view}: not a readable view ({error}); fetch the capture again") from error
    if missing:
        raise CaptureError(
            f"{path}: {len(missing)} of {rows * cols} views are missing, first {missing[0]}; "
            f"expected {rows} rows of {cols}"
        )
    if len(sizes) > 1:
        found = ", ".join(f"{w}x{h} ({view.name})" for (w, h), view in list(sizes.items())[:3])
        raise CaptureError(f"{path}: views of several sizes: {found}; expected one size")
    (width, height) = next(iter(sizes))
    return replace(field, height=height, width=width)

"""Light fields: a grid of views of one scene, as a gantry or a plenoptic camera gives them, untouched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mddnet.errors import CaptureError
from mddnet.io.json_fields import capture_text, plain_scene_name, read_capture_json, shown, whole_number
from mddnet.photo.image_file import opened_image, read_rgb
from mddnet.types import UInt8Array

FETCH_AGAIN = "fetch the capture again"
VIEW_PATTERN = "view_RR_CC.jpg"
MAX_VIEWS_PER_SIDE = 100
"""Two digits per index; more is a damaged capture.json, not a camera."""


@dataclass(frozen=True, slots=True)
class LightField:
    """A grid of views, all of one size.

    Which way rows and columns run is *not* promised; :mod:`mddnet.scenes.disparity` finds it.

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
        return read_rgb(self.view_path(row, col), FETCH_AGAIN, what="view")


def read_light_field(folder: Path) -> LightField:
    """Read and check ``capture.json`` of a light field: every view is there and has the same size.

    Args:
        folder: capture folder with ``capture.json`` and ``view_RR_CC.jpg``.

    Raises:
        CaptureError: naming the file, the value found and the value expected.
    """
    path, data = read_capture_json(folder, "light_field")
    pattern = data.get("views", VIEW_PATTERN)
    if pattern != VIEW_PATTERN:
        raise CaptureError(f"{path}: views are named {shown(pattern)}; expected {VIEW_PATTERN!r}: rename the files")
    rows, cols = (
        whole_number(path, key, data.get(key), 2, MAX_VIEWS_PER_SIDE, "a whole number of views")
        for key in ("rows", "cols")
    )
    field = LightField(
        folder=folder,
        scene=plain_scene_name(path, data),
        place=capture_text(path, data, "place"),
        source=capture_text(path, data, "source", ""),
        licence=capture_text(path, data, "licence", ""),
        rows=rows,
        cols=cols,
        height=0,
        width=0,
        note=capture_text(path, data, "note", ""),
    )
    sizes: dict[tuple[int, int], Path] = {}
    missing = []
    for row in range(rows):
        for col in range(cols):
            view = field.view_path(row, col)
            if not view.is_file():
                missing.append(view.name)
                continue
            with opened_image(view, FETCH_AGAIN, what="view") as image:
                sizes.setdefault(image.size, view)
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

"""Light fields: a grid of views of one scene, as a gantry or a plenoptic camera gives them, untouched."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

from mddnet.captures.description import AnyText, CaptureDescription, exactly, read_capture, whole_number
from mddnet.captures.kind import Kind
from mddnet.errors import CaptureError
from mddnet.photo.image_file import opened_image, read_rgb
from mddnet.types import UInt8Array

VIEW_PATTERN = "view_RR_CC.jpg"
FETCH_AGAIN = "fetch the capture again"
MAX_VIEWS_PER_SIDE = 100
"""Two digits per index; more is a damaged capture.json, not a camera."""
ViewCount = Annotated[int, whole_number(2, MAX_VIEWS_PER_SIDE, "a whole number of views")]


class LightField(CaptureDescription):
    """A grid of views, all of one size, named ``view_RR_CC.jpg`` with row and column counted from 00.

    Which way rows and columns run is *not* promised; :mod:`mddnet.scenes.disparity` finds it.

    Attributes:
        source: where the capture comes from, or "".
        licence: licence found there, or "".
        rows: number of views per column, >= 2.
        cols: number of views per row, >= 2.
        views: pattern of the names.
    """

    source: AnyText = ""
    licence: AnyText = ""
    rows: ViewCount
    cols: ViewCount
    views: Annotated[str, exactly(VIEW_PATTERN, "rename the files")] = VIEW_PATTERN

    @cached_property
    def size(self) -> tuple[int, int]:
        """(width, height) of every view, from the headers alone."""
        views = [self.view_path(row, col) for row in range(self.rows) for col in range(self.cols)]
        missing = [view.name for view in views if not view.is_file()]
        if missing:
            raise CaptureError(
                f"{self.path}: {len(missing)} of {len(views)} views are missing, first {missing[0]}; "
                f"expected {self.rows} rows of {self.cols}"
            )
        sizes: dict[tuple[int, int], Path] = {}
        for view in views:
            with opened_image(view, FETCH_AGAIN, what="view") as image:
                sizes.setdefault(image.size, view)
        if len(sizes) > 1:
            found = ", ".join(f"{w}x{h} ({view.name})" for (w, h), view in list(sizes.items())[:3])
            raise CaptureError(f"{self.path}: views of several sizes: {found}; expected one size")
        return next(iter(sizes))

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
    field = read_capture(LightField, folder, "light_field")
    assert field.size  # the headers of all views were read
    return field


KINDS = (
    Kind(
        name="light_fields",
        title="Light fields",
        capture="light_field",
        order=2,
        real=True,
        share=0.2,
        frames_measured=6,
        builder="mddnet.scenes.light_field_scene:build_light_field_scene",
    ),
)

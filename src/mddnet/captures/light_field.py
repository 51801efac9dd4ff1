"""Light fields: a grid of views of one scene from a gantry or a plenoptic camera."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from mddnet.captures.description import AnyText, CaptureDescription, read_capture, whole_number
from mddnet.captures.kind import Kind
from mddnet.errors import CaptureError
from mddnet.photo.reader import photo_header
from mddnet.types import UInt8Array

FETCH_AGAIN = "fetch the capture again"
MAX_VIEWS_PER_SIDE = 100  # indices have two digits
ViewCount = Annotated[int, whole_number(2, MAX_VIEWS_PER_SIDE, "an integer number of views")]


class LightField(CaptureDescription):
    """A grid of views of one size, ``view_RR_CC.jpg`` with row and column counted from 00, in unknown directions."""

    source: AnyText = ""
    licence: AnyText = ""
    rows: ViewCount
    cols: ViewCount
    views: Literal["view_RR_CC.jpg"] = "view_RR_CC.jpg"  # pattern of the file names

    @cached_property
    def size(self) -> tuple[int, int]:
        views = [self.view_path(row, col) for row in range(self.rows) for col in range(self.cols)]
        missing = [view.name for view in views if not view.is_file()]
        if missing:
            raise CaptureError(
                f"{self.path}: {len(missing)} of {len(views)} views are missing, first {missing[0]}; "
                f"expected {self.rows} rows of {self.cols}"
            )
        sizes: dict[tuple[int, int], Path] = {}
        for view in views:
            header = photo_header(view, FETCH_AGAIN)
            sizes.setdefault((header.width, header.height), view)
        if len(sizes) > 1:
            found = ", ".join(f"{w}x{h} ({view.name})" for (w, h), view in list(sizes.items())[:3])
            raise CaptureError(f"{self.path}: views of several sizes: {found}; expected one size")
        return next(iter(sizes))

    @property
    def centre(self) -> tuple[int, int]:
        """Row and column of the central view (for an even count, the first after the middle)."""
        return self.rows // 2, self.cols // 2

    def view_path(self, row: int, col: int) -> Path:
        """Path of one view; ValueError outside the grid."""
        if not (0 <= row < self.rows and 0 <= col < self.cols):
            raise ValueError(f"view ({row}, {col}); expected a row below {self.rows} and a column below {self.cols}")
        return self.folder / f"view_{row:02d}_{col:02d}.jpg"

    def read_view(self, row: int, col: int) -> UInt8Array:
        """One view, (H, W, 3) uint8, sRGB; CaptureError if the file is damaged."""
        return self.read_pixels(self.view_path(row, col), FETCH_AGAIN)


def read_light_field(folder: Path) -> LightField:
    """Read and validate ``capture.json`` of a light field and the headers of its views; CaptureError if invalid."""
    return read_capture(LightField, folder, "light_field")


KINDS = (
    Kind(
        name="light_fields",
        title="Light fields",
        capture="light_field",
        order=2,
        share=0.2,
        frames_measured=6,
        builder="mddnet.scenes.light_field_scene:build_light_field_scene",
    ),
)

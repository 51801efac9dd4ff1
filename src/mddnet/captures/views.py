"""Rendered views with exact depth, such as those of ``research/made_views``.

Layout: one folder per generator with ``index.csv`` (columns id, place, hfov; others are ignored) and for each view
``ID.jpg`` and ``ID.png``: uint16, 65535 times 0.2 m over the depth along the optical axis, so that 0 is infinitely far
and every pixel is known. ``hfov`` is the horizontal field of view in degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mddnet.captures.kind import Kind
from mddnet.captures.manifest import check_unique, file_inside, manifest_rows
from mddnet.captures.rgbd import ListedImage, read_codes
from mddnet.errors import CaptureError
from mddnet.types import Float32Array, InvDepthUnit

INDEX = "index.csv"
NEAREST_M = 0.2  # depth of the largest code
LICENCE = "rendered from free models; see the packages of the generator"


@dataclass(frozen=True, slots=True)
class RenderedView(ListedImage):
    """A rendered image with its depth; ``hfov_deg`` is the horizontal field of view."""

    depth: Path
    hfov_deg: float
    unit: InvDepthUnit = "1/m"

    @property
    def files(self) -> tuple[Path, Path]:
        return self.image, self.depth

    @property
    def facts(self) -> dict[str, Any]:
        return {"hfov_deg": self.hfov_deg}

    def read_inv_depth(self, notes: list[str] | None = None) -> Float32Array:  # as of RgbdFrame
        """(H, W) float32, 1/m, 0 at infinity; CaptureError if the file is damaged or not one channel of uint16."""
        return (read_codes(self.depth, "uint16") / (65535.0 * NEAREST_M)).astype("float32")

    def focal_px(self, width: int) -> float:
        return width / (2.0 * math.tan(math.radians(self.hfov_deg) / 2.0))


def has_views(root: Path) -> bool:
    """Whether a folder of ``root`` holds an index."""
    return any(root.glob(f"*/{INDEX}"))


def list_views(root: Path) -> list[RenderedView]:
    """The views of all folders below ``root``; CaptureError names the line of an index that is wrong."""
    views: list[RenderedView] = []
    for index in sorted(root.glob(f"*/{INDEX}")):
        folder = index.parent
        for line, row in manifest_rows(folder, ("id", "place", "hfov"), INDEX):
            try:
                hfov = float(row["hfov"])
            except ValueError:
                hfov = math.nan
            if not 0.0 < hfov < 180.0:
                raise CaptureError(f"{line}: hfov {row['hfov']!r}; expected degrees between 0 and 180")
            image, depth = (file_inside(folder, f"{row['id']}.{ending}", line) for ending in ("jpg", "png"))
            location = f"views/{folder.name}/{row['place']}"
            name = f"{folder.name}_{row['id']}"
            views.append(RenderedView(name, location, f"views/{folder.name}", LICENCE, image, depth, hfov))
    return check_unique(root, views)


KINDS = (
    Kind(
        name="views",
        title="Rendered views",
        capture="view",
        order=10,
        share=0.25,
        builder="mddnet.scenes.rendered_scene:build_view_scene",
        frames_rendered=3,
        reader=list_views,
        folders=("views",),
        found_in=has_views,
        listing=INDEX,
    ),
)

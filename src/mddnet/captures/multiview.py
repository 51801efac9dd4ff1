"""Multi-view captures: a colour image and the inverse depth of sparse points from structure from motion.

Layout: ``manifest.csv`` with the columns of RGB-D captures and ``place``, and the files that it names, relative to its
folder. ``depth_unit`` is ``ordinal``: uint16, 60000 is the nearest point of the image, 0 is no point. Codes are
proportional to inverse depth with an unknown scale per image, and only their order is used. At most a few percent of
the pixels hold a point: enough for losses on points, but not for rendering.
"""

from __future__ import annotations

from pathlib import Path

from mddnet.captures.kind import Kind
from mddnet.captures.rgbd import RGBD_COLUMNS, DepthCodes, RgbdFrame, list_frames

MULTIVIEW_CODES: dict[str, DepthCodes] = {"ordinal": DepthCodes("ordinal", "uint16", 60000)}
MULTIVIEW_COLUMNS = (*RGBD_COLUMNS, "place")


def list_multiview(root: Path) -> list[RgbdFrame]:
    """Images with points in the order of ``root/manifest.csv``; errors as :func:`mddnet.captures.rgbd.list_rgbd`.

    :meth:`~mddnet.captures.rgbd.RgbdFrame.read_inv_depth` of a frame gives (H, W) float32, ``ordinal``: in (0, 1] at
    the points, 1 at the nearest, NaN elsewhere.
    """
    return list_frames(root, MULTIVIEW_COLUMNS, MULTIVIEW_CODES, lambda row: row["place"])


KINDS = (
    Kind(
        name="multiview",
        title="Multi-view",
        capture="multiview",
        order=9,
        real=True,
        share=0.1,
        builder="mddnet.scenes.sparse_scene:build_multiview_scene",
        reader=list_multiview,
        folders=("depth/multiview",),
    ),
)

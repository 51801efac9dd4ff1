"""Multi-view captures: a colour image each and the inverse depth of single points, from structure from motion.

Layout: ``manifest.csv`` with the columns of RGB-D captures and ``place``, and the files that it names, relative to its
own folder. ``depth_unit`` is ``ordinal``: uint16, 60000 is the nearest point of that image, 0 is no point. A code is
proportional to inverse depth in a model of unknown scale: codes compare within an image only, and only their order is
used. A few of a hundred pixels hold a point at most, which is enough for losses on points, but not for rendering.
"""

from __future__ import annotations

from pathlib import Path

from mddnet.captures.rgbd import RGBD_COLUMNS, DepthCodes, RgbdFrame, list_frames

MULTIVIEW_CODES: dict[str, DepthCodes] = {"ordinal": DepthCodes("ordinal", "uint16", 60000)}
MULTIVIEW_COLUMNS = (*RGBD_COLUMNS, "place")


def list_multiview(root: Path) -> list[RgbdFrame]:
    """Images with points below ``root``, in the order of ``root/manifest.csv``.

    :meth:`~mddnet.captures.rgbd.RgbdFrame.read_inv_depth` of a frame gives (H, W) float32, ``ordinal``: in (0, 1] at
    the points, 1 at the nearest, NaN elsewhere.

    Raises:
        CaptureError: for a manifest that is missing or incomplete, an unknown depth unit, a file that does not exist,
            or a name that occurs twice.
    """
    return list_frames(root, MULTIVIEW_COLUMNS, MULTIVIEW_CODES, lambda row: row["place"])

"""The maps as compact data for the browser: what is under the pointer is shown without asking the server."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mddnet.demo.look import LOOK_SIDE_PX, Look, size_within
from mddnet.predict.dioptres import MAX_DEPTH_M
from mddnet.predict.enlarge import picked
from mddnet.types import Float32Array

POINTER_SIDE_PX = LOOK_SIDE_PX // 2
"""Long side of the grid that is sent; the network's own maps are hardly finer."""
SCRIPT = Path(__file__).with_name("linked_maps.js")
CODES = 65535


def packed_maps(look: Look) -> str:
    """Inverse depth, signed defocus and confidence on a grid of at most 480 px, as JSON.

    ``data`` is base64 of a zlib stream: the codes of inverse depth, those of defocus, and confidence as bytes. A code
    has 16 bits and stands for ``low + step * code``; stored are differences to the code before (modulo 65536), all low
    bytes and then all high bytes.

    Args:
        look: the photo and its maps.

    Returns:
        An object with ``width``, ``height`` (of the photo), ``columns``, ``rows`` (of the grid), ``unit``,
        ``inv_depth`` and ``signed_px`` (low and step of each), ``infinity`` (the inverse depth up to which depth is
        called infinite), and ``data``.
    """
    size = size_within(look.inv_depth.shape, POINTER_SIDE_PX)
    inv_depth, depth_axis = _codes(picked(look.inv_depth, size))
    signed, signed_axis = _codes(picked(look.signed_defocus_px, size))
    confidence = (np.clip(picked(look.confidence, size), 0, 1) * 255 + 0.5).astype(np.uint8)
    raw = b"".join([*_planes(inv_depth), *_planes(signed), confidence.tobytes()])
    facts: dict[str, Any] = {
        "width": look.width_px,
        "height": look.height_px,
        "columns": size[1],
        "rows": size[0],
        "unit": look.unit,
        "inv_depth": depth_axis,
        "signed_px": signed_axis,
        "infinity": 1.0 / MAX_DEPTH_M,
        "data": base64.b64encode(zlib.compress(raw, 1)).decode("ascii"),
    }
    return json.dumps(facts, separators=(",", ":"))


def _codes(values: Float32Array) -> tuple[NDArray[np.uint16], tuple[float, float]]:
    low, high = float(values.min()), float(values.max())
    step = max(high - low, 1e-12) / CODES
    return np.rint((values.astype(np.float64) - low) / step).astype(np.uint16), (low, step)


def _planes(codes: NDArray[np.uint16]) -> tuple[bytes, bytes]:
    steps = np.diff(codes.reshape(-1), prepend=np.uint16(0))  # wraps around, as the reader's sum does
    return (steps & np.uint16(255)).astype(np.uint8).tobytes(), (steps >> np.uint16(8)).astype(np.uint8).tobytes()

"""A focal stack whose depth, blur and sharp image are known, rendered here by a sum of masked disc blurs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.scenes.render import psf_kernel
from mddnet.types import Float32Array, UInt8Array


@dataclass(frozen=True, slots=True)
class MadeStack:
    """A made stack.

    Attributes:
        sharp: (H, W, 3) uint8, sRGB.
        index: (H, W) true depth in frames.
        frames: N arrays (H, W, 3) uint8, sRGB.
    """

    sharp: UInt8Array
    index: Float32Array
    frames: list[UInt8Array]


def textured(height: int, width: int, seed: int = 0) -> UInt8Array:
    """Texture at all scales from 1 to 16 px."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for scale in (1, 2, 4, 8, 16):
        noise = rng.standard_normal((height // scale + 2, width // scale + 2, 3)).astype(np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(picture * 30 + 110, 0, 255), dtype=np.uint8)


def made_stack(
    positions_px: NDArray[np.floating], height: int = 120, width: int = 160, flat: tuple[slice, slice] | None = None
) -> MadeStack:
    """Three slabs side by side, at 1/6, 1/2 and 5/6 of the sweep; CoC of slab and frame is |X_slab - X_frame|."""
    sharp = textured(height, width)
    if flat is not None:
        sharp[flat] = 128
    count = len(positions_px)
    at = np.array([1 / 6, 1 / 2, 5 / 6]) * (count - 1)
    slab = np.minimum(np.arange(width) * 3 // width, 2)
    index = np.broadcast_to(at[slab], (height, width)).astype(np.float32)
    linear = linear_from_srgb8(sharp)
    frames = []
    for x in positions_px:
        frame = np.zeros_like(linear)
        for k, i in enumerate(at):
            diameter = abs(float(np.interp(i, np.arange(count), positions_px)) - float(x))
            blurred = cv2.filter2D(linear, cv2.CV_32F, psf_kernel(diameter), borderType=cv2.BORDER_REFLECT_101)
            frame[:, slab == k] = blurred[:, slab == k]
        frames.append(srgb8_from_linear(frame))
    return MadeStack(sharp, index, frames)


def write_capture_json(folder: Path, names: list[str], **changes: Any) -> None:
    """Write ``capture.json`` of a relative stack, near to far, for frames in the folder."""
    data = {
        "kind": "focal_stack",
        "scene": folder.name,
        "place": "made",
        "source": "made",
        "licence": "none",
        "frames": names,
        "focus": {"unit": "relative", "order": "near_to_far"},
        "lens": None,
        "aligned": True,
        **changes,
    }
    (folder / "capture.json").write_text(json.dumps(data))


def write_made_stack(folder: Path, frames: list[UInt8Array], **changes: Any) -> Path:
    """The stack as a capture folder."""
    folder.mkdir(parents=True)
    names = [f"frame_{i:02d}.png" for i in range(len(frames))]
    for name, frame in zip(names, frames, strict=True):
        Image.fromarray(frame).save(folder / name)
    write_capture_json(folder, names, **changes)
    return folder

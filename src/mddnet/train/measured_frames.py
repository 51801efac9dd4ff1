"""Focused frames with their truth, at the size at which a network in training is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from mddnet.data.scene_pool import SceneEntry, ScenePool
from mddnet.metrics import texture_mask
from mddnet.model.network import INPUT_MULTIPLE
from mddnet.optics import signed_defocus_px
from mddnet.types import BoolArray, Float32Array


@dataclass(frozen=True, slots=True)
class FrameToMeasure:
    """A focused frame with its truth, at the size at which the network is asked.

    Attributes:
        place: of its scene.
        image: (3, h, w) float32, sRGB in [0, 1].
        inv_depth: (h, w) float32, in units of the scene's range; NaN where unknown.
        signed_px: (h, w), signed CoC diameter; NaN where depth is unknown.
        mask: (h, w) bool, textured pixels of known, trusted depth.
    """

    place: str
    image: Tensor
    inv_depth: Float32Array
    signed_px: Float32Array
    mask: BoolArray


def frames_of(entries: Sequence[SceneEntry], long_side: int, frames_per_scene: int) -> Iterator[FrameToMeasure]:
    """Frames taken evenly over each scene, made small: both sides are multiples that the network takes.

    Args:
        entries: scenes with depth.
        long_side: of the frames given, about, pixels; smaller ones are not enlarged.
        frames_per_scene: most frames of a scene.
    """
    pool = ScenePool(limit_bytes=2**20)
    for entry in entries:
        truth = pool.truth(entry)
        h, w = truth.inv_depth.shape
        scale = min(1.0, long_side / max(h, w))
        height, width = (max(1, int(side * scale) // INPUT_MULTIPLE) * INPUT_MULTIPLE for side in (h, w))
        inv_depth = cv2.resize(truth.inv_depth, (width, height), interpolation=cv2.INTER_NEAREST)
        weight = cv2.resize(truth.weight, (width, height), interpolation=cv2.INTER_NEAREST)
        sharp = cv2.resize(pool.image(entry, entry.record.sharp), (width, height), interpolation=cv2.INTER_AREA)
        mask = texture_mask(sharp) & np.isfinite(inv_depth) & (weight > 0.3)
        count = min(frames_per_scene, len(entry.record.frames))
        positions = np.linspace(0, len(entry.record.frames) - 1, count + 2)[1:-1] if count > 1 else [0]
        for frame in (entry.record.frames[round(i)] for i in positions):
            image = cv2.resize(pool.image(entry, frame.file), (width, height), interpolation=cv2.INTER_AREA)
            kappa = frame.kappa_px * truth.range * width / w
            signed = signed_defocus_px(inv_depth, (frame.u_focus - truth.low) / truth.range, kappa)
            tensor = torch.from_numpy(image).permute(2, 0, 1).float() / 255.0
            yield FrameToMeasure(entry.record.place, tensor, inv_depth, signed, mask)

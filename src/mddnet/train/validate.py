"""Validation during training: metrics on whole focused frames of held-out scenes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mddnet.data.scene_pool import SceneEntry, ScenePool
from mddnet.metrics import coc_mae_px, defocus_ordinal_accuracy, depth_ordinal_accuracy, sign_accuracy, texture_mask
from mddnet.model.network import INPUT_MULTIPLE, Maps, MDDNet
from mddnet.optics import signed_defocus_px
from mddnet.types import BoolArray, Float32Array, UInt8Array

LONG_SIDE = 384
FRAMES_PER_SCENE = 3
CLEAR_SIGN = 0.01  # smallest CoC, as a fraction of the long side, for sign accuracy


@dataclass(frozen=True, slots=True)
class MeasuredFrame:
    """A focused frame with its truth, at the size of the network's input."""

    location: str
    image: Tensor  # (3, h, w) float32, sRGB in [0, 1]
    inv_depth: Float32Array  # (h, w) in units of the scene's range, NaN where unknown
    signed_px: Float32Array  # (h, w) signed CoC diameter, NaN where depth is unknown
    mask: BoolArray  # (h, w) textured pixels of known depth with enough confidence
    sharp: bool  # whether it is the sharp image of a scene


def frames_of(entries: Sequence[SceneEntry], long_side: int, frames_per_scene: int) -> Iterator[MeasuredFrame]:
    """The sharp image and evenly spaced frames of each scene, resized to multiples of the network's stride.

    The long side is about ``long_side`` pixels; smaller frames are not enlarged.
    """
    pool = ScenePool(limit_bytes=2**20)
    for entry in entries:
        truth = pool.truth(entry)
        h, w = truth.inv_depth.shape
        scale = min(1.0, long_side / max(h, w))
        height, width = (max(1, int(size * scale) // INPUT_MULTIPLE) * INPUT_MULTIPLE for size in (h, w))
        inv_depth = cv2.resize(truth.inv_depth, (width, height), interpolation=cv2.INTER_NEAREST)
        weight = cv2.resize(truth.weight, (width, height), interpolation=cv2.INTER_NEAREST)
        sharp = cv2.resize(pool.image(entry, entry.record.sharp), (width, height), interpolation=cv2.INTER_AREA)
        mask = texture_mask(sharp) & np.isfinite(inv_depth) & (weight > 0.3)
        count = min(frames_per_scene, len(entry.record.frames))
        positions = np.linspace(0, len(entry.record.frames) - 1, count + 2)[1:-1] if count > 1 else [0]
        yield MeasuredFrame(entry.record.location, _tensor(sharp), inv_depth, np.zeros_like(inv_depth), mask, True)
        for frame in (entry.record.frames[round(i)] for i in positions):
            if frame.kappa_px == 0:
                continue
            image = cv2.resize(pool.image(entry, frame.file), (width, height), interpolation=cv2.INTER_AREA)
            kappa = frame.kappa_px * truth.range * width / w
            signed = signed_defocus_px(inv_depth, (frame.u_focus - truth.low) / truth.range, kappa)
            yield MeasuredFrame(entry.record.location, _tensor(image), inv_depth, signed, mask, False)


def _tensor(image: UInt8Array) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).float() / 255.0


def quick_validation(network: MDDNet, entries: Sequence[SceneEntry]) -> dict[str, float]:
    """Mean over locations of :func:`validation_by_location`; locations without a metric are skipped.

    It is for training; ``mddnet evaluate`` gives the numbers to publish, at full size.
    """
    locations = validation_by_location(network, entries).values()
    names = dict.fromkeys(name for numbers in locations for name in numbers)
    return {name: float(np.mean([numbers[name] for numbers in locations if name in numbers])) for name in names}


def validation_by_location(network: MDDNet, entries: Sequence[SceneEntry]) -> dict[str, dict[str, float]]:
    """Metrics by location of a network in evaluation mode, on frames with a long side of about 384 px."""
    by_location: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for frame in frames_of(entries, LONG_SIDE, FRAMES_PER_SCENE):
        for name, value in _measures(network, frame).items():
            if np.isfinite(value):
                by_location[frame.location][name].append(value)
    return {
        location: {name: float(np.mean(values)) for name, values in numbers.items()}
        for location, numbers in by_location.items()
    }


def _measures(network: MDDNet, frame: MeasuredFrame) -> dict[str, float]:
    device = next(network.parameters()).device
    both = torch.stack([frame.image, frame.image.flip(1, 2)])
    with torch.inference_mode():
        maps = enlarged(network(both.contiguous(memory_format=torch.channels_last).to(device)), both.shape[2:])
    numbers: dict[str, float] = {}
    if maps.inv_depth is not None:
        upright, rotated = maps.inv_depth[:, 0].cpu().numpy()
        accuracy = depth_ordinal_accuracy(upright, frame.inv_depth, frame.mask)
        if frame.sharp:
            numbers["sharp_depth_ordinal"] = accuracy
        else:
            numbers["depth_ordinal"] = accuracy
            numbers["depth_ordinal_rotated"] = depth_ordinal_accuracy(rotated[::-1, ::-1], frame.inv_depth, frame.mask)
    if frame.sharp:
        return numbers if maps.defocus_px is None else numbers | {"sharp_coc_px": float(maps.defocus_px[0].median())}
    if maps.defocus_px is not None:
        defocus, truth = maps.defocus_px[0, 0].cpu().numpy(), np.abs(frame.signed_px)
        numbers["defocus_ordinal"] = defocus_ordinal_accuracy(defocus, truth, frame.mask)
        numbers["coc_mae_px"] = coc_mae_px(defocus, np.minimum(truth, network.config.defocus_cap_px), frame.mask)
    if maps.sign_logit is not None:
        clear_px = CLEAR_SIGN * max(frame.mask.shape)
        logit = maps.sign_logit[0, 0].cpu().numpy()
        numbers["sign"] = sign_accuracy(logit, frame.signed_px, frame.mask, min_defocus_px=clear_px)
    return numbers


def enlarged(maps: Maps, size: Sequence[int]) -> Maps:
    """The maps at a size (height, width), bilinear."""

    def one(values: Tensor | None) -> Tensor | None:
        if values is None or values.ndim != 4:
            return values
        return F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=False)

    return Maps(*(one(values) for values in maps))

"""A quick measurement on the dev side while training: order of depth and defocus on whole focused frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from mddnet.data.scene_pool import SceneEntry, ScenePool
from mddnet.metrics import (
    defocus_ordinal_accuracy,
    depth_ordinal_accuracy,
    sign_accuracy,
    texture_mask,
)
from mddnet.model.network import INPUT_MULTIPLE, MDDNet
from mddnet.optics import signed_defocus_px

LONG_SIDE = 384
FRAMES_PER_SCENE = 3


def quick_validation(network: MDDNet, entries: Sequence[SceneEntry]) -> dict[str, float]:
    """Mean over places of :func:`places_validation`; a measure that a place lacks is averaged over the others."""
    places = places_validation(network, entries)
    names = dict.fromkeys(name for numbers in places.values() for name in numbers)
    return {name: float(np.mean([numbers[name] for numbers in places.values() if name in numbers])) for name in names}


def places_validation(network: MDDNet, entries: Sequence[SceneEntry]) -> dict[str, dict[str, float]]:
    """Ordinal depth (upright and turned by 180 degrees), ordinal defocus, CoC error and sign, by place.

    Frames are resized to a long side of about 384 px, both sides multiples that the network takes. This steers
    training; the numbers to quote are those of ``mddnet evaluate``, at full size.

    Args:
        network: the network, in evaluation mode.
        entries: scenes of the dev side; frames are taken evenly over each.
    """
    device = next(network.parameters()).device
    pool = ScenePool(limit_bytes=2**20)
    by_place: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        truth = pool.truth(entry)
        h, w = truth.inv_depth.shape
        scale = min(1.0, LONG_SIDE / max(h, w))
        height, width = (max(1, int(side * scale) // INPUT_MULTIPLE) * INPUT_MULTIPLE for side in (h, w))
        inv_depth = cv2.resize(truth.inv_depth, (width, height), interpolation=cv2.INTER_NEAREST)
        weight = cv2.resize(truth.weight, (width, height), interpolation=cv2.INTER_NEAREST)
        sharp = cv2.resize(pool.image(entry, entry.record.sharp), (width, height), interpolation=cv2.INTER_AREA)
        mask = texture_mask(sharp) & np.isfinite(inv_depth) & (weight > 0.3)
        count = min(FRAMES_PER_SCENE, len(entry.record.frames))
        positions = np.linspace(0, len(entry.record.frames) - 1, count + 2)[1:-1] if count > 1 else [0]
        for frame in (entry.record.frames[round(i)] for i in positions):
            image = cv2.resize(pool.image(entry, frame.file), (width, height), interpolation=cv2.INTER_AREA)
            both = np.stack([image, image[::-1, ::-1]])
            tensor = torch.from_numpy(both).permute(0, 3, 1, 2).float() / 255.0
            with torch.inference_mode():
                maps = network(tensor.contiguous(memory_format=torch.channels_last).to(device))
            kappa = frame.kappa_px * truth.range * width / w
            signed = signed_defocus_px(inv_depth, (frame.u_focus - truth.low) / truth.range, kappa)
            numbers: dict[str, float] = {}
            if maps.inv_depth is not None:
                upright, turned = maps.inv_depth[:, 0].cpu().numpy()
                numbers["depth_ordinal"] = depth_ordinal_accuracy(upright, inv_depth, mask)
                numbers["depth_ordinal_turned"] = depth_ordinal_accuracy(turned[::-1, ::-1], inv_depth, mask)
            if maps.defocus_px is not None:
                defocus = maps.defocus_px[0, 0].cpu().numpy()
                numbers["defocus_ordinal"] = defocus_ordinal_accuracy(defocus, np.abs(signed), mask)
                error = np.abs(defocus - np.minimum(np.abs(signed), network.config.largest_defocus_px))
                numbers["coc_mae_px"] = float(error[mask].mean()) if mask.any() else float("nan")
            if maps.sign_logit is not None:
                numbers["sign"] = sign_accuracy(
                    maps.sign_logit[0, 0].cpu().numpy(), signed, mask, min_defocus_px=0.01 * max(height, width)
                )
            for name, value in numbers.items():
                if np.isfinite(value):
                    by_place[entry.record.place][name].append(value)
    return {
        place: {name: float(np.mean(values)) for name, values in numbers.items()} for place, numbers in by_place.items()
    }

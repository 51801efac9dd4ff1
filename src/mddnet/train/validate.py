"""A quick measurement on the dev side while training: order of depth and defocus on whole focused frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from mddnet.data.scene_pool import SceneEntry
from mddnet.metrics import defocus_ordinal_accuracy, depth_ordinal_accuracy, sign_accuracy
from mddnet.model.network import MDDNet
from mddnet.train.measured_frames import frames_of

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
    by_place: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for frame in frames_of(entries, LONG_SIDE, FRAMES_PER_SCENE):
        both = torch.stack([frame.image, frame.image.flip(1, 2)])
        with torch.inference_mode():
            maps = network(both.contiguous(memory_format=torch.channels_last).to(device))
        inv_depth, signed, mask = frame.inv_depth, frame.signed_px, frame.mask
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
                maps.sign_logit[0, 0].cpu().numpy(), signed, mask, min_defocus_px=0.01 * max(mask.shape)
            )
        for name, value in numbers.items():
            if np.isfinite(value):
                by_place[frame.place][name].append(value)
    return {
        place: {name: float(np.mean(values)) for name, values in numbers.items()} for place, numbers in by_place.items()
    }

"""After training: what the network answers to discs of known size sets the curve of its defocus map.

The discs blur sharp photos of the train side; ``mddnet evaluate`` asks the same of photos of the dev side, with a
kernel of its own. Real lenses do not blur by discs, and the network's answer to their blur is a little too small where
it is large; so captured stacks of the train side stretch the curve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from mddnet.data.disc_blur import blurred_by_disc
from mddnet.data.loader import MADE_UP
from mddnet.data.scene_pool import SceneEntry
from mddnet.metrics import texture_mask
from mddnet.model.network import INPUT_MULTIPLE, MDDNet
from mddnet.scenes.shard_source import Shard, raw_sets
from mddnet.scenes.shards import EncodedSet
from mddnet.scenes.store import read_image
from mddnet.train.measured_frames import frames_of
from mddnet.types import UInt8Array

DISCS_PX = (0.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
"""Smaller discs cannot be told from a sharp photo, larger ones leave too little of a photo of 448 px."""
PHOTOS = 40
SETS_LOOKED_AT = 2000
STRETCH_FROM_PX = 4.0
"""Smaller blur is not stretched: what a real lens makes of its plane of focus is no disc of 0 px either."""
STRETCHES = np.linspace(0.9, 1.15, 26)
LONG_SIDE, FRAMES_PER_STACK = 512, 4


def photos_of_scenes(entries: Sequence[SceneEntry]) -> list[Callable[[], UInt8Array]]:
    """What reads photos of scenes with a made-up depth, which are sharp all over; spread evenly over all there are."""
    photos = [entry for entry in entries if entry.record.capture == MADE_UP]
    chosen = [photos[i] for i in np.unique(np.linspace(0, len(photos) - 1, PHOTOS).astype(int))] if photos else []
    return [partial(read_image, entry.folder / entry.record.sharp) for entry in chosen]


def photos_of_shards(shards: Sequence[Shard]) -> list[Callable[[], UInt8Array]]:
    """The same from shards: the first that come, each photo once; no more than a few thousand sets are looked at."""
    photos: dict[str, EncodedSet] = {}
    looked_at = 0
    for shard in shards:
        for fields in raw_sets(shard.source):
            looked_at += 1
            if len(photos) == PHOTOS or looked_at > SETS_LOOKED_AT or fields is None:
                return [partial(one.image, "sharp") for one in photos.values()]
            one = EncodedSet.of(fields)
            if one.info["capture"] == MADE_UP:
                sharp = {name: data for name, data in fields.items() if name.startswith(("sharp.", "__key__"))}
                photos.setdefault(one.info["scene"], EncodedSet(sharp, one.info))
    return [partial(one.image, "sharp") for one in photos.values()]


def calibrate_defocus(network: MDDNet, photos: Sequence[Callable[[], UInt8Array]]) -> bool:
    """Set the network's curve so that the median answer to each disc is its size.

    Args:
        network: the trained network, in evaluation mode; its curve is replaced.
        photos: each gives the pixels of a photo that is sharp all over, (H, W, 3) uint8, sRGB.

    Returns:
        Whether the curve was set: not where there are no photos, the network has no defocus map, or its answers do not
        rise with the discs; then the curve is the identity.
    """
    network.defocus_curve.reset()
    if not photos or network.defocus_decoder is None:
        return False
    device = network.defocus_curve.values.device
    answers: list[list[float]] = [[] for _ in DISCS_PX]
    for photo in photos:
        sharp = photo()
        height, width = (side // INPUT_MULTIPLE * INPUT_MULTIPLE for side in sharp.shape[:2])
        mask = texture_mask(sharp)[:height, :width]
        if not mask.any():
            continue
        for found, diameter in zip(answers, DISCS_PX, strict=True):
            pixels = np.ascontiguousarray(blurred_by_disc(sharp, diameter)[:height, :width].transpose(2, 0, 1))
            with torch.inference_mode():
                defocus = network(torch.from_numpy(pixels)[None].float().to(device) / 255.0).defocus_px
            assert defocus is not None  # the network has that decoder
            found.append(float(np.median(defocus[0, 0].cpu().numpy()[mask])))
    if not all(answers):
        return False
    try:
        network.defocus_curve.fit([float(np.median(found)) for found in answers], DISCS_PX)
    except ValueError:
        return False
    return True


def stretch_to_stacks(network: MDDNet, entries: Sequence[SceneEntry]) -> float:
    """Stretch the network's curve beyond 4 px so that the CoCs of captured stacks are read with the least error.

    The error is the mean absolute one over the textured pixels of a place, and places count alike. The gain is one
    number, so that it cannot follow a place, and not far from 1.

    Args:
        network: the network in evaluation mode, its curve set by :func:`calibrate_defocus`; the curve is changed.
        entries: scenes of the train side; captured focal stacks of known CoC among them are asked.

    Returns:
        The gain; 1 where there is no such stack.
    """
    stacks = [
        entry
        for entry in entries
        if entry.record.capture == "focal_stack"
        and entry.record.provenance == "real"
        and entry.record.unit != "ordinal"
    ]
    device = network.defocus_curve.values.device
    errors: dict[str, list[NDArray[np.float64]]] = {}
    for frame in frames_of(stacks, LONG_SIDE, FRAMES_PER_STACK):
        if not frame.mask.any():
            continue
        with torch.inference_mode():
            defocus = network(frame.image[None].to(device)).defocus_px
        assert defocus is not None  # its curve was set
        answer = defocus[0, 0].cpu().numpy()[frame.mask].astype(np.float64)
        truth = np.minimum(np.abs(frame.signed_px[frame.mask]), network.config.largest_defocus_px)
        beyond = np.maximum(answer - STRETCH_FROM_PX, 0.0)
        errors.setdefault(frame.place, []).append(
            np.array([np.abs(answer + (gain - 1.0) * beyond - truth).mean() for gain in STRETCHES])
        )
    if not errors:
        return 1.0
    by_place = [np.mean(frames, axis=0) for frames in errors.values()]
    gain = float(STRETCHES[int(np.mean(by_place, axis=0).argmin())])
    network.defocus_curve.stretch(gain, STRETCH_FROM_PX)
    return gain

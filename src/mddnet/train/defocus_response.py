"""Measure the defocus response of a trained network, and fit its defocus curve.

The response is measured on sharp photos of the train split, blurred by discs; ``mddnet evaluate`` measures it on the
dev split with another kernel. Real lenses do not blur by exact discs, and large blur of real lenses is predicted
slightly too small; so the curve is then stretched to fit captured stacks of the train split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from mddnet.data.disc_blur import blurred_by_disc
from mddnet.data.loader import SYNTHETIC
from mddnet.data.scene_pool import SceneEntry
from mddnet.metrics import texture_mask
from mddnet.model.network import INPUT_MULTIPLE, MDDNet
from mddnet.scenes.shard_source import Shard, raw_samples
from mddnet.scenes.shards import EncodedSample
from mddnet.scenes.store import read_image
from mddnet.train.validate import frames_of
from mddnet.types import Float32Array, UInt8Array

DISCS_PX = (0.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
"""Smaller discs are indistinguishable from a sharp photo, larger ones too large for a photo of 448 px."""
PHOTOS = 40
SAMPLES_READ = 2000
STRETCH_FROM_PX = 4.0
"""Smaller blur is not stretched, because a real lens is not perfectly sharp in focus."""
STRETCHES = np.linspace(0.9, 1.15, 26)
LONG_SIDE, FRAMES_PER_STACK = 512, 4


def photos_of_scenes(entries: Sequence[SceneEntry]) -> list[Callable[[], UInt8Array]]:
    """Readers of photos with synthetic depth, which are sharp everywhere; evenly spaced."""
    photos = [entry for entry in entries if entry.record.capture == SYNTHETIC]
    if not photos:
        return []
    indices = np.unique(np.linspace(0, len(photos) - 1, PHOTOS).astype(int))
    return [partial(read_image, photos[i].folder / photos[i].record.sharp) for i in indices]


def photos_of_shards(shards: Sequence[Shard]) -> list[Callable[[], UInt8Array]]:
    """The same from shards: the first ones, each photo once."""
    photos: dict[str, EncodedSample] = {}
    samples = (fields for shard in shards for fields in raw_samples(shard.source))
    for fields in islice(samples, SAMPLES_READ):
        if fields is None or len(photos) == PHOTOS:
            break
        one = EncodedSample.of(fields)
        if one.info["capture"] == SYNTHETIC:
            sharp = {name: data for name, data in fields.items() if name.startswith(("sharp.", "__key__"))}
            photos.setdefault(one.info["scene"], EncodedSample(sharp, one.info))
    return [partial(one.image, "sharp") for one in photos.values()]


def fit_curve(network: MDDNet, photos: Sequence[Callable[[], UInt8Array]]) -> bool:
    """Fit the network's defocus curve so that the median prediction for each disc is its diameter.

    Args:
        network: the trained network, in evaluation mode; its curve is replaced.
        photos: each returns the pixels of a photo that is sharp everywhere, (H, W, 3) uint8, sRGB.

    Returns:
        Whether the curve was fitted. Without photos, without a defocus map, or if predictions do not increase with the
        discs, the curve becomes the identity.
    """
    network.defocus_curve.reset()
    if network.defocus_decoder is None:
        return False
    response: list[list[float]] = [[] for _ in DISCS_PX]
    for photo in photos:
        sharp = photo()
        height, width = (size // INPUT_MULTIPLE * INPUT_MULTIPLE for size in sharp.shape[:2])
        mask = texture_mask(sharp)[:height, :width]
        if not mask.any():
            continue
        for found, diameter in zip(response, DISCS_PX, strict=True):
            pixels = np.ascontiguousarray(blurred_by_disc(sharp, diameter)[:height, :width].transpose(2, 0, 1))
            defocus_px = _defocus_px(network, torch.from_numpy(pixels).float() / 255.0)
            found.append(float(np.median(defocus_px[mask])))
    if not all(response):
        return False
    try:
        network.defocus_curve.fit([float(np.median(found)) for found in response], DISCS_PX)
    except ValueError:
        return False
    return True


def _defocus_px(network: MDDNet, image: torch.Tensor) -> Float32Array:
    """The CoC map (H, W) of one image (3, H, W)."""
    with torch.inference_mode():
        defocus_px = network.infer(image[None].to(network.defocus_curve.values.device)).defocus_px
    assert defocus_px is not None
    return defocus_px[0, 0].cpu().numpy()


def stretch_to_stacks(network: MDDNet, entries: Sequence[SceneEntry]) -> float:
    """Stretch the network's curve beyond 4 px to minimise the CoC error on captured stacks.

    The error is the mean absolute one over textured pixels, with equal weight for each location. There is only one
    parameter, a gain near 1, so that it cannot overfit to a location.

    Args:
        network: the network in evaluation mode, its curve fitted by :func:`fit_curve`; the curve is changed.
        entries: scenes of the train split; only real focal stacks of known CoC are used.

    Returns:
        The gain; 1 without such a stack.
    """
    stacks = [
        entry
        for entry in entries
        if entry.record.capture == "focal_stack"
        and entry.record.provenance == "real"
        and entry.record.unit != "ordinal"
    ]
    errors: dict[str, list[NDArray[np.float64]]] = {}
    for frame in frames_of(stacks, LONG_SIDE, FRAMES_PER_STACK):
        if not frame.mask.any():
            continue
        predicted = _defocus_px(network, frame.image)[frame.mask].astype(np.float64)
        truth = np.minimum(np.abs(frame.signed_px[frame.mask]), network.config.largest_defocus_px)
        beyond = np.maximum(predicted - STRETCH_FROM_PX, 0.0)
        errors.setdefault(frame.location, []).append(
            np.array([np.abs(predicted + (gain - 1.0) * beyond - truth).mean() for gain in STRETCHES])
        )
    if not errors:
        return 1.0
    by_location = [np.mean(frames, axis=0) for frames in errors.values()]
    gain = float(STRETCHES[int(np.mean(by_location, axis=0).argmin())])
    network.defocus_curve.stretch(gain, STRETCH_FROM_PX)
    return gain

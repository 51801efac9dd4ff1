"""Photos with a cue removed, or seen another way: what :mod:`benchmarks.ablation` measures."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from mddnet.color import linear_from_srgb8, srgb8_from_linear
from mddnet.evaluate.methods import Predictor
from mddnet.types import Float32Array, LensLawFit, UInt8Array

Perturbation = Literal[
    "grey", "jpeg", "darker", "brighter", "halved", "mirrored", "rotated-90", "rotated-180", "rotated-270", "tiles"
]
PERTURBATIONS: tuple[Perturbation, ...] = get_args(Perturbation)
JPEG_QUALITY = 75
EXPOSURE_STEPS = 1.0
"""What ``darker`` and ``brighter`` change, in photographic stops."""
TILES = (3, 4)
"""Rows and columns of tiles, of a photo that is wider than high; the other way round of one that is higher."""


@dataclass(frozen=True, slots=True)
class PerturbedMaps:
    """Maps of a perturbed photo, brought back to where and how large things are in the photo as it was; (H, W)."""

    inv_depth: Float32Array
    defocus_px: Float32Array
    signed_defocus_px: Float32Array
    focus: LensLawFit


# --- what a camera or a program does to the colours -------------------------------------------------------------------


def in_grey(photo: UInt8Array) -> UInt8Array:
    """Luma (ITU-R BT.601) in all three channels: the blur stays, its colour is gone."""
    return np.asarray(Image.fromarray(photo).convert("L").convert("RGB"))


def through_jpeg(photo: UInt8Array) -> UInt8Array:
    """Through a JPEG of quality 75 with halved colour, as photos are when they have been sent around."""
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, format="JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
    with Image.open(stream) as again:
        return np.asarray(again.convert("RGB"))


def exposed(photo: UInt8Array, stops: float) -> UInt8Array:
    """Exposed otherwise by that many stops, in linear light; what becomes too bright is white."""
    return srgb8_from_linear(np.minimum(linear_from_srgb8(photo) * np.float32(2.0**stops), 1.0))


_COLOURS: dict[Perturbation, Callable[[UInt8Array], UInt8Array]] = {
    "grey": in_grey,
    "jpeg": through_jpeg,
    "darker": lambda photo: exposed(photo, -EXPOSURE_STEPS),
    "brighter": lambda photo: exposed(photo, EXPOSURE_STEPS),
}


# --- the same scene seen another way ----------------------------------------------------------------------------------


def _quarter_rotated(model: Predictor, photo: UInt8Array, quarters: int) -> PerturbedMaps:
    return _brought_back(
        model.predict(np.ascontiguousarray(np.rot90(photo, quarters))), lambda values: np.rot90(values, -quarters)
    )


def _mirrored(model: Predictor, photo: UInt8Array) -> PerturbedMaps:
    return _brought_back(model.predict(np.ascontiguousarray(photo[:, ::-1])), lambda values: values[:, ::-1])


def _brought_back(maps: Any, back: Callable[[Float32Array], Float32Array]) -> PerturbedMaps:
    return PerturbedMaps(
        np.ascontiguousarray(back(maps.inv_depth)),
        np.ascontiguousarray(back(maps.defocus_px)),
        np.ascontiguousarray(back(maps.signed_defocus_px)),
        maps.focus,
    )


def _halved(model: Predictor, photo: UInt8Array) -> PerturbedMaps:
    """At half the size; the CoC found there, in pixels of the small photo, is doubled."""
    height, width = photo.shape[:2]
    small = Image.fromarray(photo).resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.LANCZOS)
    maps = model.predict(np.asarray(small))
    scale = width / small.width

    def enlarged(values: Float32Array) -> Float32Array:
        picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
        return np.array(picture.resize((width, height), Image.Resampling.BILINEAR))

    defocus_px = enlarged(maps.defocus_px) * np.float32(scale)
    behind = enlarged(np.sign(maps.signed_defocus_px).astype(np.float32))
    return PerturbedMaps(enlarged(maps.inv_depth), defocus_px, np.copysign(defocus_px, behind), maps.focus)


def tile_bounds(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each tile of a photo; together they are the whole of it."""
    rows, columns = TILES if width >= height else TILES[::-1]
    down = np.linspace(0, height, rows + 1).round().astype(int)
    across = np.linspace(0, width, columns + 1).round().astype(int)
    for top, bottom in pairwise(down):
        for left, right in pairwise(across):
            yield slice(top, bottom), slice(left, right)


def _by_tiles(model: Predictor, photo: UInt8Array) -> PerturbedMaps:
    """Every tile seen alone, in its place, the rest of the photo covered by the tile's mean colour."""
    height, width = photo.shape[:2]
    size = height, width
    result = PerturbedMaps(
        np.zeros(size, dtype=np.float32),
        np.zeros(size, dtype=np.float32),
        np.zeros(size, dtype=np.float32),
        model.predict(photo).focus,
    )
    for here in tile_bounds(height, width):
        covered = np.empty_like(photo)
        covered[:] = np.rint(photo[here].reshape(-1, 3).mean(axis=0))
        covered[here] = photo[here]
        maps = model.predict(covered)
        result.inv_depth[here] = maps.inv_depth[here]
        result.defocus_px[here] = maps.defocus_px[here]
        result.signed_defocus_px[here] = maps.signed_defocus_px[here]
    return result


_VIEWS: dict[Perturbation, Callable[[Predictor, UInt8Array], PerturbedMaps]] = {
    "halved": _halved,
    "mirrored": _mirrored,
    "rotated-90": lambda model, photo: _quarter_rotated(model, photo, 1),
    "rotated-180": lambda model, photo: _quarter_rotated(model, photo, 2),
    "rotated-270": lambda model, photo: _quarter_rotated(model, photo, 3),
    "tiles": _by_tiles,
}


@dataclass(frozen=True, slots=True)
class Perturbed:
    """A model that sees every photo perturbed; its maps are those of the photo as it was."""

    model: Predictor  # the model
    perturbation: Perturbation  # what happens to each photo, of :data:`PERTURBATIONS`

    def predict(self, photo: UInt8Array, /) -> Any:
        """Predict the maps of one (H, W, 3) uint8 sRGB photo, perturbed."""
        if self.perturbation in _COLOURS:
            return self.model.predict(_COLOURS[self.perturbation](photo))
        return _VIEWS[self.perturbation](self.model, photo)

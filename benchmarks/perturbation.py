"""Perturbations of photos for :mod:`benchmarks.ablation`: changes of colour and geometry, and isolated tiles."""

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
"""Change of exposure of ``darker`` and ``brighter``, in stops."""
TILES = (3, 4)
"""Rows and columns of tiles of a landscape photo; columns and rows of a portrait photo."""


@dataclass(frozen=True, slots=True)
class PerturbedMaps:
    """Maps of a perturbed photo, transformed back to the geometry and size of the original photo; (H, W)."""

    inv_depth: Float32Array
    defocus_px: Float32Array
    signed_defocus_px: Float32Array
    focus: LensLawFit


# --- colour -----------------------------------------------------------------------------------------------------------


def in_grey(photo: UInt8Array) -> UInt8Array:
    """Luma (ITU-R BT.601) in all three channels: removes colour, keeps blur."""
    return np.asarray(Image.fromarray(photo).convert("L").convert("RGB"))


def through_jpeg(photo: UInt8Array) -> UInt8Array:
    """Compressed as JPEG of quality 75 with chroma subsampling."""
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, format="JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
    with Image.open(stream) as again:
        return np.asarray(again.convert("RGB"))


def exposed(photo: UInt8Array, stops: float) -> UInt8Array:
    """Exposure changed by that many stops, in linear light, clipped at white."""
    return srgb8_from_linear(np.minimum(linear_from_srgb8(photo) * np.float32(2.0**stops), 1.0))


_COLOURS: dict[Perturbation, Callable[[UInt8Array], UInt8Array]] = {
    "grey": in_grey,
    "jpeg": through_jpeg,
    "darker": lambda photo: exposed(photo, -EXPOSURE_STEPS),
    "brighter": lambda photo: exposed(photo, EXPOSURE_STEPS),
}


# --- geometry ---------------------------------------------------------------------------------------------------------


def _quarter_rotated(model: Predictor, photo: UInt8Array, quarters: int) -> PerturbedMaps:
    return _transformed_back(
        model.predict(np.ascontiguousarray(np.rot90(photo, quarters))), lambda values: np.rot90(values, -quarters)
    )


def _mirrored(model: Predictor, photo: UInt8Array) -> PerturbedMaps:
    return _transformed_back(model.predict(np.ascontiguousarray(photo[:, ::-1])), lambda values: values[:, ::-1])


def _transformed_back(maps: Any, back: Callable[[Float32Array], Float32Array]) -> PerturbedMaps:
    return PerturbedMaps(
        np.ascontiguousarray(back(maps.inv_depth)),
        np.ascontiguousarray(back(maps.defocus_px)),
        np.ascontiguousarray(back(maps.signed_defocus_px)),
        maps.focus,
    )


def _halved(model: Predictor, photo: UInt8Array) -> PerturbedMaps:
    """At half the size; the CoC in pixels of the small photo is doubled."""
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
    """Rows and columns of each tile of a photo; the tiles cover the photo."""
    rows, columns = TILES if width >= height else TILES[::-1]
    down = np.linspace(0, height, rows + 1).round().astype(int)
    across = np.linspace(0, width, columns + 1).round().astype(int)
    for top, bottom in pairwise(down):
        for left, right in pairwise(across):
            yield slice(top, bottom), slice(left, right)


def _by_tiles(model: Predictor, photo: UInt8Array) -> PerturbedMaps:
    """Every tile predicted alone at its position, with the rest of the photo in the tile's mean colour."""
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
    """A model whose input photos are perturbed; its maps are transformed back to the original photo."""

    model: Predictor  # the model
    perturbation: Perturbation  # what happens to each photo, of :data:`PERTURBATIONS`

    def predict(self, photo: UInt8Array, /) -> Any:
        """Predict the maps of one (H, W, 3) uint8 sRGB photo, perturbed."""
        if self.perturbation in _COLOURS:
            return self.model.predict(_COLOURS[self.perturbation](photo))
        return _VIEWS[self.perturbation](self.model, photo)

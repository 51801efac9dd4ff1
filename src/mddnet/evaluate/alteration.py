"""Photos with a cue taken away, to see what a model draws from it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image

from mddnet.evaluate.harness import PredictedMaps, Predictor
from mddnet.types import UInt8Array

Alteration = Literal["grey", "jpeg"]
ALTERATIONS: tuple[Alteration, ...] = get_args(Alteration)
JPEG_QUALITY = 75


def in_grey(photo: UInt8Array) -> UInt8Array:
    """Luma (ITU-R BT.601) in all three channels: the blur stays, its colour is gone."""
    return np.asarray(Image.fromarray(photo).convert("L").convert("RGB"))


def through_jpeg(photo: UInt8Array) -> UInt8Array:
    """Through a JPEG of quality 75 with halved colour, as photos are when they have been sent around."""
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, format="JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
    with Image.open(stream) as again:
        return np.asarray(again.convert("RGB"))


_FUNCTIONS: dict[Alteration, Callable[[UInt8Array], UInt8Array]] = {"grey": in_grey, "jpeg": through_jpeg}


@dataclass(frozen=True, slots=True)
class Altered:
    """A model that sees every photo altered; the truth stays that of the photo as it was.

    Attributes:
        model: the model.
        alteration: what happens to each photo, of :data:`ALTERATIONS`.
    """

    model: Predictor
    alteration: Alteration

    def predict(self, photo: UInt8Array, /) -> PredictedMaps:
        """Predict the maps of one (H, W, 3) uint8 sRGB photo, altered."""
        return self.model.predict(_FUNCTIONS[self.alteration](photo))

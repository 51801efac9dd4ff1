"""What a prediction holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mddnet.types import Float32Array, InvDepthUnit, Lens, LensLawFit, Photo

if TYPE_CHECKING:
    from mddnet.predict.output import SaveFormat


@dataclass(frozen=True, slots=True)
class Prediction:
    """Depth and defocus of one photo; all arrays have the photo's height and width and are finite everywhere.

    Attributes:
        inv_depth: (H, W) float32, inverse depth in ``unit``; larger is nearer.
        unit: ``"1/m"`` (0 is infinity), ``"1/m from focus"``, or ``"relative"``.
        depth_m: (H, W) float32, z-depth in metres, at most 10 km; None unless ``unit`` is ``"1/m"``.
        defocus_px: (H, W) float32, CoC diameter >= 0 in pixels of the photo.
        signed_defocus_px: (H, W) float32, the same with a sign: positive behind the plane of focus.
        focus: the lens law that ties the maps together, in ``unit`` and pixels of the photo.
        confidence: (H, W) float32 in [0, 1], agreement of the maps with the law and with the texture.
        photo: the photo that was looked at.
        model: name of the model.
        model_version: version of its weights.
        notes: remarks on what was assumed or could not be done, those of the photo first.
    """

    inv_depth: Float32Array
    unit: InvDepthUnit
    depth_m: Float32Array | None
    defocus_px: Float32Array
    signed_defocus_px: Float32Array
    focus: LensLawFit
    confidence: Float32Array
    photo: Photo
    model: str
    model_version: str
    notes: tuple[str, ...] = ()

    @property
    def lens(self) -> Lens:
        """The lens facts that were used."""
        return self.photo.lens

    def save(
        self, folder: str | os.PathLike[str], stem: str | None = None, formats: Sequence[SaveFormat] = ("tiff",)
    ) -> dict[str, Path]:
        """Write maps, preview and facts into a folder: see :func:`mddnet.predict.output.save`."""
        from mddnet.predict.output import save  # writing files is not needed to predict

        return save(self, Path(folder), stem, formats)

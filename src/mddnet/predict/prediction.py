"""What a prediction holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from PIL import Image

from mddnet.predict.dioptres import DepthOfField, depth_error_m, depth_of_field, finite_depth_m
from mddnet.predict.enlarge import enlarged, enlarged_rows, picked, strips
from mddnet.types import Float32Array, InvDepthUnit, Lens, LensLawFit, Photo

if TYPE_CHECKING:
    from mddnet.predict.output import SaveFormat

Quantity = Literal["inv_depth", "depth_m", "depth_error_m", "defocus_px", "signed_defocus_px", "confidence"]
"""Name of a map; ``depth_m`` and ``depth_error_m`` exist where the unit is ``"1/m"``."""


class PredictedPhoto(Protocol):
    """Maps of one photo and what belongs to them, whole in memory or not: what is written and shown."""

    @property
    def unit(self) -> InvDepthUnit: ...
    @property
    def focus(self) -> LensLawFit: ...
    @property
    def photo(self) -> Photo: ...
    @property
    def model(self) -> str: ...
    @property
    def model_version(self) -> str: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def fine(self) -> bool: ...

    @property
    def lens(self) -> Lens:
        """The lens facts that were used."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the photo and of all maps, pixels."""
        ...

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The maps that there are."""
        ...

    @property
    def depth_of_field(self) -> DepthOfField | None:
        """Between which distances the photo is sharp; None where metres are not known."""
        ...

    def rows(self, quantity: Quantity, start: int, stop: int) -> Float32Array:
        """Some rows of a map, (stop - start, W)."""
        ...

    def fitted(self, quantity: Quantity, size: tuple[int, int]) -> Float32Array:
        """A map at (width, height) ``size``, antialiased: for pictures."""
        ...

    def sampled(self, quantity: Quantity, size: tuple[int, int]) -> Float32Array:
        """A map at (width, height) ``size``, at the centres of its pixels: values that are there, not means."""
        ...


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
        depth_error_m: (H, W) float32, what ``depth_m`` may be off by, metres; None where ``depth_m`` is.
        fine: whether a second look at twice the size was asked for.
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
    depth_error_m: Float32Array | None = None
    fine: bool = False

    @property
    def lens(self) -> Lens:
        """The lens facts that were used."""
        return self.photo.lens

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the photo and of all maps, pixels."""
        height, width = self.inv_depth.shape
        return height, width

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The maps that there are."""
        return _quantities(self.depth_m is not None, self.depth_error_m is not None)

    @property
    def depth_of_field(self) -> DepthOfField | None:
        """Between which distances the photo is sharp; None where metres are not known."""
        return _depth_of_field(self)

    def rows(self, quantity: Quantity, start: int, stop: int) -> Float32Array:
        """Some rows of a map, (stop - start, W)."""
        return self._whole(quantity)[start:stop]

    def fitted(self, quantity: Quantity, size: tuple[int, int]) -> Float32Array:
        """A map at (width, height) ``size``, antialiased: for pictures."""
        picture = Image.fromarray(np.ascontiguousarray(self._whole(quantity)))
        return np.asarray(picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0))

    def sampled(self, quantity: Quantity, size: tuple[int, int]) -> Float32Array:
        """A map at (width, height) ``size``, at the centres of its pixels: values that are there, not means."""
        return picked(self._whole(quantity), (size[1], size[0]))

    def _whole(self, quantity: Quantity) -> Float32Array:
        values: Float32Array | None = getattr(self, quantity)
        assert values is not None, f"{quantity} of a prediction in {self.unit}"
        return values

    def save(
        self, folder: str | os.PathLike[str], stem: str | None = None, formats: Sequence[SaveFormat] = ("tiff",)
    ) -> dict[str, Path]:
        """Write maps, preview and facts into a folder: see :func:`mddnet.predict.output.save`."""
        from mddnet.predict.output import save  # writing files is not needed to predict

        return save(self, Path(folder), stem, formats)


@dataclass(frozen=True, slots=True)
class CompactPrediction:
    """A prediction at the size of the network's image, enlarged to that of the photo where and when it is needed.

    All maps of a photo of 100 megapixels are 2.4 gigabytes; written from here, a few rows of one are in memory.

    Attributes:
        inv_depth: (h, w) float32, inverse depth in ``unit``; larger is nearer.
        inv_depth_error: (h, w) float32, what it may be off by, in the same unit; None where it is relative.
        unit: as in :class:`Prediction`.
        defocus_px: (h', w') float32, CoC diameter >= 0 in pixels of the photo; its size may be another.
        side: (h, w) float32, +1 behind the plane of focus, -1 in front of it.
        focus: as in :class:`Prediction`.
        confidence: (h, w) float32 in [0, 1].
        photo: the photo that was looked at.
        model: name of the model.
        model_version: version of its weights.
        notes: as in :class:`Prediction`.
        fine: as in :class:`Prediction`.
    """

    inv_depth: Float32Array
    inv_depth_error: Float32Array | None
    unit: InvDepthUnit
    defocus_px: Float32Array
    side: Float32Array
    focus: LensLawFit
    confidence: Float32Array
    photo: Photo
    model: str
    model_version: str
    notes: tuple[str, ...] = ()
    fine: bool = False

    @property
    def lens(self) -> Lens:
        """The lens facts that were used."""
        return self.photo.lens

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the photo and of all maps, pixels."""
        height, width = self.photo.pixels.shape[:2]
        return height, width

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The maps that there are."""
        metric = self.unit == "1/m"
        return _quantities(metric, metric and self.inv_depth_error is not None)

    @property
    def depth_of_field(self) -> DepthOfField | None:
        """Between which distances the photo is sharp; None where metres are not known."""
        return _depth_of_field(self)

    def rows(self, quantity: Quantity, start: int, stop: int) -> Float32Array:
        """Some rows of a map, (stop - start, W)."""
        return self._of(quantity, lambda values: enlarged_rows(values, self.size, start, stop))

    def fitted(self, quantity: Quantity, size: tuple[int, int]) -> Float32Array:
        """A map at (width, height) ``size``, antialiased: for pictures."""

        def resized(values: Float32Array) -> Float32Array:
            # Pillow's bilinear filter takes the mean over what becomes one pixel where a map is made smaller.
            picture = Image.fromarray(np.ascontiguousarray(values))
            return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))

        return self._of(quantity, resized)

    def sampled(self, quantity: Quantity, size: tuple[int, int]) -> Float32Array:
        """A map at (width, height) ``size``, at the centres of its pixels: values that are there, not means."""

        def resized(values: Float32Array) -> Float32Array:
            smaller = size[1] <= values.shape[0] and size[0] <= values.shape[1]
            return (picked if smaller else enlarged)(values, (size[1], size[0]))

        return self._of(quantity, resized)

    def whole(self) -> Prediction:
        """The same with all maps in memory."""
        height = self.size[0]

        def joined(quantity: Quantity) -> Float32Array:
            values = np.empty(self.size, dtype=np.float32)
            for start, stop in strips(height):
                values[start:stop] = self.rows(quantity, start, stop)
            return values

        inv_depth, defocus_px = enlarged(self.inv_depth, self.size), enlarged(self.defocus_px, self.size)
        return Prediction(
            inv_depth=inv_depth,
            unit=self.unit,
            depth_m=finite_depth_m(inv_depth) if self.unit == "1/m" else None,
            defocus_px=defocus_px,
            signed_defocus_px=np.copysign(defocus_px, enlarged(self.side, self.size)),
            focus=self.focus,
            confidence=enlarged(self.confidence, self.size),
            photo=self.photo,
            model=self.model,
            model_version=self.model_version,
            notes=self.notes,
            depth_error_m=joined("depth_error_m") if "depth_error_m" in self.quantities else None,
            fine=self.fine,
        )

    def _of(self, quantity: Quantity, resized: _Resized) -> Float32Array:
        if quantity == "depth_m":
            return finite_depth_m(resized(self.inv_depth))
        if quantity == "depth_error_m":
            assert self.inv_depth_error is not None, f"{quantity} of a prediction in {self.unit}"
            return depth_error_m(resized(self.inv_depth), resized(self.inv_depth_error))
        if quantity == "signed_defocus_px":
            # The sign is enlarged apart: between +8 and -8 px the CoC is 8 px, and nothing there is sharp.
            return np.copysign(resized(self.defocus_px), resized(self.side))
        values: Float32Array = getattr(self, quantity)
        return resized(values)


class _Resized(Protocol):
    def __call__(self, values: Float32Array, /) -> Float32Array: ...


def _quantities(metric: bool, with_error: bool) -> tuple[Quantity, ...]:
    depth: tuple[Quantity, ...] = ("inv_depth", "defocus_px", "signed_defocus_px", "confidence")
    return depth + (("depth_m",) if metric else ()) + (("depth_error_m",) if with_error else ())


def _depth_of_field(prediction: PredictedPhoto) -> DepthOfField | None:
    if prediction.unit != "1/m" or not prediction.focus.found:
        return None
    return depth_of_field(prediction.focus, *prediction.size)

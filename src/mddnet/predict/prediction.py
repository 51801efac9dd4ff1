"""The result of a prediction."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from mddnet.predict.camera_estimate import CameraEstimate
from mddnet.predict.dioptres import DepthOfField, depth_error_m, depth_m_of, depth_of_field
from mddnet.predict.resampling import nearest_downsampled, strips, upsampled, upsampled_rows
from mddnet.predict.verdict import UNKNOWN, Verdict
from mddnet.types import Float32Array, InvDepthUnit, Lens, LensLawFit, Photo

if TYPE_CHECKING:
    from mddnet.predict.output import MapsAt, SaveFormat
    from mddnet.predict.refocus import Refocused

Quantity = Literal["inv_depth", "depth_m", "depth_error_m", "defocus_px", "signed_defocus_px", "confidence"]
"""Name of a map; ``depth_m`` and ``depth_error_m`` exist where the unit is ``"1/m"``."""


@dataclass(frozen=True, slots=True)
class SmallMaps:
    """The maps of a photo at the size of the network's image, (h, w); a refined ``defocus_px`` is larger."""

    inv_depth: Float32Array  # inverse depth, larger is nearer
    defocus_px: Float32Array  # CoC diameter >= 0 in pixels of the *photo*
    sign: Float32Array  # +1 behind the plane of focus, -1 in front of it
    confidence: Float32Array  # in [0, 1]
    inv_depth_error: Float32Array | None = None  # standard error of ``inv_depth``; None if that is relative
    sign_certainty: Float32Array | None = None  # twice the probability of ``sign``, less one; None if it is certain
    # Of the cells, which are smaller; None for a model without calibration:
    expected_inv_depth_error: Float32Array | None = None  # of ``inv_depth``, in its unit
    expected_defocus_error_px: Float32Array | None = None  # of ``defocus_px``, pixels of the photo


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """Depth and defocus of one photo.

    It stores maps of the network's size. The full-size maps below are finite everywhere, but for metres at infinity,
    and computed on first access. :meth:`rows` and :meth:`save` do not need them: six maps of a 100-megapixel photo are
    2.4 gigabytes.

    Attributes:
        maps: the maps at the size of the network's image.
        unit: unit of inverse depth: ``"1/m"`` (0 is infinity), ``"1/m from focus"``, or ``"relative"``.
        focus: the lens law between depth and defocus, in ``unit`` and pixels of the photo.
        photo: the photo.
        model: name of the model.
        model_version: version of its weights.
        notes: assumptions and limitations, those of the photo first.
        refined: whether a second pass at twice the resolution was requested.
        camera: field of view and median depth by the scene, where the network estimates them.
        depth_prior: what the depth prior is from, if there was one.
        verdict: what depth and defocus are worth.
    """

    maps: SmallMaps
    unit: InvDepthUnit
    focus: LensLawFit
    photo: Photo
    model: str
    model_version: str
    notes: tuple[str, ...] = ()
    refined: bool = False
    camera: CameraEstimate | None = None
    depth_prior: str | None = None
    verdict: Verdict = UNKNOWN

    def __repr__(self) -> str:
        """One line with size, verdict, sharpness and what the depth counts in, and a line for each note."""
        from mddnet.predict.summary import note_lines, summary  # which need this module

        height, width = self.size
        return "\n".join([f"<Prediction: {width} x {height} px; {summary(self)}>", *note_lines(self)])

    def _repr_html_(self) -> str:
        """The same with a small preview, for notebooks."""
        from mddnet.predict.summary import notebook_html

        return notebook_html(self)

    @cached_property
    def inv_depth(self) -> Float32Array:
        """(H, W), inverse depth in ``unit``; larger is nearer."""
        return self._whole("inv_depth")

    @cached_property
    def depth_m(self) -> Float32Array | None:
        """(H, W), z-depth in metres, infinite beyond 10 km; None unless ``unit`` is ``"1/m"``."""
        return self._whole("depth_m") if "depth_m" in self.quantities else None

    @cached_property
    def depth_error_m(self) -> Float32Array | None:
        """(H, W), standard error of ``depth_m`` in metres; None if ``depth_m`` is None."""
        return self._whole("depth_error_m") if "depth_error_m" in self.quantities else None

    @cached_property
    def defocus_px(self) -> Float32Array:
        """(H, W), CoC diameter >= 0 in pixels of the photo."""
        return self._whole("defocus_px")

    @cached_property
    def signed_defocus_px(self) -> Float32Array:
        """(H, W), signed CoC diameter, positive behind the plane of focus."""
        return self._whole("signed_defocus_px")

    @cached_property
    def confidence(self) -> Float32Array:
        """(H, W) in [0, 1]: 1 / (1 + e / 0.1), e the expected error of inverse depth as a share of its range.

        For a model without calibration, agreement of the maps with the lens law times texture evidence.
        """
        return self._whole("confidence")

    @cached_property
    def expected_inv_depth_error(self) -> Float32Array | None:
        """(H, W), expected absolute error of ``inv_depth`` in its unit; None for a model without calibration.

        The scale and shift that a relative inverse depth lacks count as known.
        """
        return self._whole_or_none(self.maps.expected_inv_depth_error)

    @cached_property
    def expected_defocus_error_px(self) -> Float32Array | None:
        """(H, W), expected absolute error of ``defocus_px``; None for a model without calibration."""
        return self._whole_or_none(self.maps.expected_defocus_error_px)

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
        """The available maps."""
        names: tuple[Quantity, ...] = ("inv_depth", "defocus_px", "signed_defocus_px", "confidence")
        if self.unit == "1/m":
            names += ("depth_m",) if self.maps.inv_depth_error is None else ("depth_m", "depth_error_m")
        return names

    @property
    def depth_of_field(self) -> DepthOfField | None:
        """The range of distances in which the photo is sharp; None without metric depth."""
        if self.unit != "1/m" or not self.focus.found:
            return None
        return depth_of_field(self.focus, *self.size)

    def rows(self, quantity: Quantity, start: int, stop: int) -> Float32Array:
        """Some rows of a map, (stop - start, W)."""
        return self._derived(quantity, lambda values: upsampled_rows(values, self.size, start, stop))

    def error_rows(self, quantity: Quantity, start: int, stop: int) -> Float32Array | None:
        """The error of some rows of a map, (stop - start, W); None if it is unknown."""
        if quantity == "depth_m" and "depth_error_m" in self.quantities:
            return self.rows("depth_error_m", start, stop)
        error = self.small_error(quantity)
        return None if error is None else upsampled_rows(error, self.size, start, stop)

    def small_error(self, quantity: Quantity) -> Float32Array | None:
        """The error of inverse depth or CoC at a size of the network's; None if it is unknown."""
        maps = self.maps
        if quantity == "inv_depth":
            return maps.expected_inv_depth_error if maps.inv_depth_error is None else maps.inv_depth_error
        return maps.expected_defocus_error_px if quantity == "signed_defocus_px" else None

    def fitted(self, quantity: Quantity, size: tuple[int, int]) -> Float32Array:
        """A map resampled to (width, height) ``size`` with antialiasing, for pictures."""
        return self._derived(quantity, lambda values: _smoothly_resized(values, size))

    def sign_certainty(self, size: tuple[int, int]) -> Float32Array:
        """How certain the side of the plane of focus is, in [0, 1], resampled to (width, height) ``size``."""
        certainty = self.maps.sign_certainty
        if certainty is None:
            return np.ones(size[::-1], np.float32)
        return _smoothly_resized(certainty, size)

    def sampled(self, quantity: Quantity, size: tuple[int, int]) -> Float32Array:
        """A map resampled to (width, height) ``size`` without averaging, for values."""

        def resized(values: Float32Array) -> Float32Array:
            smaller = size[1] <= values.shape[0] and size[0] <= values.shape[1]
            return (nearest_downsampled if smaller else upsampled)(values, (size[1], size[0]))

        return self._derived(quantity, resized)

    def save(
        self,
        folder: str | os.PathLike[str],
        stem: str | None = None,
        formats: str | Sequence[SaveFormat] = ("tiff",),
        *,
        full: bool = False,
        maps_at: MapsAt = "photo",
    ) -> dict[str, Path]:
        """Write maps, preview and facts into a folder: see :func:`mddnet.predict.output.save`.

        ``formats`` is a list, or a text such as ``"tiff,ply"``. TIFF files are rounded to a tenth of their error unless
        ``full``; ``maps_at="network"`` writes maps of the network's size.
        """
        from mddnet.predict.output import save  # prediction does not need the writers

        return save(self, Path(folder), stem, formats, full=full, maps_at=maps_at)

    def preview(self) -> Image.Image:
        """Photo, depth and blur with the verdict in words, as :meth:`save` writes them."""
        from mddnet.predict.preview import preview  # prediction does not need the pictures

        return preview(self)

    def refocus(
        self,
        *,
        aperture: float | None = None,
        strength: float | None = None,
        focus: tuple[float, float] | None = None,
        blades: int = 0,
        cat_eye: float = 0.0,
    ) -> Refocused:
        """The photo with another aperture or focus; arguments of :class:`mddnet.predict.refocus.RefocusSettings`.

        Example:
            >>> prediction.refocus(strength=2, focus=(0.42, 0.31)).save("out.png")  # doctest: +SKIP
        """
        from mddnet.predict.refocus import RefocusSettings, refocus  # prediction does not need the renderer

        return refocus(self, RefocusSettings(aperture, strength, focus, blades, cat_eye))

    def _whole(self, quantity: Quantity) -> Float32Array:
        values = np.empty(self.size, dtype=np.float32)
        for start, stop in strips(self.size[0]):
            values[start:stop] = self.rows(quantity, start, stop)
        return values

    def _whole_or_none(self, values: Float32Array | None) -> Float32Array | None:
        return None if values is None else upsampled(values, self.size)

    def _derived(self, quantity: Quantity, resized: Callable[[Float32Array], Float32Array]) -> Float32Array:
        """Compute a map from the stored ones, after resizing each of them."""
        maps = self.maps
        if quantity == "depth_m":
            return depth_m_of(resized(maps.inv_depth))
        if quantity == "depth_error_m":
            assert maps.inv_depth_error is not None, f"{quantity} of a prediction in {self.unit}"
            return depth_error_m(resized(maps.inv_depth), resized(maps.inv_depth_error))
        if quantity == "signed_defocus_px":
            # Size and sign are resized separately: the mean of +8 and -8 px would be a false 0 px.
            return np.copysign(resized(maps.defocus_px), resized(maps.sign))
        values: Float32Array = getattr(maps, quantity)
        return resized(values)


def _smoothly_resized(values: Float32Array, size: tuple[int, int]) -> Float32Array:
    """A map of (width, height) ``size``; Pillow's bilinear filter averages when it downsamples."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(values)).resize(size, Image.Resampling.BILINEAR))

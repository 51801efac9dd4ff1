"""Methods that are evaluated: our model, another model of mddnet, or a baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from mddnet.errors import ModelError, install_hint
from mddnet.metrics import Estimate
from mddnet.optics import diameter_from_dmenet_encoding, diameter_from_sigma
from mddnet.types import UInt8Array

Quantity = Literal["defocus_px", "sigma_px", "dmenet_sigma", "blur_probability", "blur_score", "inv_depth", "depth_m"]
"""``defocus_px``: CoC diameter, pixels of the photo. ``sigma_px``: sigma of a Gaussian, pixels of the photo.
``dmenet_sigma``: sigma clipped at 3.275 px, over 3.275. ``blur_probability``: that a pixel is blurred, 0 to 1.
``blur_score``: larger is blurrier, only its order has a meaning. ``inv_depth``: relative inverse depth.
``depth_m``: z-depth in metres, or relative depth of unknown scale; larger is farther."""
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
MAPS = ("inv_depth", "defocus_px", "signed_defocus_px", "blur_score", "confidence", "expected_defocus_error_px")
"""Fields of an estimate with a map."""
BLUR_QUANTITIES, DEPTH_QUANTITIES = QUANTITIES[:5], QUANTITIES[5:]


class Method(Protocol):
    """A method that estimates maps from one photo: at most one quantity of blur and one of depth."""

    @property
    def name(self) -> str: ...
    @property
    def quantities(self) -> tuple[Quantity, ...]: ...
    def infer(self, photo: UInt8Array, /) -> Estimate:
        """Estimate the maps of one (H, W, 3) uint8 sRGB photo; MddnetError if that fails."""
        ...


class Predictor(Protocol):
    """A model whose predictions have the maps of :class:`mddnet.predict.prediction.Prediction`.

    ``inv_depth``, ``defocus_px`` and ``signed_defocus_px``; optionally ``focus`` and ``confidence``.
    """

    def predict(self, photo: UInt8Array, /) -> Any: ...


@dataclass(frozen=True)
class PredictorMethod:
    """A predictor as a method."""

    predictor: Predictor
    name: str
    quantities: tuple[Quantity, ...] = ("defocus_px", "inv_depth")

    def infer(self, photo: UInt8Array, /) -> Estimate:
        maps = self.predictor.predict(photo)
        optional = {name: getattr(maps, name, None) for name in ("confidence", "expected_defocus_error_px", "focus")}
        return Estimate(maps.inv_depth, maps.defocus_px, maps.signed_defocus_px, **optional)


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "depth_m": lambda values: 1.0 / np.maximum(values, np.float32(1e-6)),
    "sigma_px": diameter_from_sigma,
    "dmenet_sigma": diameter_from_dmenet_encoding,
}
"""To a relative inverse depth or a CoC diameter, by quantity."""


def estimate_from(quantity: Quantity, values: NDArray[np.floating]) -> Estimate:
    """An estimate of one quantity: blur as a CoC diameter where it has a size, depth as inverse depth."""
    if quantity in ("blur_probability", "blur_score"):
        return Estimate(blur_score=values, blur_threshold=0.5 if quantity == "blur_probability" else None)
    converted = np.asarray(_CONVERSIONS.get(quantity, np.asarray)(values), dtype=np.float32)
    return Estimate(inv_depth=converted) if quantity in DEPTH_QUANTITIES else Estimate(defocus_px=converted)


@dataclass(frozen=True, slots=True)
class FunctionMethod:
    """A function of a photo, which gives one quantity, (H, W), as a method."""

    name: str
    quantity: Quantity
    function: Callable[[UInt8Array], NDArray[np.floating]]
    packages: tuple[str, ...] = ()  # of the extra ``build``; ModelError for a missing one

    def __post_init__(self) -> None:
        require_packages(self.name, "build", *self.packages)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return (self.quantity,)

    def infer(self, photo: UInt8Array, /) -> Estimate:
        return estimate_from(self.quantity, self.function(photo))


def can_estimate(method: Method, what: str) -> bool:
    """Whether a method estimates ``"depth"`` or ``"blur"``."""
    return bool(set(method.quantities) & set(DEPTH_QUANTITIES if what == "depth" else BLUR_QUANTITIES))


def checked_infer(method: Method, photo: UInt8Array) -> Estimate:
    """Infer; ModelError for a quantity that the method does not list, another shape, or values that are not finite."""
    estimate = method.infer(photo)
    for what, found in (("depth", estimate.inv_depth), ("blur", estimate.blur)):
        if (found is not None) != can_estimate(method, what):
            output = "no" if found is None else "a map of"
            raise ModelError(f"{method.name}: the output has {output} {what}; expected {', '.join(method.quantities)}")
    for name in MAPS:
        values = getattr(estimate, name)
        if values is not None and values.shape != photo.shape[:2]:
            raise ModelError(f"{method.name}: {name} has shape {values.shape}; expected {photo.shape[:2]} of the photo")
        if values is not None and not np.isfinite(values).all():
            raise ModelError(f"{method.name}: {name} has values that are not finite; expected finite ones")
    return estimate


def rotated_infer(method: Method, photo: UInt8Array) -> Estimate:
    """The estimate for the photo rotated by 180 degrees, rotated back."""
    estimate = checked_infer(method, np.ascontiguousarray(photo[::-1, ::-1]))
    maps = {name: getattr(estimate, name) for name in MAPS}
    return Estimate(**{name: None if values is None else values[::-1, ::-1] for name, values in maps.items()})


def require_packages(name: str, extra: str, *modules: str) -> None:
    """Raise a ModelError that names the missing package and its extra, if one of the modules cannot be imported."""
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            raise ModelError(f"{name}: needs the package {error.name}: {install_hint(extra)}") from error

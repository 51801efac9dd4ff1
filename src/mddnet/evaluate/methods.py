"""Anything that predicts: our model, another model of mddnet, or a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from mddnet.errors import ModelError
from mddnet.metrics import Answer
from mddnet.optics import diameter_from_dmenet_encoding, diameter_from_sigma
from mddnet.types import Float32Array, UInt8Array

Quantity = Literal["defocus_px", "sigma_px", "dmenet_sigma", "blur_probability", "blur_score", "inv_depth", "depth_m"]
"""``defocus_px``: CoC diameter, pixels of the photo. ``sigma_px``: sigma of a Gaussian, pixels of the photo.
``dmenet_sigma``: sigma clipped at 3.275 px, over 3.275. ``blur_probability``: of a blurred pixel, 0 to 1.
``blur_score``: larger is blurrier, only the order is known. ``inv_depth``: relative inverse depth, larger is nearer.
``depth_m``: z-depth in metres, or relative depth of unknown scale; larger is farther."""
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
BLUR_QUANTITIES, DEPTH_QUANTITIES = QUANTITIES[:5], QUANTITIES[5:]


class Method(Protocol):
    """A method that estimates maps from one photo.

    Attributes:
        name: in tables and JSON.
        quantities: what it states: at most one quantity of blur and one of depth.
    """

    @property
    def name(self) -> str: ...
    @property
    def quantities(self) -> tuple[Quantity, ...]: ...
    def infer(self, photo: UInt8Array, /) -> Answer:
        """Estimate the maps of one (H, W, 3) uint8 sRGB photo.

        Raises:
            MddnetError: if it cannot.
        """
        ...


class Predictor(Protocol):
    """Anything with ``predict``, whose result has ``inv_depth``, ``defocus_px``, ``signed_defocus_px``, and perhaps
    ``focus`` and ``confidence``."""

    def predict(self, photo: UInt8Array, /) -> Any:
        """Predict the maps of one (H, W, 3) uint8 sRGB photo."""
        ...


class PredictorMethod:
    """A predictor as a method."""

    quantities: tuple[Quantity, ...] = ("defocus_px", "inv_depth")

    def __init__(self, predictor: Predictor, name: str) -> None:
        self.predictor, self.name = predictor, name

    def infer(self, photo: UInt8Array, /) -> Answer:
        """Its depth, signed defocus, confidence and lens law."""
        maps = self.predictor.predict(photo)
        return Answer(
            inv_depth=maps.inv_depth,
            defocus_px=maps.defocus_px,
            signed_defocus_px=maps.signed_defocus_px,
            confidence=getattr(maps, "confidence", None),
            focus=getattr(maps, "focus", None),
        )


def answer_of(quantity: Quantity, values: NDArray[np.floating]) -> Answer:
    """An answer that states one quantity: blur as a CoC diameter where it has a size, depth as inverse depth."""
    if quantity == "inv_depth":
        return Answer(inv_depth=_float32(values))
    if quantity == "depth_m":
        return Answer(inv_depth=_float32(1.0 / np.maximum(values, np.float32(1e-6))))
    if quantity == "defocus_px":
        return Answer(defocus_px=_float32(values))
    if quantity == "sigma_px":
        return Answer(defocus_px=_float32(diameter_from_sigma(values)))
    if quantity == "dmenet_sigma":
        return Answer(defocus_px=_float32(diameter_from_dmenet_encoding(values)))
    return Answer(blur_score=values, blur_threshold=0.5 if quantity == "blur_probability" else None)


def _float32(values: NDArray[np.floating] | float) -> Float32Array:
    return np.asarray(values, dtype=np.float32)


def checked_infer(method: Method, photo: UInt8Array) -> Answer:
    """Infer, and refuse an answer that was not announced.

    Raises:
        ModelError: for another quantity, shape, or values that are not finite.
    """
    answer = method.infer(photo)
    for name, wanted, found in (
        ("depth", DEPTH_QUANTITIES, answer.inv_depth),
        ("blur", BLUR_QUANTITIES, answer.blur),
    ):
        if (found is not None) != bool(set(method.quantities) & set(wanted)):
            stated = "no" if found is None else "a map of"
            raise ModelError(f"{method.name}: answered {stated} {name}; expected {', '.join(method.quantities)}")
    for name in ("inv_depth", "defocus_px", "signed_defocus_px", "blur_score", "confidence"):
        values = getattr(answer, name)
        if values is None:
            continue
        if values.shape != photo.shape[:2]:
            raise ModelError(
                f"{method.name}: {name} has shape {values.shape} for a photo of {photo.shape[:2]}; expected the same"
            )
        if not np.isfinite(values).all():
            raise ModelError(f"{method.name}: {name} has values that are not finite; expected finite ones")
    return answer


def rotated_infer(method: Method, photo: UInt8Array) -> Answer:
    """The answer to the photo rotated by 180 degrees, rotated back."""
    answer = checked_infer(method, np.ascontiguousarray(photo[::-1, ::-1]))

    def back(values: Any) -> Any:
        return None if values is None else values[::-1, ::-1]

    return Answer(
        back(answer.inv_depth), back(answer.defocus_px), back(answer.signed_defocus_px), back(answer.blur_score)
    )


def stated_quantities(methods: Sequence[Method]) -> dict[str, tuple[Quantity, ...]]:
    """What each method states, by its name.

    Raises:
        ModelError: for two methods of one name.
    """
    stated = {method.name: tuple(method.quantities) for method in methods}
    if len(stated) < len(methods):
        raise ModelError(f"methods {', '.join(method.name for method in methods)}; expected different names")
    return stated


def need_packages(name: str, extra: str, *modules: str) -> None:
    """Refuse a method where a package that it needs is missing.

    Raises:
        ModelError: naming the package and the extra that brings it.
    """
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            raise ModelError(
                f"{name}: needs the package {error.name}, which is not installed: pip install 'mddnet[{extra}]'"
            ) from error

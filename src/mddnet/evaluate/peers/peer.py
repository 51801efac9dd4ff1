"""What a peer is: it answers with maps, and says of each what quantity it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from mddnet.errors import ModelError
from mddnet.optics import diameter_from_dmenet_encoding, diameter_from_sigma
from mddnet.types import BoolArray, Float32Array, UInt8Array

Quantity = Literal["defocus_px", "sigma_px", "dmenet_sigma", "blur_probability", "blur_score", "inv_depth", "depth_m"]
"""``defocus_px``: CoC diameter, pixels of the photo. ``sigma_px``: sigma of a Gaussian, pixels of the photo.
``dmenet_sigma``: sigma clipped at 3.275 px, over 3.275. ``blur_probability``: of a blurred pixel, 0 to 1.
``blur_score``: larger is blurrier, only the order is known. ``inv_depth``: relative inverse depth, larger is nearer.
``depth_m``: z-depth in metres, or relative depth of unknown scale; larger is farther."""
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
BLUR_QUANTITIES: tuple[Quantity, ...] = QUANTITIES[:5]
DEPTH_QUANTITIES: tuple[Quantity, ...] = QUANTITIES[5:]

PeerAnswer = Mapping[Quantity, Float32Array]

_CoC = Callable[[NDArray[np.floating]], NDArray[np.floating]]
_COC_FROM: dict[Quantity, _CoC] = {
    "defocus_px": lambda values: values,
    "sigma_px": lambda values: np.asarray(diameter_from_sigma(values)),
    "dmenet_sigma": diameter_from_dmenet_encoding,
}


class Peer(Protocol):
    """Another method.

    Attributes:
        name: in tables and JSON.
        quantities: what its answers hold: at most one quantity of blur and one of depth.
    """

    @property
    def name(self) -> str: ...
    @property
    def quantities(self) -> tuple[Quantity, ...]: ...
    def answer(self, photo: UInt8Array, /) -> PeerAnswer:
        """Maps (H, W) of one (H, W, 3) uint8 sRGB photo, one for each of the quantities.

        Raises:
            MddnetError: if it cannot.
        """
        ...


@dataclass(frozen=True, slots=True)
class BlurMap:
    """What an answer says of blur.

    Attributes:
        score: (H, W), larger is blurrier.
        defocus_px: (H, W) CoC diameter, or None where the answer has no size.
        threshold: where a score without size counts as blurred: 0.5 of a probability; None where only the order is
            known.
    """

    score: NDArray[np.floating]
    defocus_px: Float32Array | None
    threshold: float | None

    def detected(self, threshold_px: float) -> BoolArray | None:
        """Where blur is found, (H, W): a CoC above ``threshold_px``, or a score above its own threshold; else None."""
        if self.defocus_px is not None:
            return np.asarray(self.defocus_px > threshold_px)
        return None if self.threshold is None else np.asarray(self.score > self.threshold)


def blur_of(answer: PeerAnswer) -> BlurMap | None:
    """The blur that an answer holds, sizes converted to CoC diameters; None if it holds depth alone."""
    for quantity, values in answer.items():
        if quantity in _COC_FROM:
            coc = _COC_FROM[quantity](values).astype(np.float32)
            return BlurMap(coc, coc, None)
        if quantity == "blur_probability":
            return BlurMap(values, None, 0.5)
        if quantity == "blur_score":
            return BlurMap(values, None, None)
    return None


def inv_depth_of(answer: PeerAnswer) -> Float32Array | None:
    """The inverse depth that an answer holds, larger is nearer; None if it holds blur alone."""
    if "inv_depth" in answer:
        return answer["inv_depth"]
    if "depth_m" in answer:
        return (1.0 / np.maximum(answer["depth_m"], np.float32(1e-6))).astype(np.float32)
    return None


def need_packages(name: str, extra: str, *modules: str) -> None:
    """Refuse a peer where a package that it needs is missing.

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


def checked_answer(peer: Peer, photo: UInt8Array) -> PeerAnswer:
    """Ask a peer, and refuse what it did not announce.

    Raises:
        ModelError: naming quantities, shapes or values.
    """
    answer = peer.answer(photo)
    if set(answer) != set(peer.quantities):
        raise ModelError(f"{peer.name}: answered {sorted(answer)}; expected {sorted(peer.quantities)}")
    for quantity, values in answer.items():
        if values.shape != photo.shape[:2]:
            raise ModelError(
                f"{peer.name}: {quantity} has shape {values.shape} for a photo of {photo.shape[:2]}; expected the same"
            )
        if not np.isfinite(values).all():
            raise ModelError(f"{peer.name}: {quantity} has values that are not finite")
    return answer

"""Another model of mddnet: an earlier one, or one with parts left out."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mddnet.evaluate.peers.peer import PeerAnswer, Quantity
from mddnet.predict.predictor import load
from mddnet.types import UInt8Array


class MddnetPeer:
    """A model folder, by its depth and its defocus."""

    quantities: ClassVar[tuple[Quantity, ...]] = ("defocus_px", "inv_depth")

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        """Load the model of a folder.

        Raises:
            ModelError: if it is damaged.
        """
        self._model = load(folder, threads)
        # two models of one name may be compared: their folders tell them apart
        self.name = f"{self._model.name} {self._model.version} ({folder.resolve().name})"

    def answer(self, photo: UInt8Array, /) -> PeerAnswer:
        """Depth and defocus, (H, W) each."""
        prediction = self._model.predict(photo)
        return {"defocus_px": prediction.defocus_px, "inv_depth": prediction.inv_depth}

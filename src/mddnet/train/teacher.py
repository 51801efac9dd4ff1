"""A trained network that looks at the same crops, for the terms of the loss that distil."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mddnet.errors import ModelError
from mddnet.loss.distil import Told
from mddnet.model.checkpoint import load_network
from mddnet.model.network import MDDNet


class Teacher:
    """What a trained network says of the crops that another one learns from.

    The features of both are taken where the decoders begin: all that a decoder knows of the whole crop passes there,
    and their number is the same in every network.
    """

    def __init__(self, folder: Path, network: MDDNet, device: torch.device) -> None:
        """Load the teacher.

        Args:
            folder: its model folder.
            network: the one that learns.
            device: where both compute.

        Raises:
            ModelError: if there is no such model, or it does not tell the sign.
        """
        self.network = load_network(folder).to(device).eval().requires_grad_(False)
        if not self.network.has_sign:
            raise ModelError(f"{folder}: a network without the sign of the defocus; expected a teacher that tells it")
        # crops are seen by one look, as the network that learns sees them
        self.network.config = self.network.config.model_copy(update={"half_size_look": False})
        self._seen: dict[str, Tensor] = {}
        _decoders_begin(network).register_forward_hook(self._keep("network"))
        _decoders_begin(self.network).register_forward_hook(self._keep("teacher"))

    def _keep(self, whose: str) -> Any:
        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            self._seen[whose] = output

        return keep

    def tell(self, image: Tensor) -> Told:
        """What the teacher says of a batch (B, 3, H, W) that the other network has just seen."""
        with torch.no_grad():
            sign_logit = self.network(image).sign_logit
        assert sign_logit is not None
        return Told(sign_logit, self._seen.pop("teacher"), self._seen.pop("network"))


def _decoders_begin(network: MDDNet) -> nn.Module:
    return network.reduction if network.context is None else network.context

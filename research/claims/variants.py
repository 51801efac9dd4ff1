"""Changes of the network that are no settings of a recipe: how the two decoders are connected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from mddnet.config import ModelConfig
from mddnet.model.decoder import SoftConnection
from mddnet.model.folder import WEIGHTS_FILE
from mddnet.model.network import MDDNet


class OneWay(SoftConnection):
    """Depth reads the features of defocus; defocus does not read those of depth."""

    def forward(self, depth: Tensor, defocus: Tensor) -> tuple[Tensor, Tensor]:
        return depth + self.to_depth(defocus), defocus


class Stopped(SoftConnection):
    """Both decoders read each other's features, but no gradient flows from one to the other."""

    def forward(self, depth: Tensor, defocus: Tensor) -> tuple[Tensor, Tensor]:
        return depth + self.to_depth(defocus.detach()), defocus + self.to_defocus(depth.detach())


def _with_links(kind: type[SoftConnection]) -> Callable[[MDDNet], None]:
    def change(network: MDDNet) -> None:
        assert network.links is not None
        for link in network.links:
            link.__class__ = kind  # the same weights, another forward

    return change


def _coarse_only(network: MDDNet) -> None:
    assert network.links is not None
    network.links = network.links[:1]


CHANGES: Mapping[str, Callable[[MDDNet], None]] = {
    "": lambda network: None,
    "one-way": _with_links(OneWay),
    "stopped": _with_links(Stopped),
    "coarse": _coarse_only,
}


def build(config: ModelConfig, change: str) -> MDDNet:
    """A network with initial weights and one of :data:`CHANGES`."""
    network = MDDNet(config)
    CHANGES[change](network)
    return network


def trained(config: ModelConfig, change: str, model: Path) -> MDDNet:
    """The same with the weights of a model folder, in evaluation mode."""
    network = build(config.model_copy(update={"pretrained": False}), change)
    network.load_state_dict(load_file(model / WEIGHTS_FILE))
    return network.eval()

"""From what a user names to the peer."""

from __future__ import annotations

from pathlib import Path

from mddnet.errors import ModelError
from mddnet.evaluate.peers.focus_measures import FOCUS_MEASURES, FocusMeasure
from mddnet.evaluate.peers.karaali_jung import KaraaliJung
from mddnet.evaluate.peers.mddnet_peer import MddnetPeer
from mddnet.evaluate.peers.onnx_peer import OnnxPeer
from mddnet.evaluate.peers.peer import Peer
from mddnet.evaluate.peers.transformers_peer import (
    KNOWN_WEIGHTS,
    TransformersPeer,
    is_transformers_model,
    looks_like_hub_name,
    weights_hint,
)
from mddnet.evaluate.peers.zhuo_sim import ZhuoSim

CLASSICAL = {"zhuo-sim": ZhuoSim, "karaali-jung": KaraaliJung}
PEER_NAMES = (*CLASSICAL, *FOCUS_MEASURES)
"""Peers that need no file."""


def find_peer(name: str, threads: int | None = None) -> Peer:
    """A classical peer by its name, a learned one by its file or folder, or another model of mddnet by its folder.

    Args:
        name: of :data:`PEER_NAMES`; ``MODEL.onnx`` with its description ``MODEL.toml`` beside it; the folder of a model
            of transformers, or its name in the local cache of the hub; or a model folder of mddnet.
        threads: processor cores that a network uses at most.

    Raises:
        ModelError: if there is no such peer, or a package or file that it needs is missing.
    """
    if name in CLASSICAL:
        return CLASSICAL[name]()
    if name in FOCUS_MEASURES:
        return FocusMeasure(name, FOCUS_MEASURES[name])
    path = Path(name)
    if path.suffix.lower() == ".onnx":
        return OnnxPeer(path, threads)
    if path.is_dir():
        return TransformersPeer(name) if is_transformers_model(path) else MddnetPeer(path, threads)
    if name in KNOWN_WEIGHTS:
        raise ModelError(weights_hint(name))
    if looks_like_hub_name(name):
        return TransformersPeer(name)
    raise ModelError(
        f"{name}: no such method to compare with; expected one of {', '.join(PEER_NAMES)}, the path of an ONNX file, "
        "the folder of a model of transformers, or a model folder"
    )

"""Other methods, beside which a model is measured: classical ones, and learned ones from ONNX files."""

from mddnet.evaluate.peers.find import PEER_NAMES, find_peer
from mddnet.evaluate.peers.peer import Peer, PeerAnswer, Quantity

__all__ = ["PEER_NAMES", "Peer", "PeerAnswer", "Quantity", "find_peer"]

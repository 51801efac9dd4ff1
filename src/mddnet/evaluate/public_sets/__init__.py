"""Importers of the public sets that people compare on, each reading the files as their authors publish them."""

from mddnet.evaluate.public_sets.record import Crop, Protocol, PublicSet, SetItem, SetListing, SetPhoto, read_item
from mddnet.evaluate.public_sets.registry import PUBLIC_SETS, find_set

__all__ = [
    "PUBLIC_SETS",
    "Crop",
    "Protocol",
    "PublicSet",
    "SetItem",
    "SetListing",
    "SetPhoto",
    "find_set",
    "read_item",
]

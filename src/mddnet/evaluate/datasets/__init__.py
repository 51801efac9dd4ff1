"""Public data sets, read in their published form and evaluated with their usual protocol."""

from mddnet.evaluate.datasets.record import (
    CapChoice,
    Crop,
    CropChoice,
    Dataset,
    DatasetPhoto,
    Item,
    Listing,
    Protocol,
    dataset_source,
    read_item,
)
from mddnet.evaluate.datasets.table import DATASETS, find_dataset

__all__ = [
    "DATASETS",
    "CapChoice",
    "Crop",
    "CropChoice",
    "Dataset",
    "DatasetPhoto",
    "Item",
    "Listing",
    "Protocol",
    "dataset_source",
    "find_dataset",
    "read_item",
]
